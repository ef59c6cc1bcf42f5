"""redis/users.acl: what each user may do, and above all what not."""

import asyncio
import hashlib
from pathlib import Path

import msgpack
import pytest
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from harness.consumers import CoreLayer, consumer, inbox
from harness.names import Position, fleet_member, group_key, inbox_key, live_channel, own
from harness.redis_server import LIBRARY, USERS, RedisServer

NAMES = ("gateway", "publisher", "django", "operator")
KEY = group_key("g")
SEND = ("FCALL", "group_send", 1, KEY, "{}")

# No part of the system needs these, and each would break the guarantee or the server.
NEVER = [
    ("FLUSHALL",), ("FLUSHDB",), ("SWAPDB", 0, 3), ("SHUTDOWN", "NOSAVE"), ("DEBUG", "SLEEP", "0"), ("KEYS", "*"), ("MONITOR",),
    ("SAVE",), ("BGSAVE",), ("BGREWRITEAOF",), ("REPLICAOF", "NO", "ONE"), ("CONFIG", "SET", "maxmemory", "0"),
    ("CONFIG", "REWRITE"), ("CONFIG", "RESETSTAT"), ("ACL", "SETUSER", "x", "on"), ("ACL", "LIST"), ("ACL", "SAVE"),
    ("CLIENT", "KILL", "TYPE", "pubsub"), ("CLIENT", "PAUSE", "1"), ("MODULE", "LIST"), ("CLUSTER", "INFO"), ("FAILOVER",),
    ("FUNCTION", "FLUSH"), ("FUNCTION", "DELETE", "tocsin"), ("FUNCTION", "RESTORE", "x"), ("SCRIPT", "FLUSH"),
    ("EVALSHA", "0" * 40, 0), ("SCRIPT", "LOAD", "return 1"), ("MIGRATE", "h", 1, "k", 0, 1), ("RENAME", KEY, "asgi:group:h"),
    ("GET", "secret"), ("SET", "secret", "1"), ("DEL", "secret"), ("GET", "asgix"), ("GET", "asgispecificx"), ("GET", "tocsinx"),
    ("PUBLISH", "secret", "1"), ("PUBLISH", "asgi__groupx", "1"), ("SUBSCRIBE", "secret"), ("PSUBSCRIBE", "*"),
]
ACTIONS = {
    "load functions": ("FUNCTION", "LOAD", "REPLACE", LIBRARY.read_bytes()),
    "send": SEND,
    "publish": ("PUBLISH", live_channel("g"), "{}"),
    "join": ("FCALL", "group_add", 1, KEY, "gw", 60, "specific.gw!1", "", ""),
    "read the log": ("XRANGE", own("log:g"), "-", "+"),
    "read what was missed": ("FCALL_RO", "group_read", 1, KEY, 10, 1000, ""),
    "read the roster": ("HGETALL", own("roster:g")),
    "read the position": ("HMGET", own("pos:g"), "epoch", "offset"),
    "read all of the position": ("HGETALL", own("pos:g")),
    "read the policy": ("GET", own("policy")),
    "set the policy": ("FCALL", "policy_set", 0, "asgi", "[]"),
    "read an inbox": ("ZRANGE", inbox_key("g"), 0, -1),
    "empty an inbox": ("ZPOPMIN", inbox_key("g")),
    "take from an inbox": ("ZREMRANGEBYRANK", inbox_key("g"), 0, 0),
    "read who is a member": ("ZRANGE", KEY, 0, -1),
    "change who is a member": ("ZREM", KEY, "x"),
    "delete a log": ("DEL", own("log:g")),
    "forge an entry": ("XADD", own("log:forged"), "*", "m", "{}"),
    "end connections": ("PUBLISH", "asgi__control", '{"event":"end","user":"1"}'),
    "hear what is to end": ("SUBSCRIBE", "asgi__control"),
    "hear live messages": ("SUBSCRIBE", live_channel("g")),
    "hear all live messages": ("PSUBSCRIBE", live_channel("*")),
    "hear the doorbell": ("SUBSCRIBE", f"__keyspace@3__:{inbox_key('g')}"),
    "hear every key": ("PSUBSCRIBE", "__keyspace@*__:*"),
    "read the configuration": ("CONFIG", "GET", "notify-keyspace-events"),
    "list the clients": ("CLIENT", "LIST"),
    "find keys": ("SCAN", 0),
    "run a script": ("EVAL", "return 1", 0),
    "see refusals": ("ACL", "LOG"),
    "ask for the time": ("TIME",),
    "wait for replicas": ("WAIT", 0, 1),
}
MAY = {
    "gateway": {
        "load functions", "send", "publish", "join", "read the log", "read what was missed", "read the roster",
        "read the position", "read all of the position", "read the policy", "set the policy", "read an inbox", "take from an inbox", "read who is a member",
        "change who is a member", "delete a log", "forge an entry", "hear live messages", "hear all live messages", "hear the doorbell",
        "end connections", "hear what is to end",
        "read the configuration", "ask for the time", "wait for replicas"},
    "publisher": {
        "send", "publish", "read the position", "read the policy", "read who is a member", "delete a log", "forge an entry",
        "ask for the time", "wait for replicas"},
    "django": {"publish", "read an inbox", "empty an inbox", "read who is a member", "change who is a member", "run a script",
               "hear live messages"},
    "operator": {
        "load functions", "read the log", "read what was missed", "read the roster", "read the position", "end connections",
        "read all of the position", "read the policy", "read an inbox", "read who is a member", "hear live messages", "hear all live messages", "hear the doorbell",
        "read the configuration", "list the clients", "find keys", "see refusals", "ask for the time"},
}


