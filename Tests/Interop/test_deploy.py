"""The files under deploy/ are accepted by the programs they are for."""

import subprocess

from harness.haproxy import SHIPPED


def test_haproxy_accepts_its_configuration_without_a_warning():
    checked = subprocess.run(["haproxy", "-c", "-f", str(SHIPPED)], capture_output=True, text=True, timeout=20)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "WARNING" not in checked.stdout + checked.stderr
