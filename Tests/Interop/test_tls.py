"""TLS on the client port: a browser's WebSocket and EventSource, renewals of the certificate, and faulty clients."""

import json
import re
import shutil
import signal
import socket
import ssl
import time

import pytest
from harness.certificates import Authority
from harness.clients import RawSocket
from harness.gateway import Gateway, config, tocsin
from harness.http_client import get
from harness.waiting import wait_until


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def pair(authority, tmp_path):
    """The files that the gateway is configured with."""
    pair = authority.issue("gateway")
    own = type(pair)(tmp_path, "gateway")
    pair.copy_to(own)
    return own


def tls(pair, **more):
    return {"certificate_file": str(pair.certificate), "key_file": str(pair.key), **more}


@pytest.fixture
def gateway(redis_server, pair):
    with Gateway(redis_server.url, config=config(gateway={"tls": tls(pair), "demo_page": True})) as gateway:
        yield gateway


def url(gateway, path):
    return f"wss://localhost:{gateway.port}{path}"


def connect(gateway, context, timeout=10):
    tcp = socket.create_connection(("127.0.0.1", gateway.port), timeout)
    try:
        return context.wrap_socket(tcp, server_hostname="localhost")
    except BaseException:
        tcp.close()
        raise


def serial(gateway, context):
    with connect(gateway, context) as client:
        return client.getpeercert()["serialNumber"]


def test_a_websocket_receives_sends_and_is_drained(gateway, clients, redis, authority):
    (one, other) = clients.open(url(gateway, "/say/tls"), count=2, tls=authority.client())
    redis.fcall("group_send", 1, "asgi:group:tls", '{"n":1}')
    assert one.wait(1) == ['{"n":1}']
    other.send('{"n":2}')
    assert json.loads(one.wait(2)[1]) == {"n": 2, "type": "receive"}
    # More than the gateway buffers for one socket.
    for n in range(300):
        redis.fcall("group_send", 1, "asgi:group:tls", '{"m":%d,"text":"%s"}' % (n, "x" * 2000))
    wait_until(lambda: len(one.messages) == 302, 20, "300 messages")
    assert [int(re.search(r'"m":(\d+)', each)[1]) for each in one.messages[2:]] == list(range(300))
    gateway.signal(signal.SIGTERM)
    assert {each.wait_closed() for each in (one, other)} == {1012}
    assert gateway.wait() == 0


def test_a_client_that_reads_nothing_is_fed_from_the_log_when_it_reads_again(gateway, redis, authority):
    with connect(gateway, authority.client()) as client:
        client.sendall(handshake(gateway, "/ws/slow"))
        text = '{"n":%d,"text":"' + "x" * 60_000 + '"}'
        while redis.fcall("group_send", 1, "asgi:group:slow", '{"first":1}')[1] == 0:
            time.sleep(0.05)
        for n in range(90):
            redis.fcall("group_send", 1, "asgi:group:slow", text % n)
        wait_until(lambda: gateway.metric("tocsin_sessions_behind_total") >= 1, 10, "a session behind")
        received = b""
        client.settimeout(20)
        while b'"n":89,' not in received:
            data = client.recv(1 << 20)
            assert data
            received += data
        assert [int(n) for n in re.findall(rb'"n":(\d+),', received)] == list(range(90))


def handshake(gateway, path):
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost:{gateway.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Origin: http://site.example\r\n\r\n"
    ).encode()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_alpn_says_http_1_1_and_old_versions_are_refused(gateway, authority):
    context = authority.client()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with connect(gateway, context) as client:
        assert client.selected_alpn_protocol() == "http/1.1"
        assert client.version() == "TLSv1.3"
    context = authority.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with connect(gateway, context) as client:
        assert client.version() == "TLSv1.2"
        assert re.match(r"ECDHE-ECDSA-(AES\d+-GCM|CHACHA20)", client.cipher()[0])
    context = authority.client()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        connect(gateway, context)


