"""How different the words are that describe two tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+")


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the words of texts, in lower case; ``"digits_parity"`` has two."""
    return frozenset(word.casefold() for text in texts for word in _WORD.findall(text))


def jaccard_distance(a: frozenset[str], b: frozenset[str]) -> float:
    """Return 1 minus the share of all words that both have; 0 for equal sets.

    Jaccard, "The distribution of the flora in the alpine zone", New Phytologist, 1912.
    """
    union = a | b
    return 1 - len(a & b) / len(union) if union else 0.0
