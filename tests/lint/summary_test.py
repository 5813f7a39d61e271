#!/usr/bin/env python3
"""What `make test` says of failures, from results as meson and pytest write them: summary_test.py .ci/test"""
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

LOADER = importlib.machinery.SourceFileLoader("ci", sys.argv.pop())
ci = importlib.util.module_from_spec(importlib.util.spec_from_loader("ci", LOADER))
LOADER.exec_module(ci)

NOISE = "\n".join("line %d" % i for i in range(500))


def case_of(suite, name, result, out=""):
    case = xml.SubElement(suite, "testcase", name=name)
    if result == "FAIL":
        xml.SubElement(case, "failure")
        suite.set("failures", str(int(suite.get("failures", 0)) + 1))
    if out:
        xml.SubElement(case, "system-out").text = out


class Results:
    """A folder of results: `programs` {name: (result, what it said)}, and one that speaks TAP."""

    def __init__(self, programs, tap="", pytest=""):
        self.folder = tempfile.TemporaryDirectory()
        root = xml.Element("testsuites")
        suite = xml.SubElement(root, "testsuite", name="postern")
        for name, (result, text) in programs.items():
            case_of(suite, name, result, text)
        if tap:
            suite = xml.SubElement(root, "testsuite", name="postern.postern:unit / tap")
            case_of(suite, "1 - first", "OK")
            case_of(suite, "2 - second", "FAIL")
            xml.SubElement(suite, "system-out").text = tap
        if pytest:
            self.write("pytest-p.xml", pytest)
        self.path = self.write("testlog.junit.xml", xml.tostring(root, encoding="unicode"))
        self.write("testlog.json", "".join(json.dumps({"name": n, "result": r}) + "\n" for n, (r, _) in programs.items()))

    def write(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def summary(self, passing=()):
        """(the sum, what it tells); `passing` pass when they are run again."""
        total, out = ci.Sum(), io.StringIO()
        with contextlib.redirect_stdout(out):
            total.read("plain", self.path, 1, lambda names: set(passing))
            total.tell()
        self.folder.cleanup()
        return total, out.getvalue()


class Summary(unittest.TestCase):
    def test_a_program_is_told_with_its_words(self):
        text = "FAIL: test_early (x.Y)\n%s\nSUMMARY: ThreadSanitizer: data race\n%s\nthe end" % (NOISE, NOISE)
        total, told = Results({"postern:load / load": ("FAIL", text), "postern:unit / good": ("OK", "")}).summary()
        self.assertEqual((total.passed, len(total.failed)), (1, 1))
        for wanted in ("FAILED plain: postern: postern:load / load", "FAIL: test_early", "SUMMARY: ThreadSanitizer", "the end"):
            self.assertIn(wanted, told.splitlines() if wanted == "the end" else told)
        self.assertLessEqual(len(told.splitlines()), ci.TOLD_LINES + 3)

    def test_a_case_is_told_with_its_programs_words(self):
        total, told = Results({}, tap="ok 1 - first\nnot ok 2 - second\n# 1 != 2\n" + NOISE).summary()
        self.assertEqual((total.passed, len(total.failed)), (1, 1))
        self.assertIn("not ok 2 - second", told)

    def test_what_did_not_end_has_failed(self):
        total, told = Results({"postern:http / slow": ("TIMEOUT", "began"), "postern:unit / good": ("OK", "")}).summary()
        self.assertEqual((total.passed, len(total.failed)), (1, 1))
        self.assertIn("TIMEOUT: it did not end in its time\nbegan", told)

    def test_unsteady(self):
        total, told = Results({"postern:http / shaky": ("FAIL", "ERROR: it was late")}).summary(["shaky"])
        self.assertEqual((total.passed, len(total.failed)), (1, 0))
        self.assertIn("UNSTEADY plain: shaky", told)
        self.assertIn("it was late", told)

    def test_cases_of_pytest(self):
        inner = """<testsuites><testsuite name="pytest" failures="1"><testcase classname="a.test_p" name="test_b">
            <failure message="m">assert 1 == 2</failure></testcase><testcase name="test_c"/></testsuite></testsuites>"""
        total, told = Results({"postern:http / p": ("FAIL", "")}, pytest=inner).summary()
        self.assertEqual((total.passed, len(total.failed)), (1, 1))
        self.assertIn("FAILED plain: test_p: test_b\nassert 1 == 2", told)

    def test_it_is_bounded(self):
        programs = {"postern:unit / %d" % i: ("FAIL", ("ERROR: " + "x" * 1000 + "\n") * 100) for i in range(100)}
        total, told = Results(programs).summary()
        self.assertEqual(len(total.failed), 100)
        self.assertEqual(told.count("FAILED "), 100)
        self.assertLess(len(told), 500000)


if __name__ == "__main__":
    unittest.main()
