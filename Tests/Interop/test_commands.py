"""The tocsin command: arguments, output and refusals."""

import json
import os
import re
import subprocess

import pytest
from harness.clients import exactly
from harness.free_port import free_port
from harness.gateway import Gateway, binary, config, tocsin
from harness.waiting import wait_until

POSITION = re.compile(r"^[0-9a-z]+\.[0-9a-f]{10}:\d+$")


@pytest.fixture(scope="module")
def gateways(redis_server):
    with Gateway(redis_server.url, "one") as one, Gateway(redis_server.url, "two") as two:
        yield one, two


@pytest.fixture
def run(redis_server, gateways):
    """Returns run(command, …): runs it with the URL of Redis and returns the finished process."""
    return lambda *arguments, **options: tocsin(*arguments, "--redis", redis_server.url, **options)


# send -----------------------------------------------------------------------------------------------------------------


def test_send_delivers_and_prints_position_and_gateways(run, gateways, clients):
    (listener,) = clients.open(gateways[0].url("/ws/sent"))
    answer = json.loads(run("send", "sent", '{"balance":12.0}', "--json").stdout)
    assert POSITION.match(answer["position"])
    assert answer["gateways"] == 1
    assert exactly(listener.wait(1)[0]) == exactly('{"balance":12.0}')


def test_send_says_it_in_words_too(run):
    out = run("send", "in-words", '{"n":1}').stdout
    assert re.search(r"[0-9a-z]+\.[0-9a-f]{10}:\d+", out)


def test_send_with_the_same_key_sends_once(run, gateways, clients):
    (listener,) = clients.open(gateways[0].url("/ws/once"))
    first = json.loads(run("send", "once", '{"n":1}', "--key", "k1", "--ttl", 60, "--json").stdout)
    again = json.loads(run("send", "once", '{"n":1}', "--key", "k1", "--ttl", 60, "--json").stdout)
    assert again["position"] == first["position"]
    run("send", "once", '{"marker":1}')
    assert len(listener.until("marker")) == 1


@pytest.mark.parametrize(
    "arguments, named",
    [(["bad name", "{}"], "bad name"), (["a" * 100, "{}"], "100"), (["g", "{"], "JSON"), (["g", "[1]"], "object"),
     (["g", "{}", "--ttl", "soon"], "ttl"), (["g"], "(?i)usage|missing")],
)  # fmt: skip
def test_send_refuses_what_cannot_be_sent_and_says_why(run, arguments, named):
    done = run("send", *arguments, check=False)
    assert done.returncode != 0
    assert re.search(named, done.stderr)
    assert done.stdout == ""


# tail, who, gateways, doctor ------------------------------------------------------------------------------------------


