"""The gateway under the Autobahn suite: every case OK, or INFORMATIONAL where the suite judges nothing."""

import pytest

from . import suite


@pytest.mark.quick
def test_frames_messages_and_closes_are_strict(autobahn, mirror):
    verdict = autobahn("core", mirror, suite.CORE, 110)
    assert verdict.passes, f"\n{verdict}"


@pytest.mark.timeout(300)
def test_large_and_many_fragmented_messages_pass_where_the_limits_allow_them(autobahn, mirror):
    verdict = autobahn("limits", mirror, suite.LIMITS, 280)
    assert verdict.passes, f"\n{verdict}"
