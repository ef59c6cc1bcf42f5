"""gateway_trial: which rights a gateway's user lacks, and whether Redis accepts writes at all."""

import re

import pytest
from redis.exceptions import ResponseError

from harness.names import own
from harness.redis_server import LIBRARY, USERS, RedisServer

TRIAL = ("FCALL", "gateway_trial", 0, "asgi", 3, "PRESENCE", "WAIT")
[LINE] = [line.split()[2:] for line in USERS.read_text().splitlines() if line.startswith("user gateway ")]
# What a gateway does besides calling functions, and can do without: see redis/README.md.
OPTIONAL = {"+function|load", "+config|get", "+ping", "+hello", "+select", "+role", "+client|setname", "+psubscribe", "&specific.*"}


@pytest.fixture
def trial(redis):
    """trial(*rules) → what a user with these rules lacks"""

    def trial(*rules):
        redis.execute_command("ACL", "SETUSER", "tried", "reset", "on", "nopass", *rules)
        client = server_of(redis)
        try:
            return [rule.decode() for rule in client.execute_command(*TRIAL)]
        finally:
            client.close()

    def server_of(redis):
        options = redis.connection_pool.connection_kwargs
        return type(redis)(host=options["host"], port=options["port"], db=3, username="tried", password="x")

    yield trial
    redis.execute_command("ACL", "DELUSER", "tried")


def test_the_gateway_s_user_of_users_acl_lacks_nothing(trial):
    assert trial(*(rule for rule in LINE if not rule.startswith("#"))) == []


def test_a_user_with_all_rights_lacks_nothing(trial):
    assert trial("~*", "&*", "+@all") == []


@pytest.mark.parametrize("rule", [rule for rule in LINE if rule[0] in "+~&" and rule not in OPTIONAL | {"+fcall", "+publish"}])
def test_each_right_of_users_acl_that_is_taken_away_is_named(trial, rule):
    rules = [each for each in LINE if each != rule and not each.startswith("#")]
    if rule == "~asgispecific.*":  # workers' channels, a selector, reach these keys for sending: so commands are named too
        missing = trial(*rules)
        assert rule in missing and trial(*rules, *missing) == []
        return
    assert trial(*rules) == [rule]


def test_without_the_right_to_publish_it_is_named_once(trial):
    rules = [each for each in LINE if each != "+publish" and not each.startswith("#")]
    assert trial(*rules) == ["+publish"]


def test_a_user_without_channels_is_told_of_every_family(trial):
    assert trial("~*", "+@all") == [
        "&asgi__group__*", "&asgi__gateways__*", "&asgi__probe__*", "&asgi__presence__*", "&asgi__control",
        "&__keyspace@*__:asgispecific.*"]


def test_a_user_without_writes_is_told_of_the_writing_commands_only(trial):
    missing = trial("~*", "&*", "+@all", "-@write")
    assert "+hset" in missing and "+xadd" in missing
    assert not {"+get", "+hmget", "+info", "+publish"} & set(missing) and {m[0] for m in missing} == {"+"}


def test_what_is_named_mends_it(trial):
    for rules in (["~*", "+@all"], ["~asgi:*", "&*", "+@all"], ["~*", "&*", "+@all", "-@write", "-info", "-subscribe"],
                  ["%R~*", "&*", "+@all"], ["+fcall", "+select"]):
        missing = trial(*rules)
        assert missing
        assert trial(*rules, *missing) == [], (rules, missing)


def test_another_prefix_has_its_own_keys_and_channels(redis, server):
    rules = ["~shop:*", "~shopspecific.*", "~tocsin:shop:*", "&shop__*", "&__keyspace@*__:shopspecific.tocsin-*", "+@all"]
    redis.execute_command("ACL", "SETUSER", "shop", "reset", "on", ">x", *rules)
    try:
        client = server.client(username="shop", password="x")
        assert client.fcall("gateway_trial", 0, "shop", 3, "PRESENCE") == []
        assert b"~asgi:*" in client.fcall("gateway_trial", 0, "asgi", 3)
    finally:
        redis.execute_command("ACL", "DELUSER", "shop")


