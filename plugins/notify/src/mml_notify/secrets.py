"""Secrets: they come from an environment variable or a file, and nothing that is shown holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from mml_core.api import MMLError

HIDDEN = "***"


class NotifyError(MMLError):
    """Messages cannot be sent as the settings ask for it."""


@dataclass(frozen=True)
class Secret:
    """A secret that shows itself to nobody.

    Attributes:
        source: Where it comes from, for messages.
    """

    source: str
    _value: str

    def __repr__(self) -> str:
        return f"Secret({self.source!r}, {HIDDEN})"

    def reveal(self) -> str:
        """Return the secret."""
        return self._value


def read_secret(
    what: str, environment: Mapping[str, str], variable: str | None, file: str | None
) -> Secret | None:
    """Return the secret in an environment variable or a file; None where neither is named.

    Args:
        what: What it is, for messages.
        environment: The variables.
        variable: Name of the variable.
        file: Name of the file.

    Raises:
        NotifyError: The variable is not set, or the file cannot be read or is empty.
    """
    if file:
        try:
            value = Path(file).expanduser().read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            cause = error.strerror if isinstance(error, OSError) else "it is no text"
            raise NotifyError(f"{what} cannot be read from '{file}': {cause}.") from None
        source = f"file '{file}'"
    elif variable:
        value, source = environment.get(variable, "").strip(), f"variable {variable}"
    else:
        return None
    if not value:
        raise NotifyError(f"{what} is empty or not set: {source}.")
    return Secret(source, value)


def scrub(text: str, secrets: Iterable[Secret]) -> str:
    """Return a text in one line without the secrets, or the parts of an address by which it is one."""
    for secret in secrets:
        value = secret.reveal()
        parts = {value, quote(value, safe="")}
        if "://" in value:
            split = urlsplit(value)
            parts |= {split.path, split.path.rpartition("/")[2], split.query}
        for part in sorted(parts - {"", "/"}, key=len, reverse=True):
            text = text.replace(part, HIDDEN)
    return " ".join(text.split())
