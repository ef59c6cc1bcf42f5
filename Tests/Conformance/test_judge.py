"""The judge, on hand-made reports: it must not pass a bad run."""

import json

import pytest

from .judge import judge, wanted

pytestmark = pytest.mark.quick


@pytest.fixture
def verdict(tmp_path):
    def judged(patterns, **cases):
        """case_1_1_1=("OK", "OK")"""
        entries = {
            name.removeprefix("case_").replace("_", "."): {"behavior": behavior, "behaviorClose": close}
            for name, (behavior, close) in cases.items()
        }
        (tmp_path / "index.json").write_text(json.dumps({"tocsin": entries}))
        return judge(tmp_path / "index.json", patterns)

    return judged


@pytest.mark.parametrize("behavior", ["OK", "INFORMATIONAL"])
@pytest.mark.parametrize("close", ["OK", "INFORMATIONAL"])
def test_ok_and_informational_pass(verdict, behavior, close):
    assert verdict(["7.1.1"], case_7_1_1=(behavior, close)).passes


@pytest.mark.parametrize("word", ["NON-STRICT", "FAILED", "WRONG CODE", "UNCLEAN", "UNIMPLEMENTED", "FAILED BY CLIENT", "?"])
def test_everything_else_fails_as_behaviour_and_as_close(verdict, word):
    for pair in [(word, "OK"), ("OK", word)]:
        judged = verdict(["7.1.1", "7.1.2"], case_7_1_1=pair, case_7_1_2=("OK", "OK"))
        assert not judged.passes
        assert [case.id for case in judged.bad] == ["7.1.1"]
        assert f"bad: 7.1.1 {pair[0]}, close {pair[1]}" in str(judged)


def test_a_report_without_some_of_the_cases_fails(verdict):
    judged = verdict(["10.*", "7.1.1", "7.1.2"], case_7_1_1=("OK", "OK"))
    assert not judged.passes
    assert judged.missing == {"10": 1, "7": 1}
    assert not verdict(["10.*"]).passes


def test_a_report_of_two_servers_is_not_judged(tmp_path):
    (tmp_path / "index.json").write_text(json.dumps({"one": {}, "other": {}}))
    with pytest.raises(ValueError):
        judge(tmp_path / "index.json", ["1.*"])


def test_patterns_are_counted_by_chapter():
    assert wanted(["1.*", "9.1.6", "9.2.6"]) == {"1": 16, "9": 2}


def test_the_table_has_a_line_for_every_chapter_and_a_column_for_every_result(verdict):
    lines = str(
        verdict(["1.1.1", "10.1.1"], case_10_1_1=("OK", "OK"), case_1_1_1=("OK", "UNCLEAN"), case_1_1_2=("OK", "OK"))
    ).splitlines()
    assert lines[0].split() == ["chapter", "OK", "close", "UNCLEAN"]
    assert lines[1].split() == ["1.", "Framing", "1", "1"]
    assert lines[2].split() == ["10.", "Auto-fragmentation", "1", "-"]
    assert lines[3].split() == ["all", "2", "1"]
