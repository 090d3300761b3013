"""Names of distributions and of what they contribute: one spelling each."""

from __future__ import annotations

CORE = "mml-core"
"""The provider of everything built in."""

PREFIX = "mml-plugin-"


def normalise(name: str) -> str:
    """Return a distribution name in its normalised form (PEP 503): lower case, single dashes.

    Args:
        name: A distribution name as someone typed it, e.g. ``"MML_Plugin.Monai"``.

    Returns:
        The normalised name, e.g. ``"mml-plugin-monai"``.
    """
    words = name.strip().lower().replace("_", "-").replace(".", "-").split("-")
    return "-".join(word for word in words if word)


def aliases(provider: str) -> tuple[str, ...]:
    """Return what a provider may be called: its name, then its name without ``mml-plugin-``.

    Args:
        provider: A normalised distribution name.
    """
    short = provider[len(PREFIX) :]
    return (provider, short) if provider.startswith(PREFIX) and short else (provider,)


def split_qualified(name: str) -> tuple[str | None, str]:
    """Split ``"provider:name"`` into the normalised provider and the name; the provider may be absent."""
    provider, colon, rest = name.partition(":")
    return (normalise(provider), rest) if colon else (None, name)
