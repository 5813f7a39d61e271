/* Writes one generated document to standard output; built only to keep docs/ and config/ in step. */
#include <postern/conf.h>

int main(int argc, char **argv)
{
    return argc == 2 && conf_generate(argv[1], stdout) == 0 ? 0 : 2;
}