@pytest.fixture(scope="module")
def guarded():
    # DEBUG is enabled, so that it is refused by the user's rights.
    with RedisServer(acl=True, args=("--enable-debug-command", "yes")) as server:
        login(server, "operator").execute_command("FUNCTION", "LOAD", LIBRARY.read_bytes())
        yield server


def login(server, name):
    return server.client(username=name, password=f"change-me-{name}")


def run(server, name, command):
    """On a separate connection: a granted subscription changes what the connection may do."""
    client = server.client(username=name, password=f"change-me-{name}", single_connection_client=True)
    try:
        if command[0] in ("SUBSCRIBE", "PSUBSCRIBE"):
            client.connection.send_command(*command)
            return client.connection.read_response()
        return client.execute_command(*command)
    finally:
        client.close()


@pytest.fixture
def unrefused(guarded):
    """Checks that the test leaves no entry in ACL LOG: nothing was refused, not even inside a function."""
    operator = login(guarded, "operator")
    operator.acl_log_reset()
    yield guarded
    assert [(entry["username"], entry["object"]) for entry in operator.acl_log()] == []


def test_nobody_is_let_in_without_a_password(guarded):
    with pytest.raises(AuthenticationError):
        guarded.client().ping()
    for user, password in (("default", ""), ("default", "x"), ("gateway", "x"), ("gateway", "change-me-operator"), ("x", "x")):
        with pytest.raises((AuthenticationError, ResponseError)):
            guarded.client(username=user, password=password).ping()


def test_the_file_holds_no_password_in_clear():
    for line in USERS.read_text().splitlines():
        words = line.split()
        assert words[0] == "user" and not any(w.startswith(("<", ">")) or w in ("nopass", "allkeys", "allcommands") for w in words)
        assert "~*" not in words and "&*" not in words and "+@all" not in words


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("action", ACTIONS)
def test_a_user_may_do_its_work_and_nothing_else(guarded, name, action):
    if action in MAY[name]:
        run(guarded, name, ACTIONS[action])
    else:
        with pytest.raises(NoPermissionError):
            run(guarded, name, ACTIONS[action])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", NEVER, ids=lambda c: " ".join(map(str, c[:2])))
