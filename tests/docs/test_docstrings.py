"""Docstrings become Markdown that says the same."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from inspect import cleandoc
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "docs" / "docstrings.py"
DOCSTRING = """Count samples; see :func:`~mml_core.api.compose`.

    The shape is (N, C), ``a<b`` and a<b::

        first()

        second()

    Args:
        *names: Of tasks,
            tags included.
        seed (int): Any.

    Returns:
        How many.

    Raises:
        UnknownTaskError: There is none.

    Example:
        >>> count("digits")
        1797
    """
PAGE = """Count samples; see `compose`.

The shape is (N, C), `a<b` and a\\<b:

```python
first()

second()
```

**Args**

- `*names`: Of tasks,
  tags included.
- `seed`: Any.

**Returns**

How many.

**Raises**

- `UnknownTaskError`: There is none.

**Example**

```python
>>> count("digits")
1797
```
"""


@pytest.fixture
def markdown() -> Callable[[str], Iterator[str]]:
    spec = importlib.util.spec_from_file_location("docs_docstrings", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[str], Iterator[str]] = module.markdown
    return found


def test_sections_items_and_code_are_kept(markdown: Callable[[str], Iterator[str]]) -> None:
    assert "\n".join(markdown(cleandoc(DOCSTRING))) == PAGE


def test_nothing_is_made_of_nothing(markdown: Callable[[str], Iterator[str]]) -> None:
    assert list(markdown("")) == []