class Tail:
    """A running `tocsin tail`."""

    def __init__(self, *arguments, redis_url):
        self._process = subprocess.Popen(
            [binary(), "tail", *arguments, "--redis", redis_url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self._process

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["words", "json"])
def test_tail_shows_the_messages_of_a_group_as_they_come(options, redis_server, gateways, redis):
    group = "tailed" + "".join(options)
    with Tail(group, *options, redis_url=redis_server.url) as tail:
        wait_until(lambda: redis.pubsub_numsub(f"asgi__group__{group}")[0][1] == 1, 10, "tail listens")
        redis.fcall("group_send", 1, f"asgi:group:{group}", '{"text":"first"}')
        redis.publish(f"asgi__group__{group}", '{"text":"second"}')
        lines = [tail.stdout.readline(), tail.stdout.readline()]
        tail.terminate()
        assert tail.wait(10) in (0, 130, 143, -15)
    assert '{"text":"first"}' in lines[0].replace(" ", "") and "second" in lines[1]
    if options:
        rows = [json.loads(line) for line in lines]
        assert POSITION.match(rows[0]["position"])
        assert rows[0]["message"] == {"text": "first"}
        assert rows[1]["message"] == {"text": "second"}


def test_who_lists_a_group_and_a_user(run, gateways, clients):
    clients.open(gateways[0].url("/mine"), gateways[1].url("/mine"), headers={"X-Remote-User": "77"})
    by_group = json.loads(run("who", "77.inbox", "--json").stdout)
    assert sorted(row["gateway"] for row in by_group) == ["one", "two"]
    by_user = json.loads(run("who", "--user", "77", "--json").stdout)
    assert sorted(row["gateway"] for row in by_user) == ["one", "two"]
    words = run("who", "77.inbox").stdout
    assert "one" in words and "two" in words and "77" in words


def test_who_wants_a_group_or_a_user_not_both_and_not_neither(run):
    assert run("who", check=False).returncode != 0
    assert run("who", "g", "--user", "1", check=False).returncode != 0


def test_gateways_lists_both(run, gateways):
    rows = json.loads(run("gateways", "--json").stdout)
    assert sorted(row["gateway"] for row in rows) == ["one", "two"]
    words = run("gateways").stdout
    assert "one" in words and "two" in words


def test_doctor_finds_nothing_wrong_with_a_healthy_deployment(run):
    findings = json.loads(run("doctor", "--json").stdout)
    assert {finding["verdict"] for finding in findings} <= {"fine", "warning"}
    verdicts = {finding["check"]: finding["verdict"] for finding in findings}
    for check in "redis", "functions", "keyspace events", "memory policy", "gateways":
        assert verdicts[check] == "fine", findings
    words = run("doctor").stdout
    assert all(check in words for check in verdicts)


def test_doctor_finds_what_would_lose_messages_and_says_what_to_do(run, redis):
    redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        done = run("doctor", check=False)
    finally:
        redis.config_set("maxmemory-policy", "noeviction")
    assert done.returncode != 0
    assert "noeviction" in done.stdout


def test_doctor_says_so_when_redis_cannot_be_reached():
    done = tocsin("doctor", "--redis", f"redis://127.0.0.1:{free_port()}/3", check=False)
    assert done.returncode != 0
    assert re.search("(?i)redis|refused|reach", done.stdout + done.stderr)


@pytest.mark.parametrize("command", [["send", "g", "{}"], ["who", "g"], ["gateways"], ["tail", "g"]])
def test_a_command_without_redis_fails_soon_and_says_where_it_looked(command):
    port = free_port()
    done = tocsin(*command, "--redis", f"redis://:secret@127.0.0.1:{port}/3", check=False, timeout=15)
    assert done.returncode != 0
    assert str(port) in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize("command", [["send", "g", "{}"], ["who", "g"], ["who", "--user", "1"], ["gateways"], ["doctor"]])
def test_a_command_finds_redis_by_the_environment_and_a_flag_wins(command, redis_server, gateways):
    def run(url, *flags):
        return tocsin(*command, *flags, check=False, timeout=15, env={**os.environ, "TOCSIN_REDIS": url})

    nowhere = f"redis://127.0.0.1:{free_port()}/3"
    assert run(redis_server.url).returncode == 0
    assert run(nowhere, "--redis", redis_server.url).returncode == 0
    assert nowhere in run(nowhere).stderr
    assert nowhere in run(redis_server.url, "--redis", nowhere).stderr


# Configuration --------------------------------------------------------------------------------------------------------


def start_with(tmp_path, settings, *arguments, environment=None):
    """Starts a gateway that cannot start; returns the finished process."""
    path = tmp_path / "tocsin.yaml"
    path.write_text(settings if isinstance(settings, str) else json.dumps(settings))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    return tocsin(
        "gateway", "--config", path, "--bind", f"127.0.0.1:{free_port()}", "--admin", f"127.0.0.1:{free_port()}",
        *arguments, check=False, timeout=20, env={**clean, **(environment or {})},
    )  # fmt: skip


@pytest.mark.parametrize(
    "settings, named",
    [
        ({"gatewy": {"bind": "0.0.0.0:1"}}, "gatewy"),
        ({"gateway": {"bnd": "0.0.0.0:1"}}, "gateway.bnd"),
        ({"gateway": {"drain_seconds": "soon"}}, "gateway.drain_seconds"),
        ({"gateway": {"drain_seconds": -1}}, "gateway.drain_seconds"),
        ({"gateway": {"max_connections": 1.5}}, "gateway.max_connections"),
        ({"gateway": {"allowed_hosts": {"host": "example.com"}}}, "gateway.allowed_hosts"),
        ({"redis": {"hosts": []}}, "redis.hosts"),
        ({"redis": {"hosts": ["http://127.0.0.1"]}}, "redis.hosts"),
        ({"redis": {"refresh_seconds": 0}}, "redis.refresh_seconds"),
        ({"auth": {"site": {"kind": "magic"}}}, r"auth\.site"),
        ({"auth": {"site": {"kind": "callback"}}}, r"auth\.site.*url|url.*auth\.site"),
        ({"routes": [{"path": "/a", "groups": ["g"], "auth": "nobody"}]}, "nobody"),
        ({"routes": [{"path": "/a", "groups": ["{nothing}"]}]}, "nothing"),
        ({"routes": [{"path": "a", "groups": ["g"]}]}, r"routes.*path"),
        ({"routes": [{"path": "/a", "groups": ["g"], "receive": "shout"}]}, r"routes.*receive"),
        ({"groups": [{"match": "*", "history": {"size": -1}}]}, r"groups.*size"),
        ({"groups": [{"match": "*", "history": {"ttl": "soon"}}]}, r"groups.*ttl"),
        ("gateway: [unclosed", "(?i)yaml|tocsin.yaml"),
        ("- a\n- list\n", "(?i)tocsin.yaml|map"),
    ],
)
def test_a_bad_key_or_value_stops_the_start_and_names_itself(settings, named, tmp_path, redis_server):
    if isinstance(settings, dict) and "redis" not in settings:
        settings = {**settings, "redis": {"hosts": [redis_server.url]}}
    done = start_with(tmp_path, settings)
    assert done.returncode not in (0, None)
    assert re.search(named, done.stderr, re.DOTALL), done.stderr


def test_a_bad_value_in_the_environment_names_its_variable(tmp_path, redis_server):
    done = start_with(
        tmp_path, config(), "--redis", redis_server.url, environment={"TOCSIN_GATEWAY_DRAIN_SECONDS": "soon"}
    )
    assert done.returncode != 0
    assert re.search(r"TOCSIN_GATEWAY_DRAIN_SECONDS|gateway\.drain_seconds", done.stderr)


# The variables that kubelet sets for services of these names and dockerd for links, as they spell them.
SERVICE_VARIABLES = {
    "TOCSIN_REDIS_SERVICE_HOST": "10.0.0.7",
    "TOCSIN_REDIS_SERVICE_PORT": "6379",
    "TOCSIN_REDIS_SERVICE_PORT_TCP_REDIS": "6379",
    "TOCSIN_REDIS_PORT": "tcp://10.0.0.7:6379",
    "TOCSIN_REDIS_PORT_6379_TCP": "tcp://10.0.0.7:6379",
    "TOCSIN_REDIS_PORT_6379_TCP_PROTO": "tcp",
    "TOCSIN_REDIS_PORT_6379_TCP_PORT": "6379",
    "TOCSIN_REDIS_PORT_6379_TCP_ADDR": "10.0.0.7",
    "TOCSIN_REDIS_MASTER_PORT": "tcp://[fd00::7]:6379",
    "TOCSIN_REDIS_NAME": "/web/tocsin-redis",
    "TOCSIN_REDIS_ENV_REDIS_VERSION": "7.2.4",
    "TOCSIN_GATEWAY_SERVICE_HOST": "10.0.0.8",
    "TOCSIN_GATEWAY_SERVICE_PORT_HTTP": "80",
    "TOCSIN_GATEWAY_PORT": "udp://10.0.0.8:80",
    "TOCSIN_GATEWAY_TLS_SERVICE_HOST": "10.0.0.9",
    "TOCSIN_AUTH_SERVICE_HOST": "10.0.0.10",
    "TOCSIN_LOG_PORT_514_UDP_ADDR": "10.0.0.11",
    "TOCSIN_SERVICE_HOST": "10.0.0.12",
    "TOCSIN_PORT": "tcp://10.0.0.12:80",
}


def test_services_of_kubernetes_that_have_our_names_stop_neither_a_gateway_nor_a_command(redis_server, clients):
    with Gateway(redis_server.url, "in-a-pod", environment=SERVICE_VARIABLES) as gateway:
        assert clients.status(gateway.url("/ws/pod")) == 101
        rows = tocsin("gateways", "--json", "--redis", redis_server.url, env={**os.environ, **SERVICE_VARIABLES})
        assert "in-a-pod" in rows.stdout


def test_a_key_that_is_none_stops_the_start_among_them_too(tmp_path, redis_server):
    for name, value in (("TOCSIN_GATEWAY_PORT", "8080"), ("TOCSIN_REDIS_URL", "tcp://10.0.0.7:6379")):
        variables = {**SERVICE_VARIABLES, name: value}
        done = start_with(tmp_path, config(), "--redis", redis_server.url, environment=variables)
        assert done.returncode != 0
        assert f"the environment's {name} names no key of" in done.stderr


def test_a_configuration_file_that_is_not_there_is_named(tmp_path):
    done = tocsin("gateway", "--config", tmp_path / "absent.yaml", check=False)
    assert done.returncode != 0
    assert "absent.yaml" in done.stderr


def test_a_port_that_is_taken_stops_the_start_and_is_named(redis_server, gateways):
    taken, free = f"127.0.0.1:{gateways[0].port}", f"127.0.0.1:{free_port()}"
    done = tocsin("gateway", "--bind", taken, "--admin", free, "--redis", redis_server.url, check=False, timeout=20)
    assert done.returncode != 0
    assert str(gateways[0].port) in done.stderr + done.stdout


def test_flags_win_over_the_environment_and_that_over_the_file(redis_server, clients):
    settings = config(redis={"hosts": ["redis://127.0.0.1:1/3"]}, gateway={"allowed_hosts": ["file.example"]})
    environment = {"TOCSIN_GATEWAY_ALLOWED_HOSTS": "env.example", "TOCSIN_REDIS": "redis://127.0.0.1:2/3"}
    with Gateway(redis_server.url, "layers", settings, environment) as gateway:
        assert clients.status(gateway.url("/ws/a"), origin="http://env.example") == 101
        assert clients.status(gateway.url("/ws/a"), origin="http://file.example") == 403


# Help -----------------------------------------------------------------------------------------------------------------

OPTIONS = {
    "gateway": ["--config", "--bind", "--admin", "--redis", "--id"],
    "dev": ["--gateways", "--port", "--redis-port", "--config"],
    "send": ["--ttl", "--key", "--json", "--redis", "--config"],
    "tail": ["--json", "--redis", "--config"],
    "who": ["--user", "--json", "--redis", "--config"],
    "kick": ["--user", "--connection", "--json", "--redis", "--config"],
    "gateways": ["--json", "--redis", "--config"],
    "doctor": ["--json", "--redis", "--config"],
}


def test_help_names_every_command():
    out = tocsin("--help").stdout
    for command in OPTIONS:
        assert re.search(rf"^\s+{command}\b", out, re.MULTILINE), command


@pytest.mark.parametrize("command", OPTIONS)
def test_help_of_a_command_explains_its_options(command):
    out = tocsin(command, "--help").stdout
    assert out.startswith("OVERVIEW: ") or "USAGE" in out
    for option in OPTIONS[command]:
        # An option with its explanation on the same line or on the line below.
        assert re.search(rf"^\s+.*{option}\b.*\S+", out, re.MULTILINE), option


def test_an_unknown_command_or_option_is_refused():
    assert tocsin("shout", check=False).returncode != 0
    assert tocsin("send", "g", "{}", "--loud", check=False).returncode != 0