def test_it_writes_nothing_and_leaves_no_refusal_in_the_log(redis, trial):
    redis.execute_command("ACL", "LOG", "RESET")
    assert trial("+fcall", "+select")
    assert redis.dbsize() == 0 and redis.acl_log() == []


def test_every_command_that_a_function_calls_is_tried():
    code = LIBRARY.read_text()
    called = set(re.findall(r"redis\.p?call\('(\w+)'", code)) | {"HSET", "SSCAN"}  # including a gateway's own calls
    table = code[code.index("local WORK"): code.index("local function gateway_trial")]
    tried = set(re.findall(r"'([A-Z]+)'", table)) | {"INFO", "TIME", "PUBLISH", "PUBSUB"}
    assert called == tried
    functions = set(re.findall(r"register_function(?:\(|\{ function_name = )'(\w+)'", code))
    calls = table[table.index("local CALLS"):]
    assert functions - set(re.findall(r"'(\w+)'", calls)) == {"gateway_trial", "group_read", "tocsin_version"}


def test_a_command_that_the_operator_has_renamed_is_named():
    with RedisServer(args=("--rename-command", "SRANDMEMBER", "")) as server:
        server.load_library()
        assert server.client().execute_command(*TRIAL) == [b"no:SRANDMEMBER"]


@pytest.mark.parametrize(
    ("settings", "kind"),
    [({"maxmemory": 1}, "OOM"), ({"min-replicas-to-write": 1}, "NOREPLICAS")])
def test_it_is_refused_when_writes_are(redis, settings, kind):
    before = {name: redis.config_get(name)[name] for name in settings}
    for name, value in settings.items():
        redis.config_set(name, value)
    try:
        with pytest.raises(ResponseError, match=f"^{kind} |command not allowed"):
            redis.execute_command(*TRIAL)
    finally:
        for name, value in before.items():
            redis.config_set(name, value)
    assert redis.execute_command(*TRIAL) == []


def test_a_replica_refuses_it(redis):
    redis.execute_command("REPLICAOF", "127.0.0.1", 1)
    try:
        with pytest.raises(ResponseError, match="read only replica"):
            redis.execute_command(*TRIAL)
    finally:
        redis.execute_command("REPLICAOF", "NO", "ONE")


def test_wrong_arguments_are_told(redis):
    for arguments in ((), ("asgi",), ("asgi", "x")):
        with pytest.raises(ResponseError, match="gateway_trial wants prefix and database"):
            redis.fcall("gateway_trial", 0, *arguments)
    assert not redis.exists(own("trial"))


def test_the_channel_of_a_worker_is_named_where_it_is_used(redis, server):
    rules = ["~asgi:*", "~asgispecific.*", "~tocsin:*", "&*", "+@all"]
    redis.execute_command("ACL", "SETUSER", "tried", "reset", "on", ">x", *rules)
    try:
        client = server.client(username="tried", password="x")
        assert client.execute_command(*TRIAL) == []
        assert client.execute_command(*TRIAL, "CHANNEL=tasks", "CHANNEL=mail") in (
            [b"~asgitasks", b"~asgimail"], [b"~asgimail", b"~asgitasks"])
        redis.execute_command("ACL", "SETUSER", "tried", "~asgitasks")
        assert client.execute_command(*TRIAL, "CHANNEL=tasks") == []
    finally:
        redis.execute_command("ACL", "DELUSER", "tried")


def test_the_gateway_s_user_of_users_acl_may_send_to_any_worker(redis, server):
    redis.execute_command("ACL", "SETUSER", "tried", "reset", "on", ">x", *(rule for rule in LINE if not rule.startswith("#")))
    try:
        assert server.client(username="tried", password="x").execute_command(*TRIAL, "CHANNEL=tasks") == []
    finally:
        redis.execute_command("ACL", "DELUSER", "tried")
