"""What a YAML file of a config group has to say about its keys."""

from __future__ import annotations

import re
from itertools import pairwise

_KEY = re.compile(r" *([A-Za-z_][\w.@/ -]*):(?: |$)")


def bare_keys(text: str) -> list[str]:
    """Return the keys without a comment in the line above, each as its line stands.

    Args:
        text: Of a YAML file.
    """
    lines = ["", *text.splitlines()]
    return [
        line.strip()
        for above, line in pairwise(lines)
        if _KEY.match(line) and not above.lstrip().startswith("#")
    ]