def test_nobody_may_end_the_promise_or_reach_beyond_the_prefix(guarded, name, command):
    with pytest.raises(NoPermissionError):
        run(guarded, name, command)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("gateway", {"info", "role", "config|get"}), ("publisher", {"info", "role"}), ("django", set()),
     ("operator", {"info", "role", "config|get", "client|list", "slowlog|get", "slowlog|len", "latency|latest", "latency|history",
                   "acl|log", "acl|load"})])
def test_of_the_dangerous_commands_only_the_named_ones_are_granted(redis, name, allowed):
    """Compared with this server's full list, so that no new command is granted by a category."""
    [line] = [line.split() for line in USERS.read_text().splitlines() if line.startswith(f"user {name} ")]
    redis.execute_command("ACL", "SETUSER", *line[1:])
    try:
        commands = {c.decode() for category in ("dangerous", "admin") for c in redis.execute_command("ACL", "CAT", category)}
        assert len(commands) > 60
        assert {c for c in commands if dry_run(redis, name, c)} == allowed
    finally:
        redis.execute_command("ACL", "DELUSER", name)


def dry_run(redis, name, command):
    """Whether the user may run the command, with as many arguments as it needs."""
    for count in range(8):
        try:
            answer = redis.execute_command("ACL", "DRYRUN", name, *command.split("|"), *[KEY] * count)
            return answer == b"OK"
        except ResponseError as error:
            if "wrong number of arguments" not in str(error):
                raise
    raise AssertionError(f"{command} takes no number of arguments")


# Complete life cycles, without a refusal in the log


def test_a_gateway_lives_its_whole_life_without_a_refusal(unrefused):
    gateway = login(unrefused, "gateway")
    gateway.execute_command("FUNCTION", "LOAD", "REPLACE", LIBRARY.read_bytes())
    gateway.execute_command("CLIENT", "SETNAME", "tocsin-gw")
    assert gateway.fcall("policy_set", 0, "asgi", '[{"match":"live.*","size":0}]')[0] >= 1
    assert gateway.fcall("gateway_trial", 0, "asgi", 3, "PRESENCE") == []
    gateway.fcall("gateway_lease", 0, "asgi", "gw", 15, "", "host", "h", "process", "a1", "link", 1)
    for group in ("life", "live.x"):
        gateway.fcall("group_add", 1, group_key(group), "gw@a1:1", 60, "specific.gw!1", "42", "")
        for _ in range(40):
            gateway.fcall("group_send", 1, group_key(group), "{}", "TTL", 60, "KEY", group)
        for _ in range(40):
            gateway.fcall("group_send", 1, group_key(group), "{}", "SIZE", 5)
        gateway.zadd(inbox_key(group), {b"raw": 1})
        staging = own("staging:00")
        *_, staged = gateway.fcall("relay_collect", 2, inbox_key(group), staging, 10)
        assert gateway.fcall("relay_commit", 2, staging, group_key(group), staged[0][0], "{}") == 1
        gateway.fcall("group_discard", 1, group_key(group), "gw", "specific.gw!1")
        gateway.delete(own(f"pos:{group}"))
        gateway.fcall("group_send", 1, group_key(group), "{}")
    gateway.fcall("gateway_retain", 0, "asgi", 60, 0, 100)
    gateway.zadd(own("retained"), {"life": 1})
    gateway.fcall("gateway_lease", 0, "asgi", "gw", 15, "", "process", "b2", "link", 1)
    gateway.fcall("gateway_release", 0, "asgi", "gw", "b2")
    while gateway.fcall("gateway_sweep", 0, "asgi", 100):
        pass
    assert gateway.execute_command("CONFIG", "GET", "notify-keyspace-events")[1]


