"""Rules on the C sources themselves."""
import re
import statistics

from tree import code, functions, line_of

FUNCTION_LINES = 80
FILE_LINES = 600
# what it is, and what to use
BANNED = {
    "strcpy": "memcpy with a known length", "strcat": "snprintf", "strncpy": "memcpy with a known length",
    "strncat": "snprintf", "sprintf": "snprintf", "vsprintf": "vsnprintf", "gets": "fgets", "strtok": "str_*",
    "atoi": "str_to_u64", "atol": "str_to_u64", "atoll": "str_to_u64", "atof": "nothing", "scanf": "str_*",
    "sscanf": "str_*", "fscanf": "str_*", "system": "nothing", "popen": "nothing", "vfork": "nothing",
    "alloca": "an arena", "rand": "getrandom", "srand": "getrandom", "random": "getrandom", "drand48": "getrandom",
    "signal": "sigaction", "siglongjmp": "return codes", "longjmp": "return codes", "mktemp": "mkstemp",
    "tmpnam": "mkstemp", "tempnam": "mkstemp", "gethostbyname": "resolve", "inet_ntoa": "inet_ntop",
    "inet_addr": "inet_pton", "asctime": "strftime", "ctime": "strftime", "localtime": "localtime_r",
    "gmtime": "gmtime_r", "bzero": "explicit_bzero", "setenv": "nothing", "putenv": "nothing",
}
_BANNED = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED))
# trial_tls.c is a client that keeps to the limits of old devices, which tls_client.c must never do.
_MAY_SSL = re.compile(r"^proxy/(net/(tls\w*|certificat\w*)|trial/trial_tls\w*)\.[ch]$")
_SSL = re.compile(r"\bSSL_[a-zA-Z]\w*\s*\(|#\s*include\s*<openssl/(ssl|tls1)\.h>")


def banned(tree):
    for name in tree.some("proxy", "bench", "include"):
        text = code(tree.text(name))
        for m in _BANNED.finditer(text):
            word = m.group(1)
            yield "%s:%d: %s is banned; use %s" % (name, line_of(text, m.start()), word, BANNED[word])


def openssl(tree):
    for name in tree.some("proxy", "include"):
        text = code(tree.text(name), strings=True)
        for m in _SSL.finditer(text):
            if not _MAY_SSL.match(name):
                yield "%s:%d: %s: only net/tls*.c, net/certificates*.c and trial/trial_tls*.c speak to OpenSSL's SSL" % (
                    name, line_of(text, m.start()), m.group(0).rstrip("( "))


def _figures(lengths):
    if len(lengths) < 2:
        return "too few functions"
    return "%d functions: median %d, p90 %d, longest %d" % (
        len(lengths), statistics.median(lengths), statistics.quantiles(lengths, n=10)[8], max(lengths))


def lengths(tree):
    for folder in ("proxy", "bench"):
        found = []
        for name in tree.some(folder):
            text = tree.text(name)
            if text.count("\n") > FILE_LINES:
                yield "%s: %d lines; at most %d" % (name, text.count("\n"), FILE_LINES)
            for function, line, n in functions(text):
                found.append(n)
                if n > FUNCTION_LINES:
                    yield "%s:%d: %s has %d lines; at most %d" % (name, line, function, n, FUNCTION_LINES)
        print("%s: %s" % (folder, _figures(found)))
