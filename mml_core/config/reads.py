"""Which keys of a config are read: noted as they are, whoever reads and however.

A config keeps the entries of each of its nodes in a dict. `Reads.track` puts dicts that take notes in their
place: so attributes, items, ``get``, ``OmegaConf.select``, interpolations, copies, pickles and comparisons
are all seen, and the nodes stay of the very same type.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from omegaconf import DictConfig

WHOLE = ""
"""The key of a whole config."""
ABSENT = "<not set>"
"""The value of a key that a config does not have."""

_NODE = "."
_NAMES = ".*"


class Reads:
    """The keys that were read since they were last taken.

    A value, a list, and a node that is iterated, copied or handed on as a whole are noted by their dotted
    key, the whole config by ``""``. A node that was only passed through is noted as ``key.``, one that was
    only counted (``len(node)``, ``node or {}``) as ``key.*``, which stands for the names of its entries.
    """

    def __init__(self) -> None:
        self._there: set[str] = set()
        self._missing: set[str] = set()

    def track(self, cfg: DictConfig) -> None:
        """Note from now on what is read of a config; reads by forked processes are not seen."""
        self._track(cfg, "")

    def note(self, *keys: str) -> None:
        """Note keys that are read in another way than of a config."""
        self._there.update(keys)

    def take(self) -> list[str]:
        """Return what was noted, and begin anew."""
        found = self.noted()
        self._there, self._missing = set(), set()
        return found

    def noted(self) -> list[str]:
        """Return what was noted, sorted, without what another key implies."""
        noted = self._there | self._missing
        passed = {parent + _NODE for key in self._there for parent in _parents(key.removesuffix(_NODE))}
        return sorted(key for key in noted if key not in passed and not _within(key, noted))

    def _track(self, node: DictConfig, prefix: str) -> None:
        content = node.__dict__["_content"]
        if isinstance(content, dict):  # else it is null, missing or an interpolation
            node.__dict__["_content"] = _Content(self, prefix, dict.items(content))
            for key, child in dict.items(content):
                if isinstance(child, DictConfig):
                    self._track(child, f"{prefix}{key}.")

    def _note_child(self, content: _Content, key: object, child: Any) -> None:
        if not isinstance(key, str) or not key or set(key) & set(".*"):
            self._there.add(content.key)
        elif child is None:
            self._missing.add(content.prefix + key)
        elif isinstance(child, DictConfig) and isinstance(child.__dict__["_content"], _Content):
            self._there.add(f"{content.prefix}{key}{_NODE}")
        else:
            self._there.add(content.prefix + key)


class _Content(dict[Any, Any]):
    """The entries of a tracked node."""

    __slots__ = ("prefix", "reads")

    def __init__(self, reads: Reads, prefix: str, entries: Iterable[tuple[Any, Any]]) -> None:
        super().__init__(entries)
        self.reads = reads
        self.prefix = prefix

    @property
    def key(self) -> str:
        return self.prefix[:-1]

    def _whole(self) -> None:
        self.reads.note(self.key)

    def get(self, key: Any, default: Any = None) -> Any:
        child = super().get(key)
        self.reads._note_child(self, key, child)
        return default if child is None else child

    def __getitem__(self, key: Any) -> Any:
        self.reads._note_child(self, key, super().get(key))
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.reads._note_child(self, key, super().get(key))
        return super().__contains__(key)

    def __len__(self) -> int:
        self.reads.note(self.key + _NAMES)
        return super().__len__()

    def __iter__(self) -> Iterator[Any]:
        self._whole()
        return super().__iter__()

    def keys(self) -> KeysView[Any]:  # type: ignore[override]  # it is dict_keys, as the base class says
        self._whole()
        return super().keys()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        self._whole()
        return super().values()

    def items(self) -> ItemsView[Any, Any]:  # type: ignore[override]
        self._whole()
        return super().items()

    def __eq__(self, other: object) -> bool:
        self._whole()
        return super().__eq__(other)

    __hash__ = None

    def __repr__(self) -> str:
        self._whole()
        return super().__repr__()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        self._whole()
        return dict, (list(super().items()),)


def value_of(config: Mapping[str, Any], key: str) -> Any:
    """Return what a key that was noted stands for in a config of plain values, `ABSENT` where there is none.

    Args:
        config: Dicts with str keys, lists and values.
        key: As `Reads.take` gives it.
    """
    kind = _NAMES if key.endswith(_NAMES) else _NODE if key.endswith(_NODE) else ""
    found: Any = config
    for name in filter(None, key.removesuffix(kind).split(".")):
        if not isinstance(found, Mapping) or name not in found:
            return ABSENT
        found = found[name]
    if kind and isinstance(found, Mapping):
        return sorted(found) if kind == _NAMES else "<a node>"
    return found


def _within(key: str, noted: set[str]) -> bool:
    plain = key.rstrip(".*")
    return any(parent in noted for parent in _parents(plain)) or (plain != key and plain in noted)


def _parents(key: str) -> Iterator[str]:
    """Yield the keys of the nodes that a key lies in, the whole config at last."""
    while key:
        key = key.rpartition(".")[0]
        yield key
