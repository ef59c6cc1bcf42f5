"""Has a real sender of escalations, in the program of the Swift tests, send one task to a server of the test."""

import json
import os
import subprocess
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[2] / ".build/release/tocsinPackageTests.xctest"


def escalate(expected="done", **task):
    """Sends, and fails when the sender's result is another one.

    task: `url` and `secrets` of a webhook, or `subscription`, `authority`, `key` (PEM), `ttl`, `urgency`, `topic` of a push; `id`, `body`,
    `timeout_ms`. `reason`: what the result has to mention; `not_before`: seconds until the next try, at least; `hidden`: words that
    neither the log nor the result may contain.
    """
    assert PROGRAM.exists(), f"{PROGRAM.name} is missing: build it with make swift-test"
    done = subprocess.run(
        [PROGRAM, "--testing-library", "swift-testing", "--filter", "PeerTests"],
        env={**os.environ, "TOCSIN_TEST_PEER": json.dumps({"expected": expected, **task})},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0 and "with 1 test" in done.stdout + done.stderr, done.stdout + done.stderr
