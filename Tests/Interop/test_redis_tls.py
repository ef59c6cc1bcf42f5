"""rediss://: a real redis-server with TLS, a gateway and tocsin doctor, with right and wrong certificates."""

import json
import subprocess
from pathlib import Path

import pytest
from harness.certificates import Authority
from harness.free_port import free_port
from harness.gateway import Gateway, config, tocsin
from harness.redis_server import RedisServer


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("redis-tls"))


@pytest.fixture(scope="module", params=["no", "yes"], ids=["any client", "clients with certificates"])
def server(request, authority):
    """A server whose certificate is for redis.example.com and not for localhost."""
    pair = authority.issue("redis", "DNS:redis.example.com")
    port = free_port()
    with RedisServer(args=[
        "--tls-port", port, "--tls-cert-file", pair.certificate, "--tls-key-file", pair.key,
        "--tls-ca-cert-file", authority.certificate, "--tls-auth-clients", request.param,
    ]) as server:  # fmt: skip
        server.tls_url = f"rediss://localhost:{port}/3"
        server.wants_certificates = request.param == "yes"
        yield server


@pytest.fixture
def settings(server, authority):
    settings = {"ca_file": str(authority.certificate), "server_name": "redis.example.com"}
    if server.wants_certificates:
        pair = authority.issue("tocsin")
        settings |= {"certificate_file": str(pair.certificate), "key_file": str(pair.key)}
    return settings


def doctor(tmp_path, settings, url):
    path = tmp_path / "doctor.yaml"
    path.write_text(json.dumps(config(redis={"tls": settings})))
    return tocsin("doctor", "--config", path, "--redis", url, check=False)


def test_a_gateway_serves_over_tls_to_redis(server, settings, clients):
    with Gateway(server.tls_url, config=config(redis={"tls": settings})) as gateway:
        (socket,) = clients.open(gateway.url("/ws/a"))
        server.client().fcall("group_send", 1, "asgi:group:a", '{"n":1}')
        assert socket.wait(1) == ['{"n":1}']


def test_both_sides_over_tls(server, settings, clients, authority):
    pair = authority.issue("gateway")
    tls = {"certificate_file": str(pair.certificate), "key_file": str(pair.key)}
    with Gateway(server.tls_url, config=config(redis={"tls": settings}, gateway={"tls": tls})) as gateway:
        (socket,) = clients.open(f"wss://localhost:{gateway.port}/ws/a", tls=authority.client())
        server.client().fcall("group_send", 1, "asgi:group:a", '{"n":1}')
        assert socket.wait(1) == ['{"n":1}']


def test_renewed_files_count_from_the_next_connection_on(server, settings, clients, tmp_path):
    """Another authority, as after a change of issuers: everything signed by the old one is refused."""
    files = {key: tmp_path / key for key in settings if key.endswith("_file")}
    for key, copy in files.items():
        copy.write_bytes(Path(settings[key]).read_bytes())
    kept = settings | {key: str(copy) for key, copy in files.items()}
    with Gateway(server.tls_url, config=config(redis={"tls": kept})) as gateway, server.client() as redis:
        (socket,) = clients.open(gateway.url("/ws/a"))
        next_one = Authority(tmp_path, "next")
        mine, theirs = next_one.issue("tocsin-next"), next_one.issue("redis-next", "DNS:redis.example.com")
        before = redis.config_get("tls-cert-file", "tls-key-file", "tls-ca-cert-file")
        try:
            for key, new in [("ca_file", next_one.certificate), ("certificate_file", mine.certificate), ("key_file", mine.key)]:
                if key in files:
                    files[key].write_bytes(new.read_bytes())
            set_files(redis, {
                "tls-cert-file": theirs.certificate, "tls-key-file": theirs.key, "tls-ca-cert-file": next_one.certificate,
            })  # fmt: skip
            for kind in ("normal", "pubsub"):
                redis.client_kill_filter(_type=kind, skipme=True)
            redis.fcall("group_send", 1, "asgi:group:a", '{"n":1}')
            assert socket.wait(1, timeout=20) == ['{"n":1}']
        finally:
            set_files(redis, before)


def set_files(redis, files):
    """In one command: each of them alone would not match the others."""
    redis.execute_command("CONFIG", "SET", *(str(word) for pair in files.items() for word in pair))


