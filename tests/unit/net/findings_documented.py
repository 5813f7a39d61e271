"""Every finding of the certificate check has a row in docs/certificates.md, and every row is of a finding.

usage: findings_documented.py SOURCE_ROOT
"""
import glob
import os
import re
import sys

root = sys.argv[1]
code = ""
for path in sorted(glob.glob(os.path.join(root, "proxy", "net", "certificate*.c"))):
    with open(path, encoding="utf-8") as f:
        code += f.read()
code = re.sub(r'"\s*\n\s*"', "", code)  # one literal, written on several lines
code = code.replace('" FETCH', '"').replace('\\"', "'")
text = re.findall(r'"([^"\n]*)"', code)
# what reads as a finding: a statement and, after a semicolon, the remedy
findings = [t for t in text if re.search(r".; (?:[a-z]|%s|$)", t) or t.startswith("the OCSP response")]

rows = []
with open(os.path.join(root, "docs", "certificates.md"), encoding="utf-8") as f:
    for line in f:
        cells = [c.strip() for c in line.split("|")]
        if len(cells) > 3 and cells[2] in ("E", "W"):
            rows.append(cells[1])

print("1..2")
stale = [r for r in rows if not any(r in t for t in text)]
missing = [t for t in findings if not any(r in t for r in rows)]
for name, left in (("every row is of a finding", stale), ("every finding has a row", missing)):
    print("%sok %d - %s" % ("not " if left else "", 1 if left is stale else 2, name))
    for t in left:
        print("# " + t)

if len(findings) < 40 or len(rows) < 40:
    print("Bail out! %d findings, %d rows: is this still how they are written?" % (len(findings), len(rows)))