def test_a_publisher_sends_with_every_option_and_without_a_refusal(unrefused):
    publisher = login(unrefused, "publisher")
    gateway = login(unrefused, "gateway")
    for n in range(1, 41):
        answer = publisher.fcall("group_send", 1, group_key("p"), "{}", "TTL", 60, "KEY", n, "SIZE", 50)
        assert Position.parse(answer[0]).offset == n
    assert publisher.fcall("group_send", 1, group_key("p"), "{}", "KEY", 40) == answer
    gateway.hset(own("pos:p"), "offset", 5)
    again = Position.parse(publisher.fcall("group_send", 1, group_key("p"), "{}")[0])
    assert again.offset == 1, "a log ahead of its counter is healed, not half written"
    gateway.delete(own("pos:p"))
    assert Position.parse(publisher.fcall("group_send", 1, group_key("p"), "{}")[0]).offset == 1
    assert login(unrefused, "operator").xlen(own("log:p")) == 1


def test_a_publisher_s_sends_to_inboxes_escalate_collapse_and_wait_without_a_refusal(unrefused):
    publisher, gateway = login(unrefused, "publisher"), login(unrefused, "gateway")
    gateway.fcall("policy_set", 0, "asgi", '[{"match":"{user}.in","size":20,"inbox":true},{"match":"late","size":20}]')
    inbox = group_key("42.in")
    publisher.fcall("group_send", 1, group_key("late"), "{}")
    for n in range(150):
        options = [("TTL", 60, "ESCALATE", 60), ("COLLAPSE", f"k{n}", "URGENCY", "low"), ("COLLAPSE", "k"), ("SIZE", 0), ("IN", 60, "KEY", n)]
        for key in (inbox, group_key("late")):
            option = options[n % 5]
            answer = publisher.fcall("group_send", 1, key, "{}", *option[: 2 if key != inbox else 4])
        if n == 75:
            gateway.fcall("mark_read", 1, inbox, "42", "ONE", str(Position.parse(gateway.fcall("group_position", 1, inbox))))
            gateway.zadd(own("expiring:42.in"), {gateway.zrange(own("expiring:42.in"), -1, -1)[0]: 1})
    assert answer[1] == 0
    gateway.delete(own("pos:42.in"))
    assert Position.parse(publisher.fcall("group_send", 1, inbox, "{}", "COLLAPSE", "k")[0]).offset == 1


def test_a_gateway_keeps_receipts_inboxes_and_escalations_without_a_refusal(unrefused):
    gateway, operator = login(unrefused, "gateway"), login(unrefused, "operator")
    rules = '[{"match":"{user}.in","size":20,"inbox":true}]'
    gateway.fcall("policy_set", 0, "asgi", rules, "", "", '{"site":{"kind":"webhook"},"push":{"kind":"web_push"}}')
    inbox = group_key("7.in")
    gateway.fcall("push_set", 0, "asgi", "7", "a1", "{}")
    for n in range(100):
        position = gateway.fcall("group_send", 1, inbox, "{}", *[("ESCALATE", 60), ("COLLAPSE", "k"), ("SIZE", 0), ("IN", 60)][n % 4])[0]
    gateway.fcall("mark_delivered", 1, inbox, "7", gateway.fcall("group_position", 1, inbox))
    for mark in (("ONE",), ("UNREAD",), ("READ",)):
        gateway.fcall("mark_read", 1, inbox, "7", *mark, gateway.fcall("group_position", 1, inbox))
    for member in gateway.zrange(own("due"), 0, -1):
        gateway.zadd(own("due"), {member: 1})
    gateway.fcall("due_run", 0, "asgi", 1000)
    for _ in range(2):
        for target in ("site", "push"):
            for task, result in zip(gateway.fcall("escalation_claim", 0, "asgi", target, 9, 3, 60), ("DEAD", "RETRY", "GONE")):
                gateway.fcall("escalation_finish", 0, "asgi", target, task[0], task[2], result, 0, "x")
        gateway.fcall("escalation_retry", 0, "asgi", "ALL")
    gateway.fcall("push_delete", 0, "asgi", "7", "a1")
    name = gateway.fcall("group_send", 1, inbox, "{}", "IN", 60)[0]
    assert operator.fcall_ro("schedule_list", 0, "asgi", 9) and gateway.fcall("schedule_cancel", 1, inbox, name) == 1
    assert operator.fcall_ro("inbox", 1, inbox, "7") == gateway.fcall("inbox", 1, inbox, "7")
    assert operator.fcall_ro("receipts", 1, inbox, gateway.fcall("group_position", 1, inbox))
    assert operator.fcall_ro("escalation_list", 0, "asgi", 9) and operator.fcall_ro("user_groups", 0, "asgi", "7") == [b"7.in"]
    cursor = b"0"
    while (cursor := gateway.fcall("user_erase", 0, "asgi", "7", cursor)) != b"0":
        pass
    assert position


