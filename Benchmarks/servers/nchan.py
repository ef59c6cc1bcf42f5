"""nginx with nchan, one worker: channels in its memory, or through Redis without storage."""

import os
import subprocess
import urllib.request
from pathlib import Path

from .server import PLAIN, SSE, Server, absent

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

CONFIGURATION = """\
load_module {module};
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {directory}/pid;
error_log stderr error;
events {{ worker_connections 20000; use epoll; multi_accept on; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    nchan_shared_memory_size 1024M;
    {upstream}
    server {{
        listen {address} backlog=4096;
        location ~ ^/sub/(.+)$ {{
            nchan_channel_id $1;
            nchan_subscriber websocket eventsource;
            nchan_subscriber_first_message newest;
            nchan_message_buffer_length 0;
            nchan_websocket_ping_interval 25;
            {storage}
        }}
        location ~ ^/pub/(.+)$ {{
            nchan_channel_id $1;
            nchan_publisher http;
            nchan_message_buffer_length 0;
            {storage}
        }}
    }}
}}
"""


class Nchan(Server):
    protocols = {PLAIN, SSE}

    @classmethod
    def missing(cls):
        return absent("nginx") or (None if MODULE.exists() else "nginx's nchan module is not installed")

    @classmethod
    def version(cls):
        package = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"], capture_output=True, text=True
        )
        return package.stdout.strip()

    upstream = storage = ""

    def program(self):
        path = self.directory / "nginx.conf"
        path.write_text(
            CONFIGURATION.format(
                module=MODULE,
                directory=self.directory,
                address=self.address,
                upstream=self.upstream.format(redis=self.redis.port),
                storage=self.storage,
            )
        )
        return ["nginx", "-e", "stderr", "-c", str(path)]

    def ready(self):
        # It listens before it has reached Redis, and refuses clients until then.
        answer = urllib.request.urlopen(f"http://{self.address}/pub/ready", data=b"{}", timeout=2)
        return answer.status in (201, 202)

    @property
    def pids(self):
        """The worker; the master is idle."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(child) for child in children if os.path.exists(f"/proc/{child}")]

    def client(self, channel, protocol):
        return ["--path", f"/sub/{channel}", *(["--sse"] if protocol == SSE else [])]

    def publisher(self, channel, size, users=1, history=False):
        return ["--http-post", f"http://{self.address}/pub/{channel}"]


class NchanMemory(Nchan):
    name = "nchan-memory"
    title = "nginx + nchan, memory"
    uses_redis = False


class NchanRedis(Nchan):
    name = "nchan-redis"
    title = "nginx + nchan, Redis"
    upstream = (
        "upstream layer {{ nchan_redis_server redis://127.0.0.1:{redis}; nchan_redis_storage_mode nostore;"
        " nchan_redis_nostore_fastpublish on; }}"
    )
    storage = "nchan_redis_pass layer;"
