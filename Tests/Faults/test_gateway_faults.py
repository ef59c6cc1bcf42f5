"""Gateways die, restart, freeze: what their clients missed comes after, and nobody else notices."""

import pytest

from .bench.load import Load

pytestmark = pytest.mark.timeout(300)


@pytest.mark.quick
def test_f01_a_gateway_is_killed_and_restarted(scale):
    with Load(scale) as load:
        load.calm()
        load.fault()
        load.gateways[0].kill()
        load.last(3, 10)
        load.gateways[0].start()
        load.healed()
        load.calm()
        load.judge("F01 gateway SIGKILL")