@pytest.mark.parametrize(
    "function", ["mark_read", "mark_delivered", "schedule_cancel", "due_run", "escalation_claim", "escalation_finish",
                 "escalation_retry", "push_set", "push_delete", "user_erase"])
def test_an_operator_and_a_publisher_change_nothing_of_users(guarded, function):
    for name in ("operator", "publisher"):
        with pytest.raises(NoPermissionError):
            run(guarded, name, ("FCALL", function, 1, group_key("7.in"), "7", "x"))


def test_a_publisher_goes_on_in_a_group_that_another_server_wrote(unrefused):
    client = login(unrefused, "publisher")
    before = Position.parse(client.fcall("group_send", 1, group_key("moved"), "{}")[0])
    # What a promotion looks like from inside: the group was last written under another replication id.
    login(unrefused, "gateway").hset(own("pos:moved"), "history", "0123456789")
    after = Position.parse(client.fcall("group_send", 1, group_key("moved"), "{}")[0])
    assert after == before._replace(offset=2)


def test_a_publisher_s_sends_leave_the_age_of_the_log_to_those_who_may_read_it(unrefused):
    publisher, gateway = login(unrefused, "publisher"), login(unrefused, "gateway")
    for n in range(15):
        publisher.fcall("group_send", 1, group_key("old"), "{}")
    gateway.delete(own("log:old"))
    for n in range(1, 16):
        gateway.xadd(own("log:old"), {"m": "{}", "t": 1}, id=f"{n}-0")
    publisher.fcall("group_send", 1, group_key("old"), "{}")
    assert login(unrefused, "operator").xlen(own("log:old")) == 16
    for _ in range(16):
        gateway.fcall("group_send", 1, group_key("old"), "{}")
    assert gateway.xrange(own("log:old"), count=1)[0][0] == b"16-0"


@pytest.mark.parametrize(
    "function", ["group_add", "group_discard", "group_read", "gateway_lease", "gateway_release", "gateway_sweep", "gateway_retain",
                 "gateway_trial", "relay_collect", "relay_commit", "policy_set", "tocsin_version"])
def test_a_publisher_calls_no_function_but_group_send(guarded, function):
    with pytest.raises(NoPermissionError):
        run(guarded, "publisher", ("FCALL", function, 0, "asgi", "x"))


def test_a_publisher_sends_under_no_other_prefix(guarded):
    with pytest.raises(NoPermissionError):
        run(guarded, "publisher", ("FCALL", "group_send", 1, "shop:group:g", "{}"))


def test_an_unmodified_django_works_with_its_user(unrefused):
    login(unrefused, "gateway").fcall("group_add", 1, group_key("dj"), "gw", 60, "specific.gw!1", "", "")
    hosts = [f"redis://django:change-me-django@127.0.0.1:{unrefused.port}/3"]

    async def core():
        layer = RedisChannelLayer(hosts=hosts)
        channel = await layer.new_channel()
        await layer.group_add("dj", channel)
        await layer.group_send("dj", {"type": "receive", "n": 1})
        assert await asyncio.wait_for(layer.receive(channel), 5) == {"type": "receive", "n": 1}
        await layer.send(channel, {"type": "direct"})
        assert await asyncio.wait_for(layer.receive(channel), 5) == {"type": "direct"}
        await layer.group_discard("dj", channel)
        await layer.close_pools()

    async def pubsub():
        layer = RedisPubSubChannelLayer(hosts=hosts)
        channel = await layer.new_channel()
        await layer.group_add("dj", channel)
        await layer.group_send("dj", {"type": "receive", "n": 2})
        assert await asyncio.wait_for(layer.receive(channel), 5) == {"type": "receive", "n": 2}
        await layer.flush()

    asyncio.run(core())
    asyncio.run(pubsub())
    [(message, _)] = login(unrefused, "gateway").zrange(inbox_key("dj"), 0, -1, withscores=True)
    assert msgpack.unpackb(message[12:])["__asgi_channel__"] == [fleet_member("dj")]


