/*
 * Runs a fuzz target over its corpus, and over every beginning of each file, as a plain test: corpus_main FOLDER. TAP: a line
 * per file.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Beginnings of longer files are left to the fuzzer. */
#define CUT_MAX 2048

/* Exactly as large as the content, so that reading beyond it is seen. */
static uint8_t *file_read(const char *folder, const char *name, size_t *ret_n)
{
    char path[1024];
    uint8_t *data = NULL;
    long n;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "rb");
    if (f == NULL)
        return NULL;
    if (fseek(f, 0, SEEK_END) == 0 && (n = ftell(f)) >= 0) {
        rewind(f);
        data = malloc((size_t)n > 0 ? (size_t)n : 1);
        if (data != NULL && fread(data, 1, (size_t)n, f) != (size_t)n) {
            free(data);
            data = NULL;
        }
        *ret_n = (size_t)n;
    }
    fclose(f);
    return data;
}

static void run_cuts(const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n && n <= CUT_MAX; i++) {
        uint8_t *cut = malloc(i > 0 ? i : 1);

        if (cut == NULL)
            return;
        memcpy(cut, data, i);
        LLVMFuzzerTestOneInput(cut, i);
        free(cut);
    }
}

static int run_file(const char *folder, const char *name, unsigned number)
{
    size_t n = 0;
    uint8_t *data = file_read(folder, name, &n);

    if (data != NULL) {
        LLVMFuzzerTestOneInput(data, n);
        run_cuts(data, n);
    }
    printf("%s %u - %s\n", data != NULL ? "ok" : "not ok", number, name);
    fflush(stdout);
    free(data);
    return data != NULL ? 0 : 1;
}

int main(int argc, char **argv)
{
    DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *e;
    unsigned n = 0;
    int bad = 0;

    if (d == NULL) {
        fprintf(stderr, "usage: corpus_main FOLDER\n");
        return 2;
    }
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] != '.')
            bad += run_file(argv[1], e->d_name, ++n);
    }
    closedir(d);
    printf("1..%u\n", n);
    return bad > 0 || n == 0;
}
