"""Rules that need a compiler or clang-format."""
import json
import os
import re
import shlex
import shutil
import subprocess

FORMAT = "14"  # its versions differ in what they write


class Skipped(Exception):
    pass


def _formatter():
    for program in ("clang-format-" + FORMAT, "clang-format"):
        if shutil.which(program):
            version = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
            if re.search(r"version %s\." % FORMAT, version):
                return program
    raise Skipped("clang-format %s is not installed" % FORMAT)


def formatted(tree, program=None):
    program = program or _formatter()
    names = tree.some("proxy", "include", "bench", "tests", "docs")
    done = subprocess.run([program, "--style=file", "--dry-run", "-Werror"] + names, cwd=tree.root, text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    wrong = {line.split(":")[0] for line in done.stderr.splitlines() if ": error: code should be clang-formatted" in line}
    for name in sorted(wrong):
        yield "%s: not formatted: %s -i %s" % (name, program, name)
    if done.returncode != 0 and not wrong:
        yield "%s failed: %s" % (program, done.stderr[:1000])


def _compile_command(build):
    """The command of a source of the highest room, which sees every dependency, without its input and output."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        for entry in json.load(file):
            if entry["file"].endswith("proxy/ops/run.c"):
                words = shlex.split(entry["command"])
                drop = {"-o", "-MF", "-MQ"}
                kept = [w for i, w in enumerate(words) if w not in drop and words[i - 1] not in drop]
                return [w for w in kept if w not in ("-c", "-MD", entry["file"])], entry["directory"]
    raise Skipped("no compile_commands.json with proxy/ops/run.c")


def headers(tree, build):
    """Each contract compiles alone, and twice."""
    command, folder = _compile_command(build)
    for name in tree.some("include/postern", ends=(".h",)):
        what = "#include <postern/%s>\n" % os.path.basename(name)
        done = subprocess.run(command + ["-I" + tree.path("include"), "-fsyntax-only", "-x", "c", "-"], cwd=folder,
                              input=what * 2, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            yield "%s: does not compile alone:\n%s" % (name, done.stdout)
