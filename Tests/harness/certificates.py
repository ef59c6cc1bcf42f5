"""Certificate authorities and certificates for a test, made by openssl.

authority = Authority(directory, "site")
server = authority.issue("gateway", "DNS:localhost,IP:127.0.0.1")
server.certificate, server.key      paths of PEM files
"""

import shutil
import ssl
import subprocess
from pathlib import Path

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Pair:
    """A certificate and its key, as files."""

    def __init__(self, directory: Path, name: str):
        self.name = name
        self.certificate = directory / f"{name}.crt"
        self.key = directory / f"{name}.key"

    def copy_to(self, other: "Pair"):
        """Overwrites another pair, as a renewal does: first the certificate, then the key."""
        shutil.copyfile(self.certificate, other.certificate)
        shutil.copyfile(self.key, other.key)


class Authority(Pair):
    def __init__(self, directory, name="authority"):
        super().__init__(Path(directory), name)
        self.directory = Path(directory)
        self._run("req", "-x509", "-days", "2", "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate, *KEY)

    def _run(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=self.directory)

    def issue(self, name, names="DNS:localhost,IP:127.0.0.1") -> Pair:
        """names: the certificate's subjectAltName, in openssl's syntax."""
        pair = Pair(self.directory, name)
        request, extensions = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\n")
        self._run("req", "-subj", f"/CN={name}", "-keyout", pair.key, "-out", request, *KEY)
        self._run(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", "2",
            "-extfile", extensions, "-out", pair.certificate,
        )  # fmt: skip
        return pair

    def client(self, pair: Pair | None = None) -> ssl.SSLContext:
        """A client context that trusts this authority and presents the pair when asked for a certificate."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        if pair:
            context.load_cert_chain(pair.certificate, pair.key)
        return context
