"""The ways a message goes: an incoming webhook of Slack, mail, a command."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import ssl
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from mml_core.api import near_matches
from mml_notify.message import Message
from mml_notify.secrets import NotifyError, Secret, read_secret

_LOCAL = ("localhost", "127.0.0.1", "::1")
_SECURITY = {"starttls": 587, "ssl": 465, "none": 25}


class Channel(Protocol):
    """One way a message goes."""

    @property
    def label(self) -> str:
        """What it is called to the user; holds no secret."""

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must not be shown."""

    def send(self, message: Message) -> None:
        """Send a message, or raise whatever went wrong."""


@dataclass(frozen=True, kw_only=True)
class Slack:
    """An incoming webhook of Slack, or of what understands the same (Mattermost, Rocket.Chat).

    Attributes:
        url: Its address, by which anybody can write to the channel.
        timeout: Seconds.
    """

    url: Secret
    timeout: float

    label = "slack"

    @classmethod
    def read(cls, given: Mapping[str, Any], environment: Mapping[str, str], timeout: float) -> Slack:
        """Check settings; raise NotifyError where they cannot work."""
        what = "The address of the Slack webhook"
        url = read_secret(what, environment, given.get("url_env"), given.get("url_file"))
        if url is None:
            raise NotifyError("slack needs url_env or url_file.")
        split = urlsplit(url.reveal())
        secure = split.scheme == "https" or (split.scheme == "http" and split.hostname in _LOCAL)
        if not secure or not split.hostname or not url.reveal().isprintable():
            raise NotifyError(f"{what} in {url.source} does not begin with https:// and a host.")
        return cls(url=url, timeout=timeout)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must not be shown."""
        return (self.url,)

    def send(self, message: Message) -> None:
        """Post a message."""
        escaped = message.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        body = json.dumps({"text": escaped}).encode()
        request = Request(self.url.reveal(), body, {"Content-Type": "application/json"}, method="POST")
        with urlopen(request, timeout=self.timeout):
            pass


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A mail server that takes messages by SMTP.

    Attributes:
        host: The server.
        port: Its port.
        security: ``starttls``, ``ssl`` or ``none``.
        user: Who logs in; None: nobody does.
        password: The password; None where nobody logs in.
        sender: From whom.
        recipients: To whom.
        timeout: Seconds.
    """

    host: str
    port: int
    security: str
    user: str | None
    password: Secret | None
    sender: str
    recipients: tuple[str, ...]
    timeout: float

    @classmethod
    def read(cls, given: Mapping[str, Any], environment: Mapping[str, str], timeout: float) -> Mail:
        """Check settings; raise NotifyError where they cannot work."""
        host, security = given.get("host"), str(given.get("security") or "starttls")
        if security not in _SECURITY:
            hint = near_matches(security, _SECURITY)
            raise NotifyError(f"smtp.security is '{security}'; write one of {', '.join(_SECURITY)}.{hint}")
        if not isinstance(host, str):
            raise NotifyError("smtp.host is missing; name the mail server.")
        port = str(given.get("port") or _SECURITY[security])
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise NotifyError(f"smtp.port is '{port}'; write a number from 1 to 65535.")
        recipients = given.get("recipients") or []
        if isinstance(recipients, str):
            recipients = [recipients]
        sender = given.get("sender")
        for key, addresses in (("sender", [sender] if sender else []), ("recipients", recipients)):
            if not addresses or not all(_is_address(each) for each in addresses):
                raise NotifyError(f"smtp.{key} must be given as mail addresses, such as me@example.org.")
        user = given.get("user")
        password = read_secret(
            "The password of the mail server",
            environment,
            given.get("password_env"),
            given.get("password_file"),
        )
        if (user is None) != (password is None):
            missing = "a user" if user is None else "password_env or password_file"
            raise NotifyError(f"smtp needs {missing} to log in; without both, nobody logs in.")
        if password is not None and security == "none":
            raise NotifyError("smtp.security=none would send the password unencrypted; use starttls or ssl.")
        return cls(
            host=host,
            port=int(port),
            security=security,
            user=None if user is None else str(user),
            password=password,
            sender=str(sender),
            recipients=tuple(recipients),
            timeout=timeout,
        )

    @property
    def label(self) -> str:
        """What it is called to the user."""
        return f"mail to {', '.join(self.recipients)} by {self.host}:{self.port}"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must not be shown."""
        return () if self.password is None else (self.password,)

    def send(self, message: Message) -> None:
        """Hand a message to the server."""
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"] = message.title, self.sender, ", ".join(self.recipients)
        mail["Auto-Submitted"] = "auto-generated"  # nobody's out-of-office answers it
        mail.set_content(message.text)
        context = ssl.create_default_context()
        if self.security == "ssl":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, timeout=self.timeout, context=context
            )
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=self.timeout)
        with server:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.user is not None and self.password is not None:
                server.login(self.user, self.password.reveal())
            server.send_message(mail)


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program that is started with the message on its standard input; no shell is between.

    Attributes:
        arguments: The program and its arguments.
        hidden: Environment variables that it is not given.
        timeout: Seconds after which it is killed.
    """

    arguments: tuple[str, ...]
    hidden: frozenset[str]
    timeout: float

    @classmethod
    def read(cls, given: Mapping[str, Any], hidden: frozenset[str], timeout: float) -> Command:
        """Check settings; raise NotifyError where they cannot work."""
        found = given.get("arguments")
        if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
            raise NotifyError("command.arguments must be a list: a program and its arguments, each a text.")
        return cls(arguments=tuple(found), hidden=hidden, timeout=timeout)

    @property
    def label(self) -> str:
        """What it is called to the user."""
        return f"command {self.arguments[0]}"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must not be shown: arguments may be whatever the user wants."""
        return tuple(Secret("argument", each) for each in self.arguments[1:] if len(each) > 3)

    def send(self, message: Message) -> None:
        """Start the program and wait for its end."""
        ours = {f"MML_NOTIFY_{name}": value for name, value in message.facts.items()}
        theirs = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("MML_NOTIFY_") and name not in self.hidden
        }
        process = subprocess.Popen(
            list(self.arguments),
            env={**theirs, **ours},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the run; and what it starts is killed with it
        )
        try:
            process.communicate(message.text.encode(), timeout=self.timeout)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise TimeoutError from None
        if process.returncode:
            raise NotifyError(f"it ended with exit code {process.returncode}")


def _is_address(text: object) -> bool:
    whole = isinstance(text, str) and text.count("@") == 1 and not set(text) & set("\r\n,;<> ")
    return whole and not str(text).startswith("@") and not str(text).endswith("@")
