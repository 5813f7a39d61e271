#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <postern/terminal.h>

/* Octet by octet: what follows the line stays for who reads next. */
static bool read_line(char *out, size_t size)
{
    size_t n = 0;
    char c;

    while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n') {
        if (n + 1 == size)
            return false;
        out[n++] = c;
    }
    if (n > 0 && out[n - 1] == '\r')
        n--;
    out[n] = '\0';
    return n > 0 && strlen(out) == n;
}

bool terminal_secret(const char *prompt, char *out, size_t size)
{
    struct termios shown, hidden;
    bool terminal = tcgetattr(STDIN_FILENO, &shown) == 0, good;

    if (terminal) {
        hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden); /* first: whoever is fast would be seen else */
        fputs(prompt, stderr);
    }
    good = read_line(out, size);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
        fputc('\n', stderr);
    }
    return good;
}
