"""Runs the Autobahn suite's fuzzing client against a server."""

import json
import shutil
import subprocess

from harness.process import REPOSITORY

from .judge import Verdict, judge

WSTEST = REPOSITORY / ".autobahn" / "bin" / "wstest"

# Everything except the large messages of chapter 9: a quarter of a minute.
CORE = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
LIMITS = ["9.*"]
# A quarter of an hour, mostly the suite's own time; the few have one of each kind.
DEFLATE = ["12.*", "13.*"]
DEFLATE_FEW = (
    [f"12.1.{number}" for number in range(1, 7)] + [f"12.2.{number}" for number in (1, 2, 3)]
    + ["12.3.1", "12.4.1", "12.5.1"] + [f"13.{kind}.1" for kind in range(1, 8)] + ["13.7.6"]
)  # fmt: skip


def install():
    """Does nothing if it is installed already."""
    done = subprocess.run([REPOSITORY / "scripts" / "autobahn-environment"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def run(name: str, url: str, cases: list[str], timeout: float) -> Verdict:
    """Runs the cases and evaluates them; the report, with a page per case, is kept as report-NAME/index.html."""
    report = REPOSITORY / f"report-{name}"
    shutil.rmtree(report, ignore_errors=True)
    report.mkdir()
    spec = {
        "outdir": str(report),
        "servers": [{"agent": "tocsin", "url": url, "options": {"version": 18}}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    (report / "spec.json").write_text(json.dumps(spec, indent=2))
    with open(report / "wstest.log", "wb") as log:
        done = subprocess.run(
            [WSTEST, "-m", "fuzzingclient", "-s", str(report / "spec.json")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=timeout, cwd=report,
        )  # fmt: skip
    index = report / "index.json"
    assert done.returncode == 0 and index.exists(), (report / "wstest.log").read_text(errors="replace")[-4000:]
    verdict = judge(index, cases)
    (report / "summary.txt").write_text(f"{verdict}\n")
    return verdict
