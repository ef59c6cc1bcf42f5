"""redis/README.md: its commands work as printed, and its tables are complete."""

import os
import re
import shutil
import subprocess

import pytest

from harness.names import group_key, inbox_key, own
from harness.redis_server import LIBRARY, REPOSITORY, RedisServer

README = (REPOSITORY / "redis" / "README.md").read_text()
GROUP = "42isInsufficient"


def section(title):
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.M | re.S)[1]


def blocks(text):
    return re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)


def rows(table_head):
    """The cells of the table with this head."""
    table = README[README.index(table_head) :].split("\n\n", 1)[0]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()[2:]]


@pytest.fixture
def shell(tmp_path):
    """shell(server, script): runs it in the repository; redis-cli uses that server and stops at an error"""

    def shell(server, script):
        wrapper = tmp_path / "redis-cli"
        wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("redis-cli")} -e -p {server.port} "$@"\n')
        wrapper.chmod(0o755)
        done = subprocess.run(
            ["bash", "-e", "-u", "-o", "pipefail", "-c", script], cwd=REPOSITORY, capture_output=True, text=True, timeout=30,
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return shell


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize("title", ["Publishing", "Positions", "Receipts, inboxes, escalations", "Looking inside"])
def test_the_commands_work_as_printed(server, shell, title):
    found = blocks(section(title))
    assert found
    for block in found:
        assert shell(server, block).strip(), block


@pytest.mark.usefixtures("redis")
def test_the_inspections_show_what_there_is(server, shell, send):
    for _ in range(20):
        send(group=GROUP)
    redis = server.client()
    redis.fcall("group_add", 1, group_key(GROUP), "gw", 60, "specific.gw!1", "42", "")
    redis.fcall("gateway_lease", 0, "asgi", "gw", 15, "")
    for line in blocks(section("Looking inside"))[0].splitlines():
        if "tocsin:policy" not in line:
            assert shell(server, line).strip(), line


def test_the_users_commands_work_as_printed(shell):
    found = blocks(section("Users"))
    assert len(found) == 2
    with RedisServer(acl=True) as server:
        operator = server.client(username="operator", password="change-me-operator")
        operator.execute_command("FUNCTION", "LOAD", LIBRARY.read_bytes())
        for block in found:
            shell(server, block)


def test_every_function_and_every_error_of_the_library_is_in_the_readme():
    code = LIBRARY.read_text()
    functions = set(re.findall(r"register_function(?:\(|\{ function_name = )'(\w+)'", code))
    assert functions == {row[0].strip("`") for row in rows("| function | KEYS")}
    head = code[: code.index("\nlocal VERSION")]
    assert functions <= set(re.findall(r"^-- (\w+)", head, re.M)), "the library's own table"
    for text in re.findall(r"'ERR tocsin: ([^']*)", code):
        name, verb, *_ = text.split()
        ours = name in functions and verb == "wants"
        assert ("*function* `wants …`" if ours else re.split("[,;:{]", text)[0]) in README, text


def leave_receipts_and_escalations(redis):
    """All keys of a group with an inbox, of what is due, and of escalations."""
    rule = '[{"match":"{user}.in","inbox":true}]'
    targets = '{"site":{"kind":"webhook"}}'
    redis.fcall("policy_set", 0, "asgi", rule, "", "", targets)
    inbox = group_key("42.in")
    for _ in range(3):
        redis.fcall("group_send", 1, inbox, "{}", "ESCALATE", 1)
    redis.fcall("group_send", 1, inbox, "{}", "TTL", 60, "COLLAPSE", "k", "IN", 60)
    for _ in range(2):
        last = redis.fcall("group_send", 1, inbox, "{}", "TTL", 60, "COLLAPSE", "k")[0]
    redis.fcall("push_set", 0, "asgi", "42", "a1", "{}")
    escalations = [member for member in redis.zrange(own("due"), 0, -1) if member.startswith(b"e ")]
    redis.zadd(own("due"), {member: 1 for member in escalations})
    redis.fcall("due_run", 0, "asgi", 10)
    [dead], _ = (redis.fcall("escalation_claim", 0, "asgi", "site", 9, 1, 60) for _ in range(2))
    redis.fcall("escalation_finish", 0, "asgi", "site", dead[0], 1, "DEAD", "503")
    redis.fcall("mark_read", 1, inbox, "42", "ONE", last)
    return own(f"task:{dead[0].decode()}").encode()


def test_every_key_that_a_whole_life_leaves_is_in_the_table(redis):
    dead = leave_receipts_and_escalations(redis)
    redis.fcall("policy_set", 0, "asgi", '[{"match":"x","size":5}]')
    for name in ("gw", "gone"):
        redis.fcall("gateway_lease", 0, "asgi", name, 15, "")
        redis.fcall("group_add", 1, group_key("g"), name, 60, f"specific.{name}!1", "42", "")
    redis.fcall("group_add", 1, group_key("h"), "gw", 60, "specific.gw!1", "", "")
    redis.fcall("group_discard", 1, group_key("h"), "gw", "specific.gw!1")
    redis.fcall("group_send", 1, group_key("g"), "{}", "KEY", "k", "TTL", 5)
    staging = own(inbox_key("g").replace("asgispecific.tocsin-", "staging:").rstrip("!"))
    redis.zadd(inbox_key("g"), {"raw": 1})
    redis.fcall("relay_collect", 2, inbox_key("g"), staging, 10)
    redis.zadd(inbox_key("h"), {"raw": 1})
    redis.fcall("group_add", 1, group_key("away"), "gw", 60, "specific.gw!1", "42", "")
    redis.fcall("group_discard", 1, group_key("away"), "gw", "specific.gw!1")
    redis.set(own("roster:broken"), "somebody's")
    redis.fcall("group_discard", 1, group_key("broken"), "gw", "specific.gw!1")
    redis.delete(own("roster:broken"))
    redis.fcall("policy_set", 0, "asgi", "[]", "", '{"layer":"2"}')
    redis.rpush("asgispecific.gw!", "from channels_redis 2")
    redis.fcall("gateway_collect", 1, "asgispecific.gw!", 10, "RPUSH")
    redis.fcall("policy_set", 0, "asgi", "[]", "", '{"encrypted":true}')
    redis.fcall("channel_send", 1, "asgi:channel:tasks", '{"type":"a"}')
    redis.set(staging, "somebody's")
    redis.zadd(inbox_key("g"), {"raw": 1})
    redis.fcall("relay_collect", 2, inbox_key("g"), staging, 10)
    redis.delete(staging)
    redis.xadd(staging, {"m": "raw"})

    table = []
    for name, kind, _, _, _, expires in rows("| key | type | holds"):
        pattern = re.escape(name.strip("`"))
        for variable, shape in (("GW", r"\w+"), ("XX", "[0-9a-f]{2}"), ("G", r"[\w.-]+"), ("K", ".+"), ("U", ".+"), ("X", "[a-z]+"), ("T", "esc_.+")):
            pattern = re.sub(rf"(?<=[:-]){variable}(?=\b|!|$)", lambda _: shape, pattern)
        table.append((pattern, kind, expires))
    seen = set()
    for key in redis.keys():
        [row] = [row for row in table if re.fullmatch(row[0], key.decode())]
        assert redis.type(key).decode() == row[1]
        # The inbox is Django's, which also sets its expiry.
        assert (redis.ttl(key) == -1) == (row[2].startswith("never") or b"specific" in key) or key == dead, key
        seen.add(row[0])
    assert seen == {row[0] for row in table}, "no row without a key"
