"""One run of the load generator."""

import contextlib
import json
import os
import re
import signal
import subprocess

from .machine import before_others
from .tools import tool


class LoadFailed(Exception):
    """wsload could not do its work: the run has no valid figures."""


def wsload(arguments, timeout) -> dict:
    """Runs wsload and returns its results. Lost messages are a result, not a failure."""
    command = [*before_others(), tool("wsload"), "--json", "-q", "--max-time", f"{timeout:.0f}", *arguments]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    try:
        output, errors = process.communicate(timeout=timeout + 30)
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"wsload did not end within {timeout + 30:.0f} s") from None
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode not in (0, 1) or not output:
        told = errors.strip().splitlines()
        raise LoadFailed(told[-1] if told else f"wsload ended with {process.returncode}")
    # An undefined quotient in C's spelling is not JSON: a rate per second when there was nothing to count.
    counted = json.loads(re.sub(r":-?(?:nan|inf)\b", ":null", output))
    connect = counted["connect"]
    if connect["failed"]:
        raise LoadFailed(
            f"{connect['failed']} of {connect['clients']} clients could not connect: {connect.get('first_failure', '')}"
        )
    for phase in counted.values():
        if phase.get("publish_errors"):
            raise LoadFailed(f"{phase['publish_errors']} messages were refused: {phase['first_publish_error']}")
    if "cut_short" in counted["end"]:
        raise LoadFailed(f"cut short after {timeout:.0f} s")
    return counted


def shown(arguments) -> str:
    """The command line as a user would type it: names instead of this run's ports, process ids and folders."""
    text = " ".join(quoted(str(argument)) for argument in arguments)
    text = re.sub(r"(127\.0\.0\.1):\d+", r"\1:PORT", text)
    text = re.sub(r"--server-pid [\d,]+", "--server-pid PID", text)
    text = re.sub(r"(--pid \w+)=[\d,]+", r"\1=PID", text)
    text = re.sub(r"/\S*/(?=Benchmarks/|\.build/)", "", text)
    return f"wsload {text}"


def quoted(argument) -> str:
    if re.fullmatch(r"[\w@%+=:,./{}-]+", argument):
        return argument
    return "'" + argument.replace("'", "'\\''") + "'"
