"""policy_set: versions, valid rules, and how a pattern matches a group."""

import json
import random

import pytest
from redis.exceptions import ResponseError

from harness.names import group_key, own


@pytest.fixture
def set_text(redis):
    return lambda text, prefix="asgi": redis.fcall("policy_set", 0, prefix, text)[0]


@pytest.fixture
def matches(redis, policy):
    """matches("pattern", ["group", …]) → the groups that the pattern matches: those that get no log"""

    def matches(pattern, groups):
        policy({"match": pattern, "size": 0})
        pipeline = redis.pipeline(transaction=False)
        for group in groups:
            pipeline.delete(own(f"log:{group}"))
            pipeline.fcall("group_send", 1, group_key(group), "{}")
            pipeline.exists(own(f"log:{group}"))
        return {group for group, logged in zip(groups, pipeline.execute()[2::3]) if not logged}

    return matches


def test_the_version_counts_changes(set_text):
    one, two = '[{"match":"a","size":5}]', '[{"match":"b","size":5}]'
    assert [set_text(text) for text in (one, one, two, two, one, "[]")] == [1, 1, 2, 2, 3, 4]


def test_who_has_seen_an_older_policy_leaves_the_newer_one_as_it_is(redis, set_text):
    set_text('[{"match":"a","size":0}]')
    seen = set_text('[{"match":"a","size":1}]')
    newer = set_text('[{"match":"a","size":1000}]')
    assert redis.fcall("policy_set", 0, "asgi", '[{"match":"a","size":1}]', seen) == [newer, 0]
    assert b"1000" in redis.get(own("policy"))
    assert redis.fcall("policy_set", 0, "asgi", '[{"match":"a","size":1}]', newer) == [newer + 1, 1]
    redis.delete(own("policy"))
    assert redis.fcall("policy_set", 0, "asgi", '[{"match":"a","size":1}]', 7) == [1, 1], "a flush left none: it is written"


def test_the_stored_policy_is_json_with_the_rules_as_given(redis, set_text):
    set_text('[{"match":"a*","size":5,"ttl":60}, {"match":"é","note":"kept"}]')
    assert json.loads(redis.get(own("policy"))) == {
        "version": 1, "rules": [{"match": "a*", "size": 5, "ttl": 60}, {"match": "é", "note": "kept"}]}


def test_prefixes_have_policies_of_their_own(redis, set_text, send):
    assert set_text('[{"match":"*","size":0}]', "shop") == 1
    assert set_text("[]") == 1
    send(prefix="shop")
    send()
    assert redis.exists("tocsin:shop:log:g", own("log:g")) == 1


def test_a_policy_takes_effect_with_the_next_send(redis, send, policy):
    send()
    policy({"match": "*", "ttl": 60})
    send()
    assert redis.ttl(own("log:g")) <= 60
    redis.delete(own("policy"))
    send()
    assert redis.ttl(own("log:g")) > 80000


def test_the_first_rule_that_matches_decides(redis, send, policy):
    policy({"match": "news.*", "ttl": 60}, {"match": "*", "size": 0}, {"match": "other", "ttl": 5})
    send(group="news.se")
    send(group="other")
    assert redis.exists(own("log:news.se")) and not redis.exists(own("log:other"))


def test_a_damaged_policy_is_as_none_and_can_be_set_again(redis, send, set_text):
    for damaged in ("not json", "[]", "{}", '{"rules":[]}', "5"):
        redis.set(own("policy"), damaged)
        send(group="g")
        assert redis.ttl(own("log:g")) > 80000
        assert set_text("[]") == 1


@pytest.mark.parametrize(
    "text",
    ["", "x", "null", "5", '"[]"', "{}", '{"match":"*"}', "[", "[]]", "[]\x00", "[1]", "[null]", "[[]]", "[{}]", '[{"match":5}]',
     '[{"match":null}]', '[{"match":"a","size":"5"}]', '[{"match":"a","size":-1}]', '[{"match":"a","size":1.5}]',
     '[{"match":"a","size":1000001}]', '[{"match":"a","size":null}]', '[{"match":"a","ttl":0}]', '[{"match":"a","ttl":-5}]',
     '[{"match":"a","ttl":1e20}]', '[{"match":"a","ttl":0.5}]', '[{"match":"a","ttl":NaN}]', '[{"match":"a","ttl":"1d"}]',
     '[{"match":"good"},{"size":5}]'])
def test_bad_rules_are_refused_and_the_old_ones_stay(redis, set_text, text):
    set_text('[{"match":"a"}]')
    before = redis.get(own("policy"))
    with pytest.raises(ResponseError, match="tocsin: (policy_set wants|a rule is)"):
        set_text(text)
    assert redis.get(own("policy")) == before


def test_missing_arguments_are_refused(redis):
    for args in ((), ("asgi",)):
        with pytest.raises(ResponseError, match="tocsin: policy_set wants"):
            redis.fcall("policy_set", 0, *args)


# Patterns

GROUPS = ["a", "b", "ab", "abc", "a.c", "a-c", "a.b.c", "42isInsufficient", "isInsufficient", "x42", "-", ".", "..", "a_c", "A", "aXc"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", set(GROUPS)),
        ("a", {"a"}),
        ("", set()),
        ("a*", {"a", "ab", "abc", "a.c", "a-c", "a.b.c", "a_c", "aXc"}),
        ("*c", {"abc", "a.c", "a-c", "a.b.c", "a_c", "aXc"}),
        ("*isInsufficient", {"42isInsufficient", "isInsufficient"}),
        ("a?c", {"abc", "a.c", "a-c", "a_c", "aXc"}),
        ("?", {"a", "b", "-", ".", "A"}),
        ("a*b*c", {"abc", "a.b.c"}),
        ("**", set(GROUPS)),
        ("*?", set(GROUPS)),
        ("??*", {g for g in GROUPS if len(g) >= 2}),
        # Characters that are special for Lua, fnmatch or Redis are not special here.
        ("a.c", {"a.c"}),
        ("a-c", {"a-c"}),
        (".", {"."}),
        ("-", {"-"}),
        ("%a", set()),
        ("%a*", set()),
        ("[ab]", set()),
        ("[a-z]*", set()),
        ("^a", set()),
        ("a$", set()),
        ("(a)", set()),
        ("a+", set()),
        ("\\a", set()),
        ("{a,b}", set()),
        ("a\x00", set()),
    ],
)
def test_a_pattern_knows_only_star_and_question_mark(matches, pattern, expected):
    assert matches(pattern, GROUPS) == expected


def reference(pattern, text):
    """Straight from the definition."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(reference(pattern[1:], text[i:]) for i in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and reference(pattern[1:], text[1:])


def test_random_patterns_match_as_defined(matches):
    rng = random.Random(5)
    groups = sorted({"".join(rng.choices("ab.-", k=rng.randrange(1, 8))) for _ in range(60)})
    for _ in range(150):
        pattern = "".join(rng.choices("ab.-*?", k=rng.randrange(0, 7)))
        assert matches(pattern, groups) == {g for g in groups if reference(pattern, g)}, pattern


def test_a_pattern_made_to_be_slow_is_not(redis, send, policy):
    policy({"match": "*a" * 40 + "b", "size": 0})
    redis.config_resetstat()
    send(group="a" * 99)
    assert redis.info("commandstats")["cmdstat_fcall"]["usec"] < 100_000
