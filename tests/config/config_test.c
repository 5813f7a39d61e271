/* Loads each file of the folders given. good/: no finding at all. bad/: refused, and one of the printed lines
 * holds what the file's first line expects ("# expect: text"; "# expect only: text": nothing else is told). Referenced files lie beside them. */
#include <postern/conf.h>

#include <dirent.h>
#include <stdlib.h>

static unsigned tests, failures;

static void report(bool ok, const char *name, const char *printed)
{
    printf("%sok %u - %s\n", ok ? "" : "not ", ++tests, name);
    failures += !ok;
    if (!ok && printed)
        fprintf(stderr, "%s\n", printed);
}

static char *expected(const char *path)
{
    char *line = NULL;
    size_t size = 0;
    FILE *f = fopen(path, "r");
    if (!f)
        return NULL;
    if (getline(&line, &size, f) < 0)
        line[0] = 0;
    fclose(f);
    line[strcspn(line, "\n")] = 0;
    return line;
}

static const char *wanted(const char *line, bool *ret_only)
{
    static const char mark[] = "# expect: ", only[] = "# expect only: ";
    if (strncmp(line, mark, sizeof mark - 1) == 0)
        return line + sizeof mark - 1;
    *ret_only = strncmp(line, only, sizeof only - 1) == 0;
    return *ret_only ? line + sizeof only - 1 : NULL;
}

static void run(const char *path, bool good)
{
    char *printed = NULL, *line = expected(path);
    size_t size = 0;
    struct conf_findings *f = conf_findings_new();
    struct snapshot *s = f ? conf_load(path, f) : NULL;
    FILE *to = open_memstream(&printed, &size);
    if (!f || !to || !line)
        abort();
    conf_findings_print(f, to);
    fclose(to);
    bool only = false;
    const char *text = wanted(line, &only);
    size_t told = conf_findings_count(f, CONF_ERROR) + conf_findings_count(f, CONF_WARNING);
    bool ok = good ? s && !conf_findings_count(f, CONF_WARNING)
                   : !s && text && strstr(printed, text) && (!only || told == 1);
    report(ok, path, printed);
    snapshot_release(s);
    conf_findings_free(f);
    free(printed);
    free(line);
}

static int is_yaml(const struct dirent *e)
{
    return str_ends_nocase(str_of(e->d_name), STR(".yaml"));
}

static void run_folder(const char *folder, bool good)
{
    struct dirent **v;
    int n = scandir(folder, &v, is_yaml, alphasort);
    if (n <= 0)
        report(false, folder, "no files");
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, v[i]->d_name);
        run(path, good);
        free(v[i]);
    }
    if (n >= 0)
        free(v);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    run_folder(argv[1], true);
    run_folder(argv[2], false);
    printf("1..%u\n", tests);
    return failures != 0;
}
