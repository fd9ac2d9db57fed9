#!/usr/bin/python3
"""Runs other people's tests in a sandbox and says what came of each, one line a test, in a form in which two runs can be compared.

  suites.py python OUTPUT MODULE [OPTION…]           tests of Python's own, by its own runner: ok, fail, error, skip and why
  suites.py stress OUTPUT SECONDS OPERATIONS NAME…   stressors of stress-ng's: pass, fail, skip and why, and what they leave behind
  suites.py unit OUTPUT MESON-BUILD                  unit tests of a build with meson: ok, fail, skip

What differs from run to run is left out: numbers of processes, names of temporary files, times. errno never is.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree


def normal(text):
    """One line without what differs from run to run. errno is kept."""
    text = text.strip().split("\n")[-1]
    text = re.sub(r"\btmp[a-z0-9_]{8}\b", "tmpN", text)
    text = re.sub(r"0x[0-9a-f]+", "N", text)
    return re.sub(r"(errno[ =])?\d+(\.\d+)?", lambda m: m[0] if m[1] else "N", text, flags=re.IGNORECASE)[:300]


def line(what, test, why=""):
    return f"{what} {test}{f': {why}' if why != '' else ''}"


def write(path, lines):
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as output:
        output.writelines(line + "\n" for line in sorted(lines))


# ---- Python ----


def python(output, arguments):
    from test import libregrtest
    from test.support import testresult

    output, lines, process = os.path.abspath(output), [], os.getpid()

    def add(test, what, why=""):
        lines.append(line(what, test.id() if hasattr(test, "id") else test, why))

    def error(of):
        return normal(f"{of[0].__name__}: {of[1]}")

    # The report that the runner can write (--junit-xml) lacks subtests, which are where most failures are.
    class Result(testresult.RegressionTestResult):
        def addSuccess(self, test):
            add(test, "ok")
            super().addSuccess(test)

        def addError(self, test, err):
            add(test, "error", error(err))
            super().addError(test, err)

        def addFailure(self, test, err):
            add(test, "fail", error(err))
            super().addFailure(test, err)

        def addSkip(self, test, reason):
            add(test, "skip", normal(reason))
            super().addSkip(test, reason)

        def addExpectedFailure(self, test, err):
            add(test, "expected-failure")
            super().addExpectedFailure(test, err)

        def addUnexpectedSuccess(self, test):
            add(test, "unexpected-success")
            super().addUnexpectedSuccess(test)

        def addSubTest(self, test, subtest, err):
            if err is not None:
                add(subtest, "fail" if issubclass(err[0], test.failureException) else "error", error(err))
            super().addSubTest(test, subtest, err)

    testresult.RegressionTestResult = Result
    status = 0
    try:
        sys.argv = ["regrtest", *arguments]
        libregrtest.main()
    except SystemExit as end:
        status = end.code
    if os.getpid() != process:
        os._exit(1)
    # Files that a test has forgotten, changed settings: the runner says so by another code.
    write(output, lines + [line("exits", "the runner", status)])


# ---- stress-ng ----


# What stress-ng says when it has killed its processes, removed what they made, and one of them has made something else. A call that is answered from
# outside may be done a moment after its caller was killed: sandboxd.policy(5), INTERRUPTED CALLS.
AFTERWARDS = re.compile(r"rmdir '\S*/tmp-stress-ng-\S*' failed, errno=39 ")


def stressor(name, operations, limit):
    """Returns (what, why) of one stressor."""
    command = ["stress-ng", f"--{name}", "1", "--verify", "--temp-path", "stress", "--stdout", "--timeout", str(limit)]
    for more in ([f"--{name}-ops", operations], []):
        os.mkdir("stress")
        try:
            run = subprocess.run(command + more, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 errors="replace", timeout=3 * limit + 30, check=False)
        except subprocess.TimeoutExpired:
            shutil.rmtree("stress", ignore_errors=True)
            return "hang", ""
        left = sorted(normal(path) for path in os.listdir("stress"))
        shutil.rmtree("stress", ignore_errors=True)
        # The few without a number of operations run until their time is up.
        if "unrecognized option" not in run.stdout and "unrecognised option" not in run.stdout:
            break
    told = [text for text in run.stdout.splitlines() if "no CPUs found in /sys" not in text and not AFTERWARDS.search(text)]
    why = {normal(re.sub(r"^stress-ng: |\[\d+\]", "", text)) for text in told if re.search(r"\bfail:|\berror:|skip|not supported", text)}
    what = "skip" if re.search(r"skip|No stress workers", run.stdout) else "pass" if run.returncode == 0 else "fail"
    return what, "; ".join([f"exit code {run.returncode}", *sorted(why), *(f"leaves {path}" for path in left)])


def stress(output, arguments):
    limit, operations, *names = arguments
    lines = []
    for name in names:
        what, why = stressor(name, operations, int(limit))
        lines.append(line(what, name, why))
    write(output, lines)


# ---- Unit tests of a build with meson ----


def cases(report):
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        yield case.get("name"), case.get("status")


def unit(output, arguments):
    listed = subprocess.run(["meson", "introspect", "--tests", arguments[0]], stdout=subprocess.PIPE, check=True).stdout
    lines = []
    for test in json.loads(listed):
        if not any(suite.endswith(":unit") for suite in test["suite"]):
            continue
        if not os.path.exists(test["cmd"][0]):
            lines.append(line("lacks", test["name"]))
            continue
        report = os.path.abspath("report.xml")
        environment = {**os.environ, **test["env"], "CRITERION_OUTPUTS": f"xml:{report}", "CRITERION_VERBOSITY_LEVEL": "1"}
        run = subprocess.run(test["cmd"], env=environment, cwd=test["workdir"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=4 * test["timeout"], check=False)
        lines.append(line("exits", test["name"], run.returncode))
        if os.path.exists(report):
            lines += [line(status.lower(), f"{test['name']} {name}") for name, status in cases(report)]
            os.unlink(report)
    write(output, lines)


if __name__ == "__main__":
    {"python": python, "stress": stress, "unit": unit}[sys.argv[1]](sys.argv[2], sys.argv[3:])
