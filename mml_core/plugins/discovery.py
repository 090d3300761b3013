"""Finding plugins and commands by the metadata of installed distributions; nothing is imported.

Every start of ``mml`` pays for this module, and a reader of all metadata costs more than that start may
take. So the folders of the import path are looked through directly, for distributions whose
``entry_points.txt`` names a group of mml. ``importlib_metadata`` is imported only where distributions can
live out of sight of that: in zip files, and behind finders that other packages put on ``sys.meta_path``.
"""

from __future__ import annotations

import os
import sys

from mml_core.plugins.blocking import Blocking
from mml_core.plugins.names import normalise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PLUGIN_GROUP = "mml.plugins"
COMMAND_GROUP = "mml.commands"
IMPORTER_GROUP = "mml.importers"
"""Entry points to light modules with ``add_arguments(parser)`` and ``read(args)``; the latter returns a
function that fills an empty dataset folder and returns the ``TaskBuilder`` that describes it."""

NOUNS = {COMMAND_GROUP: "command", IMPORTER_GROUP: "importer"}
"""What an entry point of a group is called in messages."""
_FUNCTIONS = {COMMAND_GROUP: ("add_arguments", "run"), IMPORTER_GROUP: ("add_arguments", "read")}
GROUPS = (PLUGIN_GROUP, *NOUNS)
"""All groups of entry points that mml reads."""


class Distribution:
    """An installed distribution that names entry points for mml.

    Args:
        name: Its name; kept normalised.
        read: Returns the text of one of its metadata files, or ``None`` where there is none.
        location: Where its metadata lie, for messages.
    """

    __slots__ = ("_headers", "_read", "entry_points", "location", "name")

    def __init__(self, name: str, read: Callable[[str], str | None], location: str) -> None:
        self._read = read
        self._headers: list[tuple[str, str]] | None = None
        self.location = location
        self.name = normalise(name)
        self.entry_points = parse_entry_points(read("entry_points.txt") or "")

    def group(self, group: str) -> list[tuple[str, str]]:
        """Return (name, value) of its entry points in one group, sorted by name."""
        return sorted((name, value) for each, name, value in self.entry_points if each == group)

    def headers(self, key: str) -> list[str]:
        """Return all values of one metadata field, such as ``Requires-Dist``."""
        if self._headers is None:
            self._headers = parse_headers(self._read("METADATA") or self._read("PKG-INFO") or "")
        return [value for each, value in self._headers if each == key.lower()]

    @property
    def version(self) -> str:
        """Its version as the metadata give it; ``"?"`` where they do not."""
        return next(iter(self.headers("Version")), "?")

    @property
    def summary(self) -> str:
        """Its summary in one line."""
        return next(iter(self.headers("Summary")), "")


class ModuleEntryPoint:
    """A command or importer that a distribution adds to ``mml``, known from metadata alone.

    Attributes:
        name: What is typed after ``mml``, or after ``mml tasks add``.
        noun: What it is: ``"command"`` or ``"importer"``.
        value: Reference to the module: a command has ``add_arguments(parser)`` and ``run(args) -> int``, an
            importer has ``add_arguments(parser)`` and ``read(args)``.
        distribution: Normalised name of the distribution that offers it.
        summary: The distribution's summary.
    """

    __slots__ = ("_found", "_functions", "name", "noun", "value")

    def __init__(self, group: str, name: str, value: str, found: Distribution) -> None:
        self.name = name
        self.noun = NOUNS[group]
        self.value = value
        self._functions = _FUNCTIONS[group]
        self._found = found

    @property
    def distribution(self) -> str:
        """Normalised name of the distribution that offers it."""
        return self._found.name

    @property
    def summary(self) -> str:
        """The distribution's summary."""
        return self._found.summary

    def load(self) -> object:
        """Import the module, once its distribution is known to fit this mml.

        Raises:
            PluginFailedError: It needs another version of mml-core, its import fails, or it lacks a function.
        """
        from mml_core.plugins.loading import load_module

        return load_module(self._found, self.value, self._functions)


def command_entry_points(
    blocking: Blocking | None = None, path: Iterable[str] | None = None
) -> list[ModuleEntryPoint]:
    """List the commands that installed distributions add; see :func:`module_entry_points`."""
    return module_entry_points(COMMAND_GROUP, blocking, path)


