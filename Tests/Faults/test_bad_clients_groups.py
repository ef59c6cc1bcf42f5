"""Other users' groups, and invalid names: S34, S37, S38, and the part of S47 about groups."""

import re
import time

import pytest
from harness.clients import frame

from .bench.bad_client import MARK
from .bench.commands import Commands
from .bench.target import GROUPS

pytestmark = pytest.mark.quick

TEXT = 1
DENIED, UNKNOWN, LIMIT, BAD = 103, 104, 106, 107
NAMES = {
    "100 letters": "a" * 100,
    "201 letters": "a" * 201,
    "a star": "*",
    "a question mark": "?",
    "a class": "[a-z]",
    "a brace": "{",
    "braces": "{x}",
    "a colon": "a:b",
    "a space": "a b",
    "a tab": "a\tb",
    "NUL": "a\0b",
    "CR LF": "a\r\nb",
    "a slash": "a/b",
    "a backslash": "a\\b",
    "dots and slashes": "../etc",
    "right to left": "a\u202eb",
    "composed": "\u00e9",
    "decomposed": "e\u0301",
    "Arabic digits": "\u0663",
    "our own key": "tocsin:pos:good-1",
    "the layer's own key": "asgi:group:good-1",
    "the probe's channel": "ntf:3:probe",
    "a channel's name": "specific.gone!x",
    "a shell's": "$(x)",
    "a quote": "a'b",
    "a semicolon": "a;b",
}
ESCAPES = {"a byte that is no UTF-8": "%ff", "half an escape": "a%", "no hexadecimal": "a%zz", "half a character": "%C3"}
ALLOWED = ["a", "a" * 99, "A-Z_09.x", "__proto__", "...", "constructor"]


def quoted(name: str) -> str:
    return "".join(f"%{byte:02x}" for byte in name.encode())


def test_s34_a_name_that_no_group_can_have_is_400_and_makes_no_key(target, attack):
    """The same characters as in channels_redis: letters, digits, "-", "_" and ".", fewer than 100."""
    before = set(target.store.keys("asgi:group:*"))

    def check(path):
        assert target.handshake(path).status in (400, 404)

    cases = {name: f"/ws/{quoted(text)}" for name, text in NAMES.items()} | {n: f"/ws/{e}" for n, e in ESCAPES.items()}
    cases |= {f"{name}, as it is": f"/ws/{text}" for name, text in NAMES.items() if re.fullmatch("[!-.0-~]+", text)}
    cases["nothing"] = "/ws/"
    attack(cases, check)
    assert set(target.store.keys("asgi:group:*")) - before == set()


def test_s34_nobody_subscribes_to_such_a_name_and_never_to_a_pattern(target, attack):
    def action():
        with Commands(target, sub="names") as client:
            for number, (name, text) in enumerate(NAMES.items(), 2):
                assert (name, client.code({"id": number, "subscribe": {"channel": text}})) == (name, BAD)

    attack.once(action)
    assert target.store.pubsub_numpat() == 1, "the gateways' own, for what Django sends to single connections: specific.*"


def test_s34_names_of_claims_are_looked_at_too(target, attack):
    cases = {name: target.token(team=text) for name, text in NAMES.items()}
    cases |= {"a list": target.token(team=["red"]), "an object": target.token(team={"a": 1}), "null": target.token(team=None)}

    def check(token):
        assert target.handshake("/team", f"Authorization: Bearer {token}").status == 400

    attack(cases, check)


def test_s34_a_name_that_is_allowed_is_stored_byte_by_byte(target):
    for name in ALLOWED:
        with target.socket(f"/ws/{name}"):
            assert target.store.exists(f"asgi:group:{name}")


# Too many -------------------------------------------------------------------------------------------------------------


def test_s37_the_129th_group_of_a_connection_is_one_too_many(target, attack):
    """Each channel has its own subscribe here, so each of the surplus ones is refused, not all of them."""
    count = 190  # in one batch: more would be too many messages

    def action():
        with Commands(target) as client:
            client.say(*({"id": n, "subscribe": {"channel": f"room.s37-{n}"}} for n in range(2, count + 2)))
            codes = [client.reply(n).get("error", {}).get("code") for n in range(2, count + 2)]
            assert codes == [None] * GROUPS + [LIMIT] * (count - GROUPS)

    attack.once(action, per_second=2)


