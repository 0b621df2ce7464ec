"""A simulated account under its real name: https://acme.zendesk.com on this machine's loopback.

Meant to run in network and mount namespaces of its own (script/clients makes them), so that nothing outside them sees
the name, and a client that went astray could not reach the real one.
"""

import fcntl
import json
import os
import socket
import struct
import subprocess
import urllib.request
from pathlib import Path

HOSTS = "127.0.0.1 localhost acme.zendesk.com api.getbase.com\n"


def enter(folder: Path) -> None:
    """Brings the loopback interface of this namespace up and gives it the names."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        flags = struct.pack("16sh14s", b"lo", 0x1 | 0x40, b"")  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(sock, 0x8914, flags)  # SIOCSIFFLAGS
    hosts = folder / "hosts"
    hosts.write_text(HOSTS)
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)


class Account:
    """A running simulation."""

    def __init__(self, program: str, folder: Path, *settings: str):
        folder.mkdir(parents=True, exist_ok=True)
        tls = ["--tls-listen", "127.0.0.1:443", "--tls-dir", str(folder)]
        self.authority = folder / "ca.pem"
        self.process = subprocess.Popen(
            [program, *tls, "--exit-with-stdin", *settings], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the simulated Zendesk did not start; its words are above")
        self.about = json.loads(line)

    def __enter__(self) -> "Account":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=30)

    def environment(self) -> dict:
        """What lets a client trust the account's certificate, each in its own way; and no proxy."""
        mine = {"REQUESTS_CA_BUNDLE": self.authority, "SSL_CERT_FILE": self.authority, "NODE_EXTRA_CA_CERTS": self.authority}
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return kept | {name: str(path) for name, path in mine.items()}

    def door(self, path: str, body: dict | None = None) -> dict:
        """The admin door."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.about["admin"] + path, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def truth(self, what: str) -> dict:
        """The true rows by id."""
        rows, after = {}, 0
        while after is not None:
            page = self.door(f"/state/{what}?after_id={after}&limit=1000")
            rows |= {row["id"]: row for row in page["rows"]}
            after = page["next_after_id"]
        return rows