def module_entry_points(
    group: str, blocking: Blocking | None = None, path: Iterable[str] | None = None
) -> list[ModuleEntryPoint]:
    """List what installed distributions add by modules of their own, without importing anything of theirs.

    Args:
        group: ``COMMAND_GROUP`` or ``IMPORTER_GROUP``.
        blocking: Which plugins to leave out; by default what the environment says.
        path: Folders to look through instead of ``sys.path``.

    Returns:
        Sorted by distribution, then by name.
    """
    blocking = Blocking.from_environment() if blocking is None else blocking
    return [
        ModuleEntryPoint(group, name, value, found)
        for found in find_distributions(path)
        if blocking.why(found.name) is None
        for name, value in found.group(group)
    ]


def find_distributions(path: Iterable[str] | None = None) -> list[Distribution]:
    """Find the distributions that name plugins or commands of mml.

    Args:
        path: Folders to look through instead of ``sys.path``.

    Returns:
        Sorted by normalised name; of two installations of one distribution the one that Python would import.
    """
    folders = list(sys.path if path is None else path)
    found: dict[str, Distribution | None] = {}
    for folder in dict.fromkeys(folders):
        for name, place, text in _in_folder(folder or "."):
            if found.get(name) is None:
                if name in found and text is not None:
                    continue  # shadowed by an installation further ahead that has no entry points
                found[name] = None if text is None else _on_disk(name, place)
    if path is None and _has_hidden_places(folders):
        for distribution in _through_importlib_metadata():
            found.setdefault(distribution.name, distribution)
    return sorted((each for each in found.values() if each is not None), key=lambda each: each.name)


def _in_folder(folder: str) -> Iterator[tuple[str, str, str | None]]:
    """Yield (name, place, marker) of each distribution; the marker is ``None`` where mml is not named."""
    try:
        entries = sorted(os.listdir(folder))  # noqa: PTH208  # as above
    except OSError:
        return
    for entry in entries:
        if not entry.endswith((".dist-info", ".egg-info")) or entry.startswith("~"):
            continue  # "~": what pip moved out of the way and could not remove
        place = f"{folder}{os.sep}{entry}"
        name = normalise(entry.rpartition(".")[0].partition("-")[0])
        text = _read_text(place, "entry_points.txt")
        yield name, place, text if text is not None and "mml." in text else None


def _read_text(place: str, file: str) -> str | None:
    try:
        with open(f"{place}{os.sep}{file}", "rb") as stream:  # noqa: PTH123  # pathlib's import costs milliseconds
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return None


def _on_disk(name: str, place: str) -> Distribution:
    return Distribution(name, lambda file: _read_text(place, file), place)


def _has_hidden_places(folders: list[str]) -> bool:
    if any(folder and os.path.isfile(folder) for folder in folders):  # noqa: PTH113
        return True
    return any(
        hasattr(finder, "find_distributions") and "importlib" not in _module_of(finder)
        for finder in sys.meta_path
    )


def _module_of(finder: object) -> str:
    return getattr(finder if isinstance(finder, type) else type(finder), "__module__", "")


def _through_importlib_metadata() -> Iterator[Distribution]:
    import importlib_metadata

    for each in importlib_metadata.distributions():
        name = each.metadata["Name"]
        if name and "mml." in (each.read_text("entry_points.txt") or ""):
            yield Distribution(name, each.read_text, str(each.locate_file("")))


def parse_entry_points(text: str) -> list[tuple[str, str, str]]:
    """Read an ``entry_points.txt``.

    Args:
        text: The file's content.

    Returns:
        (group, name, value) of each; lines that are no entry point are passed over.
    """
    group = ""
    found = []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif line and line[0] not in "#;" and "=" in line:
            name, _, value = line.partition("=")
            found.append((group, name.strip(), value.partition("[")[0].strip()))
    return found


def parse_headers(text: str) -> list[tuple[str, str]]:
    """Read the header fields of a ``METADATA`` file up to its description.

    Args:
        text: The file's content.

    Returns:
        (lower-case field, value) of each, continuation lines joined.
    """
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if not line.strip():
            break
        if line[0] in " \t" and found:
            key, value = found[-1]
            found[-1] = (key, f"{value} {line.strip()}")
        elif ":" in line:
            key, _, value = line.partition(":")
            found.append((key.strip().lower(), value.strip()))
    return found