def test_s37_a_login_that_names_more_groups_is_refused_as_a_whole(target, attack):
    tokens = {str(count): target.token(groups=[f"s37-{n}" for n in range(count)]) for count in (GROUPS, 256, 500)}

    def check(token):
        assert target.handshake("/token", f"Authorization: Bearer {token}").status == 403

    attack(tokens, check)
    assert not target.store.exists("asgi:group:s37-0")
    allowed = target.token(groups=[f"s37-{n}" for n in range(GROUPS - 1)])
    assert target.handshake("/token", f"Authorization: Bearer {allowed}").status == 101


# Somebody else's ------------------------------------------------------------------------------------------------------

FORBIDDEN = {
    "join another's": {"subscribe": {"channel": "43.inbox"}},
    "join what is nobody's": {"subscribe": {"channel": "nobody.inbox"}},
    "join the good clients'": {"subscribe": {"channel": "good-1"}},
    "publish where one may only join": {"publish": {"channel": "room.a", "data": {"a": 1}}},
    "publish to another": {"publish": {"channel": "43.inbox", "data": {"a": 1}}},
    "publish to the good clients": {"publish": {"channel": "good-1", "data": {"id": "x"}}},
    "read another's history": {"history": {"channel": "43.inbox", "limit": -1}},
    "see who is there": {"presence": {"channel": "good-1"}},
    "count them": {"presence_stats": {"channel": "good-1"}},
}
ADMINISTRATION = {
    "end a user's connections": {"rpc": {"method": "disconnect", "data": {"user": "43"}}},
    "a command of the server's API": {"broadcast": {"channels": ["good-1"], "data": {}}},
    "another": {"disconnect": {"user": "43"}},
}


def test_s38_what_is_somebody_else_s_is_denied_and_subscribed_nowhere(target, attack):
    target.store.fcall("group_send", 1, "asgi:group:43.inbox", f'{{"secret":"{MARK}"}}')
    target.store.delete("asgi:group:43.inbox")
    channels = set(target.store.pubsub_channels())

    def action():
        with Commands(target, sub="42") as client:
            for number, (name, command) in enumerate(FORBIDDEN.items(), 2):
                error = client.ask({"id": number, **command})["error"]
                assert (name, error) == (name, {"code": DENIED, "message": "permission denied"})
            for number, (name, command) in enumerate(ADMINISTRATION.items(), 100):
                assert (name, client.code({"id": number, **command})) == (name, UNKNOWN)

    attack.once(action)
    assert set(target.store.pubsub_channels()) <= channels
    assert not target.store.exists("asgi:group:43.inbox", "asgi:group:nobody.inbox")


def test_s38_a_user_in_the_path_or_the_query_is_not_who_one_is(target):
    with target.bearer("/token?user=43&sub=43", sub="42"):
        assert target.store.exists("tocsin:roster:42.inbox") and not target.store.exists("tocsin:roster:43.inbox")


def test_s38_the_type_that_names_a_method_of_django_is_not_the_client_s(target):
    with target.socket("/say/typed") as sender, target.socket("/ws/typed") as listener:
        for text in b'{"type":"admin.delete"}', b'{"t\\u0079pe":"admin.delete"}', b'{"type":"a","type":"b"}':
            sender.send(frame(TEXT, text))
            assert listener.frame()[1].endswith(b'"type":"receive"}')


def test_s47_a_group_that_exists_takes_as_long_to_be_denied_as_one_that_does_not(target, scale):
    target.store.fcall("group_send", 1, "asgi:group:43.inbox", '{"a":1}')
    times = {"43.inbox": [], "nobody.inbox": []}
    answers = set()
    for turn in range(scale.pick(3, 30)):
        # A connection may send only so many commands per second, so several are used, one after the other.
        with Commands(target, sub="42") as client:
            for number in range(2, 62):
                channel = list(times)[number % 2]
                began = time.monotonic()
                answers.add(str(client.ask({"id": number, "subscribe": {"channel": channel}})["error"]))
                times[channel].append(time.monotonic() - began)
    # Other work of the machine only adds to the time.
    least = [min(each) * 1000 for each in times.values()]
    assert len(answers) == 1 and abs(least[0] - least[1]) < 5, least
