"""tocsin receipt, inbox, scheduled, escalations and erase, and the options of send."""

import json
import re
import subprocess
import time

import pytest
from harness.gateway import Gateway, binary, config, tocsin
from harness.redis_server import RedisServer

GROUPS = [
    {"match": "{user}.inbox", "inbox": True, "history": {"size": 100, "ttl": "1d"}},
    {"match": "shared.*", "receipts": True},
]
TIME = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture(scope="module", autouse=True)
def gateway(redis_server):
    with Gateway(redis_server.url, "one", config(groups=GROUPS)) as gateway:
        yield gateway


@pytest.fixture
def run(redis_server):
    """Returns run(command, …): runs it with the URL of Redis and returns the finished process."""
    return lambda *arguments, **options: tocsin(*arguments, "--redis", redis_server.url, **options)


@pytest.fixture
def send(run):
    """Returns send(group, message, …) → position."""
    return lambda group, message, *terms: json.loads(run("send", group, message, *terms, "--json").stdout)["position"]


def rows(done) -> list[list[str]]:
    """The cells of a table, which are two or more spaces apart, without the line of names."""
    return [re.split(r" {2,}", line) for line in done.stdout.splitlines()[1:]]


# receipt --------------------------------------------------------------------------------------------------------------


def test_receipt_shows_who_has_a_message_and_who_has_read_it(run, send, redis):
    position = send("1.inbox", '{"n":1}')
    assert rows(run("receipt", "1.inbox", position)) == [["1", "no", "no"]]
    redis.fcall("mark_delivered", 1, "asgi:group:1.inbox", "1", position)
    run("inbox", "--user", "1", "--group", "1.inbox", "--read", position)
    ((user, delivered, read),) = rows(run("receipt", "1.inbox", position))
    assert (user, read) == ("1", "yes") and re.fullmatch(TIME, delivered)
    told = json.loads(run("receipt", "1.inbox", position, "--json").stdout)
    assert told["users"][0]["delivered"] and told["users"][0]["read"]


def test_receipt_of_a_group_without_receipts_says_what_to_set(run, send):
    done = run("receipt", "plain", send("plain", "{}"), check=False)
    assert done.returncode != 0 and done.stdout == ""
    assert "keeps no receipts" in done.stderr and "receipts: true" in done.stderr and "ERR" not in done.stderr


@pytest.mark.parametrize(
    "arguments, named",
    [(["bad name", "1.2:3"], "bad name"), (["1.inbox", "17"], "5f3a.9c01ab23de:17"), (["1.inbox"], "(?i)missing"),
     (["1.inbox", "1.2:9"], "another group")],
)  # fmt: skip
def test_receipt_names_what_is_wrong(run, arguments, named):
    done = run("receipt", *arguments, check=False)
    assert done.returncode != 0 and re.search(named, done.stderr)


# inbox ----------------------------------------------------------------------------------------------------------------


def test_inbox_lists_pages_and_marks(run, send):
    positions = [send("2.inbox", f'{{"n":{n}}}') for n in range(3)]
    assert rows(run("inbox", "--user", "2")) == [["2.inbox", "3", positions[0].split(":")[0] + ":0"]]
    newest = run("inbox", "--user", "2", "--group", "2.inbox", "--limit", 2)
    assert rows(newest) == [[positions[2], "no", '{"n":2}'], [positions[1], "no", '{"n":1}']]
    assert "3 unread" in newest.stderr
    older = run("inbox", "--user", "2", "--group", "2.inbox", "--before", positions[1], "--json")
    assert [entry["message"] for entry in json.loads(older.stdout)["messages"]] == [{"n": 0}]
    marked = run("inbox", "--user", "2", "--group", "2.inbox", "--read", positions[1])
    assert rows(marked) == [["2.inbox", "1", positions[1]]]
    told = json.loads(run("inbox", "--user", "2", "--read-all", "--json").stdout)
    assert told == [{"group": "2.inbox", "unread": 0, "read": positions[2]}]


@pytest.mark.parametrize(
    "arguments, named",
    [([], "--user"), (["--user", ""], "nobody"), (["--user", "2", "--read", "1.2:3"], "--group"),
     (["--user", "2", "--group", "2.inbox", "--read", "x"], "--read wants a position"),
     (["--user", "2", "--group", "2.inbox", "--limit", "1001"], "0 to 1000"),
     (["--user", "2", "--group", "2.inbox", "--read", "1.2:3", "--read-all"], "not both"),
     (["--user", "2", "--group", "3.inbox"], "another user"), (["--user", "2", "--group", "shared.a"], "inbox: true")],
)  # fmt: skip
def test_inbox_names_what_is_wrong(run, arguments, named):
    done = run("inbox", *arguments, check=False)
    assert done.returncode != 0 and re.search(named, done.stderr) and "ERR" not in done.stderr


def test_a_group_that_is_misspelled_is_named_as_it_is_spelled(run, send):
    send("3.inbox", "{}")
    done = run("inbox", "--user", "3", "--group", "3.inbx", check=False)
    assert done.returncode != 0 and 'did you mean "3.inbox"?' in done.stderr


# send, scheduled ------------------------------------------------------------------------------------------------------


