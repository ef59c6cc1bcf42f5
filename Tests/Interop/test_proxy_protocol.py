"""HAProxy with send-proxy-v2 in front of gateways, plain and with TLS after it: the login request has the client's address."""

import json
import re
import socket

import pytest
from harness.certificates import Authority
from harness.gateway import Gateway, config
from harness.haproxy import HAProxy
from harness.small_site import SmallSite

CLIENT = "127.0.0.9"


class Site(SmallSite):
    """Accepts everybody and records the X-Forwarded-For of each request."""

    def __init__(self):
        self.seen = []
        super().__init__()

    def answer(self, path, headers):
        self.seen.append(headers["X-Forwarded-For"])
        return 200, json.dumps({"user": str(len(self.seen))}).encode()


class ProxyingHAProxy(HAProxy):
    """The shipped configuration, with servers that get the client's address by the PROXY protocol."""

    options = "send-proxy-v2"

    def configuration(self):
        text, times = re.subn(r"(?m)^(    server .*)$", rf"\1 {self.options}", super().configuration())
        assert times == len(self.gateways)
        return text


def settings(site, **gateway):
    return config(
        gateway={"trusted_proxies": ["127.0.0.1"], "proxy_protocol": True, **gateway},
        auth={"site": {"kind": "callback", "url": site.url, "cache": "0s"}},
        routes=[{"path": "/ws/{room}", "groups": ["{room}"]}, {"path": "/in", "auth": "site", "groups": ["{user}"]}],
    )


def upgrade(port, path, *headers, source=CLIENT, before=b""):
    """Returns the status of a handshake made from the source address."""
    with socket.create_connection(("127.0.0.1", port), 10, source_address=(source, 0)) as tcp:
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
                 "Origin: http://site.example", *headers, "", ""]  # fmt: skip
        tcp.sendall(before + "\r\n".join(lines).encode())
        return int(tcp.recv(65536).split(b" ", 2)[1])


@pytest.fixture
def site():
    with Site() as site:
        yield site


def test_the_login_is_told_the_clients_address(redis_server, site, clients):
    with Gateway(redis_server.url, config=settings(site)) as gateway, ProxyingHAProxy([gateway]) as haproxy:
        assert upgrade(haproxy.port, "/in", "X-Forwarded-For: 10.1.1.1") == 101
        assert site.seen == [CLIENT]
        (room,) = clients.open(haproxy.url("/ws/a"))
        redis_server.client().fcall("group_send", 1, "asgi:group:a", '{"n":1}')
        assert room.wait(1) == ['{"n":1}']


def test_the_header_goes_before_tls(redis_server, site, tmp_path, clients):
    authority = Authority(tmp_path)
    pair = authority.issue("gateway")
    tls = {"certificate_file": str(pair.certificate), "key_file": str(pair.key)}

    class Encrypting(ProxyingHAProxy):
        options = f"ssl verify required ca-file {authority.certificate} verifyhost localhost no-check-ssl send-proxy-v2"

    with Gateway(redis_server.url, config=settings(site, tls=tls)) as gateway, Encrypting([gateway]) as haproxy:
        assert upgrade(haproxy.port, "/in") == 101
        assert site.seen == [CLIENT]
        (room,) = clients.open(haproxy.url("/ws/a"))
        redis_server.client().fcall("group_send", 1, "asgi:group:a", '{"n":1}')
        assert room.wait(1) == ['{"n":1}']
        # A trusted proxy that begins with TLS or with an invalid header is disconnected.
        for wrong in (b"\x16\x03\x01", b"PROXY TCP9 a b 1 2\r\n"):
            with socket.create_connection(("127.0.0.1", gateway.port), 10) as tcp:
                tcp.sendall(wrong)
                assert tcp.recv(100) == b""
        assert gateway.metric("tocsin_handshakes_refused_total", reason="proxy_header") == 2


def test_who_is_no_trusted_proxy_forges_nothing(redis_server, site):
    header = b"PROXY TCP4 10.2.2.2 10.3.3.3 1 2\r\n"
    with Gateway(redis_server.url, config=settings(site)) as gateway:
        assert upgrade(gateway.port, "/in", before=header) == 400
        assert upgrade(gateway.port, "/in") == 101
        assert upgrade(gateway.port, "/in", source="127.0.0.1") == 400
        assert upgrade(gateway.port, "/in", source="127.0.0.1", before=header) == 101
    assert site.seen == [CLIENT, "10.2.2.2"]


def test_x_forwarded_for_counts_from_trusted_proxies(redis_server, site):
    with Gateway(redis_server.url, config=settings(site, proxy_protocol=False)) as gateway:
        forwarded = "X-Forwarded-For: 10.9.9.9, 203.0.113.5"
        assert upgrade(gateway.port, "/in", forwarded, source="127.0.0.1") == 101
        assert upgrade(gateway.port, "/in", forwarded) == 101
        # A peer that is no trusted proxy keeps its own address, whatever header it sends.
        assert site.seen == ["203.0.113.5", CLIENT]
