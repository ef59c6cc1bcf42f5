"""Writes Admission/OriginVectors.swift: the verdicts of channels' own OriginValidator on many Origins with many allowed lists.

    .venv/bin/python Tests/Gateway/make_origin_vectors.py

The answers come from channels (Tests/requirements.txt names the version), not from this script.
"""

import importlib.metadata
from pathlib import Path
from urllib.parse import urlparse

from channels.security.websocket import OriginValidator

ORIGINS = """
http://example.com https://example.com ws://example.com wss://example.com HTTPS://EXAMPLE.COM https://Example.Com:443
http://example.com:80 http://example.com:443 https://example.com:80 https://example.com:443 https://example.com:8443
http://example.com:8000 http://sub.example.com https://sub.example.com https://sub.example.com:8443
https://deep.sub.example.com:8443 https://.example.com https://a..example.com https://example.com. https://sub.example.com.
https://example.com.evil.com https://evilexample.com https://evil.com https://exam-ple.com https://xample.com
https://example.co https://example.com@evil.com https://example.com:443@evil.com https://evil.com@example.com
https://user:pass@example.com https://a@b@example.com https://evil.com#example.com https://evil.com?example.com
https://evil.com/example.com https://evil.com/.example.com https://evil.com?@example.com https://evil.com#@example.com
https://example.com/ https://example.com/path https://example.com?x=1 https://example.com#x https://example.com\\@evil.com
https://evil.com\\@example.com https://example.com%2eevil.com https://example.com%00.evil.com
https://xn--exmple-cua.com https://example.com: https://example.com:abc https://example.com:99999 https://example.com:0443
https://example.com:0 https://example.com:-1 https://example.com:+443 https://example.com:4_43 https://example.com:443:80
http://localhost http://localhost:8000 http://127.0.0.1 http://127.0.0.1:8000 http://0.0.0.0
http://127.0.0.1.evil.com http://[::1] http://[::1]:8000 http://[::1]:80 http://[::1 http://[::1]x http://[::1]:
http://::1 http://[::2] http://[0:0:0:0:0:0:0:1] http://[::ffff:127.0.0.1]
null example.com //example.com example.com:443 https: https:// https:/// https:/example.com https:example.com https//example.com
http://: http://:80 http://@ http://@example.com file:// file:///etc/passwd about:blank data:text/html,x blob:https://example.com
chrome-extension://abcdefgh moz-extension://example.com app://example.com ftp://example.com x-y.z+1://example.com
1http://example.com *://example.com https://* https://*.example.com * . .example.com ://example.com
""".split() + ["", " https://example.com", "https://example.com ", "https://exam ple.com", "https://exämple.com", "https:// example.com"]

ALLOWED = [
    ["*"], ["evil.com", "*"], ["example.com"], [".example.com"], ["EXAMPLE.com"], [".Example.COM"], ["example.com."],
    ["sub.example.com", "localhost"], ["https://example.com"], ["HTTPS://Example.com"], ["https://example.com:443"],
    ["https://example.com:8443"], ["http://example.com"], ["http://example.com:80"], ["http://example.com:443"],
    ["https://.example.com"], ["https://.example.com:8443"], ["ws://example.com"], ["wss://example.com:443"],
    ["chrome-extension://abcdefgh"], ["app://example.com"], ["x-y.z+1://example.com"], ["https://*.example.com"], ["*.example.com"],
    ["localhost", "127.0.0.1", "[::1]"], ["[::1]"], ["::1"], ["http://[::1]"], ["http://[::1]:8000"], ["127.0.0.1"], ["http://localhost:8000"],
    ["example.com:443"], ["localhost:8000"], [".example.com:8443"], ["127.0.0.1:8000"], ["[::1]:8000"],
    [""], ["."], [" example.com"], ["null"], ["https://"], ["https:"], ["//example.com"], ["https://example.com/"],
    ["https://example.com/path"], ["https://user@example.com"], ["example.com/path"], ["com"], [".com"], ["file://"],
]  # fmt: skip


def says(origin, allowed):
    """Like OriginValidator for a request with this Origin header; if it fails, the Origin is refused."""
    try:
        parsed = None if origin is None else urlparse(origin.encode().decode("latin1"))
        return OriginValidator(None, allowed).valid_origin(parsed)
    except ValueError:
        return False


def swift(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main():
    lines = [
        f"// Written by make_origin_vectors.py from channels {importlib.metadata.version('channels')}: do not edit.",
        "",
        "/// Origins, allowed lists, and for each list one character an Origin: \"+\" let in, \"-\" refused.",
        "enum OriginVectors {",
        "    static let origins: [String] = [",
        *(f"        {swift(origin)}," for origin in ORIGINS),
        "    ]",
        "",
        "    static let lists: [(allowed: [String], missing: Bool, answers: String)] = [",
    ]
    for allowed in ALLOWED:
        answers = "".join("+" if says(origin, allowed) else "-" for origin in ORIGINS)
        missing = "true" if says(None, allowed) else "false"
        lines += [f"        ([{', '.join(map(swift, allowed))}], {missing},", f'            "{answers}"),']
    lines += ["    ]", "}", ""]
    (Path(__file__).parent / "Admission" / "OriginVectors.swift").write_text("\n".join(lines))


main()
