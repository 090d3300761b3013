"""Local servers that take messages: a webhook, and mail with STARTTLS and login."""

from __future__ import annotations

import base64
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Received:
    """What a server has got."""

    port: int = 0
    texts: list[str] = field(default_factory=list)
    mails: list[Any] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    secured: list[bool] = field(default_factory=list)


@contextmanager
def webhook(status: int = 200, *, answers: bool = True, drips: bool = False) -> Iterator[Received]:
    """A webhook that answers with a status, or takes a message and never answers, or never to the end."""
    received, ended = Received(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.texts.append(json.loads(body)["text"])
            if drips:
                with suppress(OSError):
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                    while not ended.wait(0.05):
                        self.wfile.write(b".")
                return
            if not answers:
                ended.wait()
                return
            self.send_response(status, f"no such path {self.path}")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    with _serving(server, received):
        yield received
        ended.set()


@contextmanager
def mail_server(certificate: Path | None = None, *, password: str = "") -> Iterator[Received]:
    """A mail server; with a certificate it speaks STARTTLS, and takes mail from who logs in only."""
    received = Received()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            secured = False
            self.say("220 test")
            while line := self.rfile.readline().decode().strip():
                verb = line.split()[0].upper()
                if verb == "EHLO":
                    self.say("250-test")
                    self.say("250 AUTH PLAIN" if secured or not certificate else "250 STARTTLS")
                elif verb == "STARTTLS" and certificate:
                    self.say("220 go")
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(certificate)
                    self.connection = context.wrap_socket(self.connection, server_side=True)
                    self.rfile = self.connection.makefile("rb")
                    self.wfile = self.connection.makefile("wb", buffering=0)
                    secured = True
                elif verb == "AUTH":
                    _, user, given = base64.b64decode(line.split()[2]).decode().split("\0")
                    received.logins.append(user)
                    self.say("235 yes" if given == password else f"535 wrong password {given}")
                elif verb == "DATA":
                    self.say("354 go on")
                    lines = []
                    while (data := self.rfile.readline()) != b".\r\n":
                        lines.append(data)
                    received.mails.append(message_from_bytes(b"".join(lines)))
                    received.secured.append(secured)
                    self.say("250 taken")
                else:
                    self.say("221 bye" if verb == "QUIT" else "250 good")

    with _serving(socketserver.TCPServer(("127.0.0.1", 0), Handler), received):
        yield received


@contextmanager
def _serving(server: socketserver.TCPServer, received: Received) -> Iterator[None]:
    received.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    with server:
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