def test_the_demo_page_and_event_streams_are_served_too(gateway, redis, authority):
    with connect(gateway, authority.client()) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        page = b"".join(iter(lambda: client.recv(65536), b""))
        assert page.startswith(b"HTTP/1.1 200") and page.rstrip().endswith(b"</html>")
    with connect(gateway, authority.client()) as client:
        client.sendall(b"GET /ws/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        received = b""
        while b"\r\n\r\n" not in received:
            received += client.recv(65536)
        assert received.startswith(b"HTTP/1.1 200")
        redis.fcall("group_send", 1, "asgi:group:events", '{"e":1}')
        while b'data: {"e":1}\n' not in received:
            data = client.recv(65536)
            assert data
            received += data


def test_an_authority_that_is_not_known_is_refused_by_the_client(gateway, clients, tmp_path):
    stranger = Authority(tmp_path, "stranger")
    with pytest.raises(ssl.SSLCertVerificationError):
        clients.open(url(gateway, "/ws/a"), tls=stranger.client())
    wait_until(lambda: gateway.metric("tocsin_handshakes_refused_total", reason="tls") >= 1, 5, "the refusal")


@pytest.mark.parametrize("how", ["SIGHUP", "by itself"])
def test_a_new_certificate_is_for_new_connections_and_open_ones_stay(gateway, clients, redis, authority, pair, how):
    (old,) = clients.open(url(gateway, "/ws/renewed"), tls=authority.client())
    before = serial(gateway, authority.client())
    authority.issue("renewed").copy_to(pair)
    if how == "SIGHUP":
        gateway.signal(signal.SIGHUP)
    wait_until(lambda: serial(gateway, authority.client()) != before, 10, "the new certificate")
    (new,) = clients.open(url(gateway, "/ws/renewed"), tls=authority.client())
    redis.fcall("group_send", 1, "asgi:group:renewed", '{"still":"here"}')
    assert old.wait(1) == new.wait(1) == ['{"still":"here"}']


@pytest.mark.parametrize("broken", ["no certificate", "another key", "gone"])
def test_what_cannot_be_read_leaves_the_old_certificate_in_place(gateway, authority, pair, broken):
    before = serial(gateway, authority.client())
    secret = ""
    if broken == "no certificate":
        pair.certificate.write_text("nothing of use")
    elif broken == "another key":
        shutil.copyfile(authority.issue("other").key, pair.key)
        secret = pair.key.read_text().splitlines()[1]
    else:
        pair.key.unlink()
    wait_until(lambda: "the certificate stays the old one" in gateway.log, 10, "the error in the log")
    assert serial(gateway, authority.client()) == before
    assert str(pair.certificate if broken == "no certificate" else pair.key) in gateway.log
    assert not secret or secret not in gateway.log
    time.sleep(4.5)  # Two more checks: an error is logged once.
    assert gateway.log.count("the certificate stays the old one") == 1
    renewed = authority.issue("again")
    renewed.copy_to(pair)
    wait_until(lambda: serial(gateway, authority.client()) != before, 10, "the new certificate")


def test_what_is_no_tls_is_ended_and_harms_nobody(gateway, clients, redis, authority):
    (good,) = clients.open(url(gateway, "/ws/good"), tls=authority.client())
    for bad in [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0" * 100, b"\x16\x03\x01\xff\xff" + b"\xff" * 200]:
        with socket.create_connection(("127.0.0.1", gateway.port), 5) as tcp:
            tcp.sendall(bad)
            try:
                while tcp.recv(65536):
                    pass
            except ConnectionResetError:
                pass
    redis.fcall("group_send", 1, "asgi:group:good", '{"n":1}')
    assert good.wait(1) == ['{"n":1}']
    assert gateway.metric("tocsin_connections") == 1


def test_a_client_hello_at_a_port_without_tls_is_answered_400(redis_server):
    with Gateway(redis_server.url) as gateway:
        hello = ssl.MemoryBIO()
        client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        with socket.create_connection(("127.0.0.1", gateway.port), 5) as tcp:
            tcp.sendall(hello.read())
            assert tcp.recv(65536).startswith(b"HTTP/1.1 400")
        with RawSocket(gateway.port, "/ws/a") as good:
            assert good.status == 101


def test_a_handshake_that_never_ends_is_cut_after_5_s(gateway, authority):
    silent = socket.create_connection(("127.0.0.1", gateway.port), 20)
    slow = socket.create_connection(("127.0.0.1", gateway.port), 20)
    slow.sendall(b"\x16\x03\x01\x02\x00\x01\x00")  # a ClientHello's beginning
    began = time.monotonic()
    with silent, slow:
        for tcp in (silent, slow):
            try:
                assert tcp.recv(100) == b""
            except ConnectionResetError:
                pass
            assert 3 < time.monotonic() - began < 8
    assert gateway.metric("tocsin_handshakes_refused_total", reason="timeout") == 2
    # A client that finishes the handshake and then stays silent has the remaining time.
    with connect(gateway, authority.client()) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 408")


def test_mutual_tls_lets_in_whom_its_authority_knows(redis_server, clients, authority, pair, tmp_path):
    people, strangers = Authority(tmp_path, "people"), Authority(tmp_path, "strangers")
    settings = config(gateway={"tls": tls(pair, client_ca_file=str(people.certificate), minimum_version="1.3")})
    with Gateway(redis_server.url, config=settings) as gateway:
        (known,) = clients.open(url(gateway, "/ws/a"), tls=authority.client(people.issue("alice")))
        for wrong in (None, strangers.issue("mallory")):
            with pytest.raises((ssl.SSLError, OSError)):
                with connect(gateway, authority.client(wrong)) as client:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    if not client.recv(100):
                        raise ConnectionError("ended")
        assert known.open
        assert gateway.metric("tocsin_handshakes_refused_total", reason="tls") == 2


@pytest.mark.parametrize("broken", ["certificate_file", "key_file", "client_ca_file", "pair", "passphrase"])
def test_a_gateway_with_wrong_files_does_not_start_and_says_what_to_do(redis_server, authority, pair, tmp_path, broken):
    settings = tls(pair)
    if broken == "pair":
        settings["key_file"] = str(authority.issue("other").key)
    elif broken == "passphrase":
        settings["key_file"] = str(tmp_path / "locked.key")
        (tmp_path / "locked.key").write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n-----END ENCRYPTED PRIVATE KEY-----\n")
    else:
        settings[broken] = str(tmp_path / "absent.pem")
    gateway = Gateway(redis_server.url, config=config(gateway={"tls": settings}))
    with pytest.raises(RuntimeError):
        gateway.start()
    wrong = settings[{"pair": "key_file", "passphrase": "key_file"}.get(broken, broken)]
    assert wrong in gateway.log and "gateway.tls" in gateway.log
    assert gateway.popen.returncode != 0
    secret = (authority.directory / "other.key").read_text().splitlines()[1] if broken == "pair" else "MII="
    assert secret not in gateway.log
    config_file = gateway.directory / "tocsin.yaml"
    doctor = tocsin("doctor", "--config", config_file, "--redis", redis_server.url, check=False)
    assert doctor.returncode == 1 and wrong in doctor.stdout


def test_doctor_names_the_certificate_and_its_end(redis_server, gateway):
    answer = tocsin("doctor", "--config", gateway.directory / "tocsin.yaml", "--redis", redis_server.url, check=False)
    assert re.search(r"warn\s+client tls: .*gateway.crt ends on \d{4}-\d\d-\d\d", answer.stdout), answer.stdout
    assert get(gateway.admin_port, "/readyz").status == 200
