"""The gateway in the Autobahn suite: every case OK, or INFORMATIONAL where the suite does not judge."""

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


@pytest.mark.quick
def test_compressed_messages_pass(autobahn, mirror):
    verdict = autobahn("deflate-few", mirror, suite.DEFLATE_FEW, 110)
    assert verdict.passes, f"\n{verdict}"


@pytest.mark.timeout(1800)
def test_every_compression_case_passes(autobahn, mirror):
    verdict = autobahn("deflate", mirror, suite.DEFLATE, 1780)
    assert verdict.passes, f"\n{verdict}"
