"""Override strings: quoting what Hydra's grammar would refuse, and making them from options."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NAMED = ("mode", "executor", "arch")
"""Groups whose options plugins name."""


def quote(value: str) -> str:
    """Return ``value`` as a quoted string of Hydra's override grammar."""
    return "'" + value.replace("\\'", "\\\\'").replace("'", "\\'") + "'"


def task_list(names: Iterable[str]) -> str:
    """Return the override for ``--tasks``; tags and their arguments are kept as typed."""
    return f"task_list=[{','.join(quote(name) for name in names)}]"


def quote_values(overrides: Sequence[str]) -> list[str]:
    """Quote bare values with ``#`` (``reuse.models=proj#3``), which Hydra's lexer does not know."""
    return [_quote_value(override) for override in overrides]


def quote_names(overrides: Sequence[str]) -> list[str]:
    """Quote what names an option but reads like a number: ``mode=inf`` is a slip of the pen, no infinity."""
    return [_quote_name(override) for override in overrides]


def open_reuse(overrides: Sequence[str], keys: Iterable[str]) -> list[str]:
    """Let ``reuse.<key>`` and ``reuse.clean_up.<key>`` be set for path keys that only a plugin knows.

    Args:
        overrides: As typed.
        keys: Every path key there is.
    """
    known = {f"reuse.{prefix}{key}" for key in keys for prefix in ("", "clean_up.")}
    return [
        f"++{each}" if key_of(each) in known and each.startswith("reuse.") else each for each in overrides
    ]


def as_typed(override: str) -> str:
    """Return an override as it was before `open_reuse`."""
    return override.removeprefix("++") if override.startswith("++reuse.") else override


def key_of(override: str) -> str:
    """Return the key of an override without its prefix and package."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def _quote_name(override: str) -> str:
    key, equals, value = override.partition("=")
    number = value.lstrip("+-").lower() in ("inf", "nan") or value.replace(".", "").isdigit()
    return f"{key}={quote(value)}" if equals and key in NAMED and number else override


def _quote_value(override: str) -> str:
    key, equals, value = override.partition("=")
    if not equals or "#" not in value or any(mark in value for mark in "'\"(){}"):
        return override
    if value.startswith("[") and value.endswith("]"):
        items = ",".join(_quote_item(item.strip()) for item in value[1:-1].split(","))
        return f"{key}=[{items}]"
    return f"{key}={','.join(_quote_item(item) for item in value.split(','))}"


def _quote_item(item: str) -> str:
    return quote(item) if "#" in item else item
