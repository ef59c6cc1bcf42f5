"""The Django stacks that sites run, old ones among them: Tests/Interop/stacks/site under the interpreter of each.

scripts/django-environment makes .stacks/VERSION; the newest stack is the tests' own environment, and always there.
"""

import ast
import functools
import http.cookies
import os
import subprocess
import sys
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

import redis

from .free_port import free_port
from .http_client import get, request
from .process import REPOSITORY, Process

PINS = REPOSITORY / "Tests" / "Interop" / "stacks"
SITE = PINS / "site"
NEWEST = "4.3.0"


@dataclass(frozen=True)
class Stack:
    """A version of channels_redis with what goes with it, one of its two layers, and how that writes messages."""

    version: str
    layer: str = "core"
    serializer: str = "msgpack"

    def __str__(self):
        return f"{self.version}-{self.layer}" + ("" if self.serializer == "msgpack" else f"-{self.serializer}")

    @property
    def folder(self) -> Path:
        return Path(sys.executable).parent if self.version == NEWEST else REPOSITORY / ".stacks" / self.version / "bin"

    @property
    def is_made(self) -> bool:
        """True when scripts/django-environment has made it from the pins that are there today."""
        stamp = self.folder.parent / "requirements.txt"
        return self.version == NEWEST or (
            stamp.exists() and stamp.read_bytes() == (PINS / f"{self.version}.txt").read_bytes()
        )

    @property
    def has_lists(self) -> bool:
        """channels_redis 2.x: lists where later versions have sorted sets, and a prefix that ends in a colon."""
        return self.version.startswith("2.")

    @property
    def redis_settings(self) -> dict:
        """What a gateway's configuration says of this layer."""
        lists = {"layer": "2"} if self.has_lists else {}
        return lists if self.serializer == "msgpack" else {**lists, "serializer": self.serializer}

    def group_key(self, group) -> str:
        return f"asgi::group:{group}" if self.has_lists else f"asgi:group:{group}"


OLD = [Stack(path.stem) for path in sorted(PINS.glob("*.txt"))]
NEW = [Stack(NEWEST, layer, serializer) for serializer in ("msgpack", "json") for layer in ("core", "pubsub")]
STACKS = [*(stack for stack in OLD if stack.is_made), *NEW]
LEFT_OUT = [stack.version for stack in OLD if not stack.is_made]


@dataclass(frozen=True)
class Project:
    """One deployment: a stack, its Redis, its database, and what else its settings take from the environment."""

    stack: Stack
    redis_url: str
    database: Path
    settings: dict = field(default_factory=dict)  # LAYER_PREFIX, LAYER_KEYS

    def environment(self):
        serializer = {} if self.stack.serializer == "msgpack" else {"LAYER_SERIALIZER": self.stack.serializer}
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "PYTHONPATH": str(SITE),
            "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "utf-8",
            "PYTHONWARNINGS": "ignore",  # old code on interpreters that deprecate it
            "REDIS_URL": self.redis_url,
            "LAYER": self.stack.layer,
            "DATABASE": str(self.database),
            **serializer,
            **self.settings,
        }

    def python(self, *arguments) -> list[str]:
        return [str(self.stack.folder / "python"), *arguments]

    def migrate(self):
        done = subprocess.run(
            self.python(str(SITE / "manage.py"), "migrate", "--run-syncdb", "--verbosity", "0"),
            env=self.environment(), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"migrate: {done.stdout}{done.stderr}"


class _StackProcess(Process):
    start_timeout = 60.0

    def __init__(self, project: Project):
        super().__init__()
        self.project, self.id = project, str(project.stack)

    def environment(self):
        return self.project.environment()


class Daphne(_StackProcess):
    """The site's server: its pages, and the consumers that the gateways stand in for."""

    name = "daphne"

    def __init__(self, project):
        super().__init__(project)
        self.port = free_port()

    def command(self):
        program = str(self.project.stack.folder / "daphne")
        return self.project.python(program, "-b", "127.0.0.1", "-p", str(self.port), "mysite.asgi:application")

    def ready(self):
        return get(self.port, "/ws-auth").status == 401

    def url(self, path) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    @functools.cache
    def login(self, user) -> str:
        """Logs the user in as a browser does; the value of the Cookie header that says so."""
        jar = http.cookies.SimpleCookie(self._post("/login", {"user": user}).headers["Set-Cookie"])
        return "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())

    def set_balance(self, user, amount):
        """Sets the user's balance through the site: the row is saved, the signal is fired."""
        self._post("/balance", {"amount": repr(amount)}, {"Cookie": self.login(user)})

    def _post(self, path, form, headers=None):
        headers = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        answer = request(self.port, "POST", path, urllib.parse.urlencode(form), headers, timeout=20)
        assert answer.status == 204, (answer.status, answer.text[:500])
        return answer


class Worker(_StackProcess):
    """manage.py runworker tasks"""

    name = "runworker"

    def command(self):
        return self.project.python(str(SITE / "manage.py"), "runworker", "tasks")

    def ready(self):
        """On the pub/sub layer, once it listens: what is sent before is lost. On core a task waits for its worker."""
        if self.project.stack.layer == "core":
            return True
        with redis.Redis.from_url(self.project.redis_url) as client:
            return client.pubsub_numsub("tasks")[0][1] > 0


class Driver(_StackProcess):
    """A process of the site that does what the test says, one call after the other: stacks/site/drive.py."""

    name = "driver"

    def command(self):
        return self.project.python(str(SITE / "drive.py"))

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(
                self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=self.environment(), cwd=self.directory, encoding="ascii",
            )  # fmt: skip
        assert self.popen.stdout.readline() == "ready\n", f"{self.name} did not start:\n{self.log[-4000:]}"
        return self

    def close(self):
        if self.popen:
            self.popen.stdin.close()
            self.popen.stdout.close()
        super().close()

    def do(self, verb, *arguments):
        """One of drive.py's verbs; what it returned."""
        self.popen.stdin.write(ascii((verb, *arguments)) + "\n")
        self.popen.stdin.flush()
        line = self.popen.stdout.readline()
        assert line, f"{self.name} ended:\n{self.log[-4000:]}"
        outcome, value = ast.literal_eval(line)
        assert outcome == "returned", f"{verb}: {value}"
        return value

    def send(self, channel, message):
        self.do("send", channel, message)

    def group_send(self, *sends):
        """(group, message) pairs, in order."""
        self.do("group_send_all", list(sends))
