"""Gateways: the program under test, started as an operator starts it."""

import copy
import json
import os
import re
import subprocess
from pathlib import Path

from .free_port import free_port
from .http_client import get
from .process import REPOSITORY, Process

ORIGIN = "http://site.example"
SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)( \d+)?$")


def binary() -> str:
    """The tocsin binary: TOCSIN_BIN, if relative then to the repository; by default the release build."""
    path = Path(os.environ.get("TOCSIN_BIN", ".build/release/tocsin"))
    return str(path if path.is_absolute() else REPOSITORY / path)


def tocsin(*arguments, timeout=30, check=True, **options) -> subprocess.CompletedProcess:
    """Runs one tocsin command to its end."""
    done = subprocess.run(
        [binary(), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        **options,
    )
    if check and done.returncode != 0:
        raise AssertionError(
            f"tocsin {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done


def config(site_port=None, **sections) -> dict:
    """A configuration for tests. Each section given is merged over the defaults below, key by key.

    With site_port there is a route /users/isinsufficient, whose login asks the example site.
    """
    base = {
        "redis": {},
        "gateway": {"allowed_hosts": ["site.example"], "drain_seconds": 2},
        # The load balancer names the user in a header: users without a login.
        "auth": {"lb": {"kind": "header", "header": "X-Remote-User", "trusted": ["127.0.0.0/8"]}},
        "routes": [
            {"path": "/ws/{room}", "groups": ["{room}"]},
            {"path": "/echo/{room}", "groups": ["{room}"], "receive": "echo"},
            {"path": "/say/{room}", "groups": ["{room}"], "receive": "group_send"},
            {"path": "/ask/{room}", "groups": ["{room}"], "receive": "forward:tasks"},
            {"path": "/mine", "auth": "lb", "groups": ["{user}.inbox"]},
        ],
    }
    if site_port:
        base["auth"]["site"] = {
            "kind": "callback",
            "url": f"http://127.0.0.1:{site_port}/ws-auth",
            "forward": ["cookie", "authorization"],
            "timeout": "10s",
            "user_key": "user",
        }
        base["routes"].append(
            {"path": "/users/isinsufficient", "auth": "site", "groups": ["{user}isInsufficient"], "receive": "echo"}
        )
    for name, section in sections.items():
        if isinstance(section, dict):
            base[name] = {**base.get(name, {}), **copy.deepcopy(section)}
        else:
            base[name] = copy.deepcopy(section)
    return base


default_config = config  # a second name, which Gateway's parameter does not hide


class Gateway(Process):
    """One gateway. config: a result of config(), or the path of a YAML file; flags override its addresses.

    redis_url: None: Redis is in the configuration. host: the address for clients; the admin port stays on loopback.
    """

    name = "gateway"

    def __init__(self, redis_url, id=None, config=None, environment=None, host="127.0.0.1"):
        super().__init__()
        self.host = host
        self.port, self.admin_port = free_port(), free_port()
        self.redis_url = redis_url
        self.id = id or f"gw-test-{self.port}"
        self.config = config if config is not None else default_config()
        self._environment = environment or {}

    def command(self):
        path = self.config
        if not isinstance(path, Path):
            path = self.directory / "tocsin.yaml"
            path.write_text(json.dumps(self.config, indent=2))  # JSON is YAML, and Python's standard library writes it
        return [
            binary(), "gateway", "--config", str(path),
            "--bind", f"{self.host}:{self.port}", "--admin", f"127.0.0.1:{self.admin_port}",
            *(["--redis", self.redis_url] if self.redis_url else []), "--id", self.id,
        ]  # fmt: skip

    def environment(self):
        # A developer's own TOCSIN_… settings would override the configuration under test.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        return {**clean, **self._environment}

    def ready(self):
        return get(self.admin_port, "/readyz").status == 200

    def readyz(self) -> int:
        """The status of /readyz; 0 when there is no response."""
        try:
            return get(self.admin_port, "/readyz").status
        except OSError:
            return 0

    def url(self, path) -> str:
        return f"ws://{self.host}:{self.port}{path}"

    def metric(self, name, **labels) -> float:
        """One sample of /metrics: the series with these labels, or without labels the sum of all series."""
        wanted = ",".join(f'{label}="{value}"' for label, value in labels.items())
        return self.metrics()[f"{name}{{{wanted}}}" if labels else name]

    def metrics(self) -> dict[str, float]:
        """All samples of /metrics by their full names, labels included, and the sums over labels by the bare names."""
        samples: dict[str, float] = {}
        for line in get(self.admin_port, "/metrics").text.splitlines():
            match = SAMPLE.match(line)
            if not match:
                assert not line or line.startswith("#"), f"not a Prometheus sample: {line!r}"
                continue
            name, labels, value = match[1], match[2], float(match[3])
            samples[name] = samples.get(name, 0.0) + value
            if labels:
                samples[name + labels] = value
        return samples
