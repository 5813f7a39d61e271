#!/usr/bin/env python3
"""The complete configurations in the documents are accepted by `postern check`, and the README knows every command:
examples_test.py POSTERN ROOT"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

POSTERN, ROOT = sys.argv[1:3]
# file that an example may name -> what make-certs makes for it
FILES = {"mail.pem": "san.pem", "mail.key": "san.key", "corp-root.pem": "backend-ca.pem", "lab.pem": "self-signed.pem",
         "lab.key": "self-signed.key"}


def folder_for_examples():
    folder = tempfile.mkdtemp()
    certs = os.path.join(folder, "certs")
    subprocess.run([os.path.join(ROOT, "certs", "make-certs"), certs], check=True, stdout=subprocess.DEVNULL)
    for name, made in FILES.items():
        shutil.copy(os.path.join(certs, made), os.path.join(folder, name))
    subprocess.run([POSTERN, "passwd", os.path.join(folder, "users"), "add", "alice"], input=b"secret of alice\n", check=True,
                   stdout=subprocess.DEVNULL)
    return folder


def examples():
    names = ["README.md"] + sorted("docs/" + n for n in os.listdir(os.path.join(ROOT, "docs")) if n.endswith(".md"))
    for name in names:
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            text = file.read()
        for m in re.finditer(r"^```yaml\n(.*?)^```", text, re.M | re.S):
            if "publish:" in m.group(1) and "listeners:" in m.group(1):
                yield "%s:%d" % (name, text.count("\n", 0, m.start()) + 1), m.group(1)


def unknown_commands():
    """Commands of `postern --help` that the README's table has not."""
    done = subprocess.run([POSTERN, "--help"], stdout=subprocess.PIPE, text=True, check=True)
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        readme = file.read()
    names = re.findall(r"^  postern (\S+)", done.stdout, re.M)
    return [name for name in names if name != "help" and "| `postern " + name not in readme] or (not names and ["none?"])


def main():
    folder = folder_for_examples()
    n = bad = 0
    for where, text in examples():
        path = os.path.join(folder, "postern.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        done = subprocess.run([POSTERN, "check", "-c", path], stdout=subprocess.PIPE, text=True, check=False)
        good = done.returncode == 0 and " no errors, 0 warnings" in done.stdout
        n += 1
        bad += not good
        print("%sok %d - %s" % ("" if good else "not ", n, where))
        if not good:
            print("# " + done.stdout.replace("\n", "\n# "))
    shutil.rmtree(folder)
    missing = unknown_commands()
    print("%sok %d - commands in the README %s" % ("not " if missing else "", n + 1, missing or ""))
    print("1..%d" % (n + 1))
    return 1 if bad or n == 0 or missing else 0


sys.exit(main())