def test_a_message_is_sent_later_listed_and_cancelled(run):
    first = run("send", "4.inbox", '{"n":1}', "--in", "2h").stdout.split()[0]
    soon = int(time.time()) + 600
    second = run("send", "4.inbox", '{"n":2}', "--at", soon).stdout.split()[0]
    listed = rows(run("scheduled", "--group", "4.inbox"))
    assert [row[1:] for row in listed] == [[second, '{"n":2}'], [first, '{"n":1}']]
    assert all(re.fullmatch(TIME, row[0]) for row in listed)
    told = json.loads(run("scheduled", "--group", "4.inbox", "--json").stdout)
    assert [entry["id"] for entry in told] == [second, first] and told[0]["at"] == soon
    assert run("scheduled", "--cancel", first).stdout == f"cancelled {first}\n"
    again = run("scheduled", "--cancel", first, check=False)
    assert again.returncode != 0 and "cancelled before" in again.stderr
    assert json.loads(run("scheduled", "--cancel", second, "--json").stdout) == {"cancelled": second}
    assert "nothing is scheduled" in run("scheduled").stderr


@pytest.mark.parametrize(
    "arguments, named",
    [(["--in", "5w"], "--in is not a duration"), (["--at", "soon"], "--at is not a time"),
     (["--at", "1", "--in", "1"], "--at and in are both given"), (["--urgency", "asap"], "--urgency .*very-low"),
     (["--unless", "read"], "--unless"), (["--size", "many"], "--size"), (["--collapse", ""], "--collapse"),
     (["--escalate", "soon"], "--escalate"), (["--size", "0", "--collapse", "k"], "size of 1 or more")],
)  # fmt: skip
def test_send_names_the_option_that_is_wrong(run, arguments, named):
    done = run("send", "5.inbox", "{}", *arguments, check=False)
    assert done.returncode != 0 and re.search(named, done.stderr) and done.stdout == ""


def test_terms_are_for_groups(run):
    done = run("send", "--channel", "tasks", "{}", "--in", "5", check=False)
    assert done.returncode != 0 and "--in is for groups" in done.stderr


@pytest.mark.parametrize("arguments", [["--cancel", "x"], ["--cancel", "0a@g", "--group", "g"], ["--limit", "0"]])
def test_scheduled_refuses_what_is_no_id(run, arguments):
    assert run("scheduled", *arguments, check=False).returncode != 0


# escalations ----------------------------------------------------------------------------------------------------------


def test_dead_letters_are_shown_and_sent_again(run, redis):
    assert "no targets" in run("escalations").stderr
    redis.hset("tocsin:task:esc_0f/site", mapping={
        "target": "site", "group": "8.inbox", "user": "8", "position": "1.2:3", "attempt": 9, "reason": "HTTP 500"})  # fmt: skip
    redis.zadd("tocsin:dead", {"site esc_0f/site": int(time.time() * 1000)})
    out = run("escalations").stdout
    assert re.search(rf"esc_0f/site  {TIME}  9 +8\.inbox  8 +1\.2:3 +HTTP 500", out)
    assert json.loads(run("escalations", "--json").stdout)["dead"][0]["user"] == "8"
    assert run("escalations", "--retry", "esc_0f/site").stdout == "1 sent again\n"
    again = run("escalations", "--retry", "esc_0f/site", check=False)
    assert again.returncode != 0 and "no dead letter" in again.stderr
    assert json.loads(run("escalations", "--retry-all", "--json").stdout) == {"retried": 0}
    assert run("escalations", "--retry", "all", check=False).returncode != 0


# erase ----------------------------------------------------------------------------------------------------------------


def test_erase_asks_first_and_does_what_it_says(run, send, redis, redis_server):
    send("6.inbox", '{"n":1}')
    done = run("erase", "--user", "6", check=False)
    assert done.returncode != 0 and "nobody to ask" in done.stderr and redis.xlen("tocsin:log:6.inbox") == 1
    typed = [binary(), "erase", "--user", "6", "--redis", redis_server.url]
    wrong = subprocess.run(typed, input="7\n", text=True, capture_output=True, timeout=30)
    assert wrong.returncode != 0 and "nothing was erased" in wrong.stderr and redis.xlen("tocsin:log:6.inbox") == 1
    right = subprocess.run(typed, input="6\n", text=True, capture_output=True, timeout=30)
    assert right.returncode == 0 and redis.xlen("tocsin:log:6.inbox") == 0
    send("6.inbox", '{"n":1}')
    done = run("erase", "--user", "6", "--yes")
    assert done.stdout.splitlines()[0] == "erased 6 in 6.inbox"
    assert redis.keys("tocsin:*6.inbox*") == []
    told = json.loads(run("erase", "--user", "6", "--yes", "--json").stdout)
    assert told["erased"] == "6" and told["living"] == 1


def test_a_redis_without_the_library_is_told_from_one_without_messages():
    with RedisServer() as server:
        done = tocsin("scheduled", "--redis", server.url, check=False)
    assert done.returncode != 0 and "no function library" in done.stderr


@pytest.mark.parametrize("command", ["receipt", "inbox", "scheduled", "escalations", "erase", "send"])
def test_help_has_an_example(command):
    out = tocsin(command, "--help").stdout
    assert f"tocsin {command} " in out and "USAGE" in out
