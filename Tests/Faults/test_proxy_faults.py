"""HAProxy is reloaded, and dies: gateways need not know."""

import re
import subprocess

import pytest
from harness.haproxy import HAProxy

from .bench.load import Load

pytestmark = pytest.mark.timeout(300)

HARD_STOP = 3  # seconds that a reloaded HAProxy keeps its old connections


class Reloadable(HAProxy):
    def configuration(self):
        text, times = re.subn(r"^    hard-stop-after \S+$", f"    hard-stop-after {HARD_STOP}s", super().configuration(), flags=re.M)
        assert times == 1
        return text

    def reload(self):
        """A new process takes the port and tells the old one to finish."""
        old = self.popen
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(
                [*self.command(), "-sf", str(old.pid)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory
            )
        self.wait_ready()
        old.wait(HARD_STOP + 10)


def test_f06_haproxy_is_reloaded(scale):
    with Load(scale, haproxy_class=Reloadable) as load:
        load.calm()
        load.haproxy.reload()
        load.healed()
        load.calm()
        verdict = load.judge("F06 HAProxy reloaded")
        assert verdict.reconnects >= len(load.logs)


def test_f07_haproxy_is_killed(scale):
    with Load(scale, haproxy_class=HAProxy) as load:
        load.calm()
        load.haproxy.kill()
        load.last(3, 5)
        load.haproxy.start()
        load.healed()
        load.calm()
        verdict = load.judge("F07 HAProxy SIGKILL")
        assert verdict.reconnects >= len(load.logs)