def test_doctor_is_content_with_what_is_right(server, settings, tmp_path):
    answer = doctor(tmp_path, settings, server.tls_url)
    assert "answers, its certificate is valid" in answer.stdout, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    "change, words",
    [
        ({"ca_file": None}, "signed by no authority of redis.tls.ca_file"),
        ({"server_name": None}, "is for another name; redis.tls.server_name"),
        ({"server_name": "other.example.com"}, "is for another name; redis.tls.server_name"),
    ],
)
def test_doctor_says_what_is_wrong_with_the_server(server, settings, tmp_path, change, words):
    wrong = {key: value for key, value in (settings | change).items() if value}
    answer = doctor(tmp_path, wrong, server.tls_url)
    assert answer.returncode == 1
    assert words in answer.stdout + answer.stderr


def test_doctor_says_what_is_wrong_with_the_client(server, settings, authority, tmp_path):
    if not server.wants_certificates:
        assert doctor(tmp_path, settings, server.tls_url).returncode == 0, "this server asks nobody"
        return
    stranger = Authority(tmp_path, "stranger").issue("mallory")
    without = {key: value for key, value in settings.items() if key not in ("certificate_file", "key_file")}
    answer = doctor(tmp_path, without, server.tls_url)
    assert answer.returncode == 1 and "the server wants" in answer.stdout + answer.stderr
    wrong = settings | {"certificate_file": str(stranger.certificate), "key_file": str(stranger.key)}
    answer = doctor(tmp_path, wrong, server.tls_url)
    assert answer.returncode == 1 and "redis.tls.certificate_file" in answer.stdout + answer.stderr
    mixed = settings | {"key_file": str(stranger.key)}
    answer = doctor(tmp_path, mixed, server.tls_url)
    assert answer.returncode != 0 and "does not belong to" in answer.stdout + answer.stderr


def test_tls_at_a_plain_port_and_plain_settings_with_tls(server, settings, tmp_path):
    answer = doctor(tmp_path, settings, f"rediss://localhost:{server.port}/3")
    assert answer.returncode == 1
    answer = doctor(tmp_path, settings, f"redis://127.0.0.1:{server.port}/3")
    assert answer.returncode != 0 and "redis.tls is for rediss://" in answer.stdout + answer.stderr


@pytest.fixture
def sentinel(authority, tmp_path):
    """A Sentinel with TLS, and the server with TLS that it monitors by its IP address; both want certificates of clients."""
    pair, tls_port, port = authority.issue("watched"), free_port(), free_port()
    tls = {
        "tls-cert-file": pair.certificate, "tls-key-file": pair.key, "tls-ca-cert-file": authority.certificate,
        "tls-auth-clients": "yes", "tls-replication": "yes",
    }  # fmt: skip
    words = [word for name, value in tls.items() for word in (f"--{name}", value)]
    conf = tmp_path / "sentinel.conf"
    lines = [f"port 0\ntls-port {port}\nbind 127.0.0.1\ndir {tmp_path}", *(f"{name} {value}" for name, value in tls.items())]
    conf.write_text("\n".join([*lines, f"sentinel monitor mymaster 127.0.0.1 {tls_port} 1"]) + "\n")
    with RedisServer(args=["--tls-port", tls_port, *words]) as server:
        process = subprocess.Popen(["redis-server", conf, "--sentinel"], stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            yield server, port
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("form", ["URL", "mapping"])
def test_servers_and_sentinels_over_tls(sentinel, authority, clients, form):
    server, port = sentinel
    pair = authority.issue("tocsin")
    tls = {"ca_file": authority.certificate, "certificate_file": pair.certificate, "key_file": pair.key}
    host = {
        "URL": f"rediss+sentinel://127.0.0.1:{port}/mymaster/3",
        "mapping": {"master_name": "mymaster", "sentinels": [f"127.0.0.1:{port}"], "ssl": True},
    }[form]
    redis = {"hosts": [host], "tls": {key: str(path) for key, path in tls.items()}}
    with Gateway(None, config=config(redis=redis)) as gateway:
        (socket,) = clients.open(gateway.url("/ws/a"))
        server.client().fcall("group_send", 1, "asgi:group:a", '{"n":1}')
        assert socket.wait(1) == ['{"n":1}']