def test_an_operator_reads_everything_of_ours_and_writes_nothing(guarded):
    operator, gateway = login(guarded, "operator"), login(guarded, "gateway")
    gateway.fcall("gateway_lease", 0, "asgi", "gw", 15, "")
    gateway.fcall("group_add", 1, group_key("op"), "gw", 60, "specific.gw!1", "42", "")
    gateway.fcall("group_send", 1, group_key("op"), "{}", "KEY", "k")
    names = [name for name in operator.scan_iter("*") if name.startswith((b"asgi", b"tocsin:"))]
    assert len(names) >= 8
    for name in names:
        kind = operator.type(name)
        read = {b"string": ("GET",), b"hash": ("HGETALL",), b"set": ("SMEMBERS",), b"zset": ("ZRANGE", 0, -1),
                b"stream": ("XRANGE", "-", "+")}[kind]
        operator.execute_command(read[0], name, *read[1:])
        for write in (("DEL", name), ("EXPIRE", name, 1), ("UNLINK", name), ("PERSIST", name), ("COPY", name, "tocsin:x")):
            with pytest.raises(NoPermissionError):
                operator.execute_command(*write)
    assert operator.fcall("tocsin_version", 0) == operator.fcall_ro("tocsin_version", 0)
    for call in (SEND, ("FCALL", "policy_set", 0, "asgi", "[]"), ("FCALL", "gateway_release", 0, "asgi", "gw")):
        with pytest.raises(NoPermissionError):
            operator.execute_command(*call)


def test_a_gateway_without_the_right_to_load_works_once_the_operator_has_loaded(tmp_path):
    users = tmp_path / "users.acl"
    users.write_text(USERS.read_text().replace(" +function|load", "", 1).replace(" +config|get", "", 1))
    with RedisServer(acl=users) as server:
        gateway = login(server, "gateway")
        with pytest.raises(ResponseError, match="Function not found"):
            gateway.fcall("tocsin_version", 0)
        for command in (("FUNCTION", "LOAD", LIBRARY.read_bytes()), ("CONFIG", "GET", "notify-keyspace-events")):
            with pytest.raises(NoPermissionError):
                gateway.execute_command(*command)
        login(server, "operator").execute_command("FUNCTION", "LOAD", LIBRARY.read_bytes())
        assert Position.parse(gateway.fcall("group_send", 1, KEY, "{}")[0]).offset == 1


def test_a_new_password_counts_after_the_operator_had_the_file_read_again(tmp_path):
    users = tmp_path / "users.acl"
    users.write_text(USERS.read_text())
    with RedisServer(acl=users) as server:
        old = hashlib.sha256(b"change-me-publisher").hexdigest()
        new = hashlib.sha256(b"another").hexdigest()
        file = Path(server.directory) / "users.acl"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        login(server, "operator").execute_command("ACL", "LOAD")
        assert server.client(username="publisher", password="another").ping()
        with pytest.raises(AuthenticationError):
            login(server, "publisher").ping()


@pytest.mark.usefixtures("redis")
def test_without_the_file_the_default_user_may_send(server):
    assert server.cli("FCALL", "group_send", 1, KEY, '{"type":"receive","balance":3.5}').splitlines()[1] == "0"


@pytest.mark.parametrize("user", ["publisher", "gateway"])
def test_whoever_sends_may_send_to_a_worker_s_channel(unrefused, user):
    client = login(unrefused, user)
    assert client.fcall("channel_send", 1, "asgi:channel:tasks", '{"type":"run"}') == 1


@pytest.mark.parametrize("user", ["publisher", "gateway"])
def test_whoever_sends_may_not_read_what_a_worker_is_sent(guarded, user):
    with pytest.raises(NoPermissionError):
        login(guarded, user).zrange("asgitasks", 0, -1)


# What a sender may lack for telling consumers, and what it is answered then: gateways, told, skipped. The log has the message.
LACKING = {
    "-zremrangebyscore": ["~*", "&*", "+@all", "-zremrangebyscore"],
    "-exists": ["~*", "&*", "+@all", "-exists"],
    "-zadd": ["~*", "&*", "+@all", "-zadd"],
    "~asgispecific.*": ["~asgi:*", "~tocsin:*", "&*", "+@all"],
}


@pytest.fixture
def lacking(redis, server):
    """lacking(*rules) → a client of a user with these rules; ACL LOG and the users are as before at the end"""

    def lacking(*rules):
        redis.execute_command("ACL", "SETUSER", "lacking", "reset", "on", ">x", *rules)
        return server.client(username="lacking", password="x")

    yield lacking
    redis.execute_command("ACL", "DELUSER", "lacking")
    redis.execute_command("ACL", "LOG", "RESET")


@pytest.mark.parametrize("rules", LACKING.values(), ids=LACKING)
def test_a_right_that_is_missing_for_consumers_skips_them_after_the_message_is_accepted(redis, server, lacking, rules):
    layer = CoreLayer(redis)
    layer.join(consumer(1), consumer(2), fleet_member("g"))
    server.load_library()
    position, *counts = lacking(*rules).fcall("group_send", 1, KEY, '{"type":"receive"}')
    assert counts == [0, 0, 2] and Position.parse(position).offset == 1
    assert redis.xlen(own("log:g")) == 1 and not redis.exists(inbox())
    assert redis.acl_log()[0]["username"] == "lacking"
    assert "tocsin: a message was accepted, but consumers were skipped" in server.log


def test_without_the_right_to_publish_a_message_is_accepted_where_there_is_a_log_and_refused_where_there_is_none(
    redis, server, lacking, listen
):
    listen("g")
    sender = lacking("~*", "resetchannels", "+@all")
    position, *counts = sender.fcall("group_send", 1, KEY, "{}")
    assert counts == [0] and redis.xlen(own("log:g")) == 1
    with pytest.raises(ResponseError, match="can't|No permission|NOPERM|ACL"):
        sender.fcall("group_send", 1, KEY, "{}", "SIZE", 0)


def test_without_the_right_to_the_gateways_channel_consumers_of_pub_sub_are_told(redis, lacking, server):
    with server.client().pubsub() as django, server.client().pubsub() as gateway:
        django.subscribe("asgispecific." + "a" * 32, live_channel("g"))
        gateway.subscribe(live_channel("g"), "asgi__gateways__g")
        for pubsub in (django, gateway):
            for _ in range(2):
                assert pubsub.get_message(timeout=5)["type"] == "subscribe"
        sender = lacking("~*", "resetchannels", "&asgi__group__*", "+@all")
        assert sender.fcall("group_send", 1, KEY, '{"type":"receive"}')[1:] == [0, 1, 0]
        assert msgpack.unpackb(django.get_message(timeout=5)["data"])["type"] == "receive"
        sender = lacking("~*", "resetchannels", "&asgi__gateways__*", "+@all")
        assert sender.fcall("group_send", 1, KEY, '{"type":"receive"}')[1:] == [1, 0, 1]


def test_a_key_that_cannot_be_kept_is_no_error_after_the_message_is_accepted(redis, lacking):
    beside = ("~tocsin:holes:*", "~tocsin:expiring:*", "~tocsin:collapse:*")  # what lies beside a log, and goes with it
    sender = lacking("~asgi:*", "~tocsin:pos:*", "~tocsin:log:*", *beside, "~tocsin:policy", "%R~tocsin:key:*", "&*", "+@all")
    assert Position.parse(sender.fcall("group_send", 1, KEY, "{}", "KEY", "k")[0]).offset == 1
