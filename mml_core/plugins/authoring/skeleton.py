"""A new plugin: its whole repository, made of templates, with a worked example of each part."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from mml_core.plugins.authoring.names import PluginName
from mml_core.plugins.authoring.parts import LAYERS, PARTS, Layer
from mml_core.plugins.errors import PluginError

_TEMPLATES = Path(__file__).with_name("templates")
_SUFFIX = ".in"
_PIECES = ("hook.py", "readme.md")
"""Templates of a layer that become a piece of a file instead of a file."""
_LINE = 110


class TargetError(PluginError):
    """A new plugin cannot be written to the folder that was named."""


def skeleton(name: PluginName, parts: Iterable[str]) -> dict[str, str]:
    """Return the files of a new plugin.

    Args:
        name: Its name.
        parts: Names of :data:`~mml_core.plugins.authoring.parts.PARTS`.

    Returns:
        Path relative to the repository → text.
    """
    chosen = frozenset(parts)
    layers = [layer for layer in LAYERS if layer.applies(chosen)]
    words = {
        **{key: getattr(name, key) for key in ("name", "distribution", "slug", "package", "camel")},
        "upper": name.slug.upper(),
        "year": time.strftime("%Y"),
        "summary": _summary(chosen),
        "dependencies": _dependencies(layers),
        "entry_points": _entry_points(name, chosen),
    }
    pieces = _texts(layers, pieces=True)
    hooks = [text for path, text in pieces.items() if path.endswith("/hook.py")]
    sections = [text for path, text in pieces.items() if path.endswith("/readme.md")]
    words["hooks"] = _fill("".join(f"\n\n{text}" for text in hooks), words).rstrip("\n")
    words["imports"] = _imports(layers) if hooks else ""
    words["sections"] = _fill("".join(f"\n{text}" for text in sections), words)
    found = {}
    for path, text in _texts(layers, pieces=False).items():
        target = (
            path.replace("dot_", ".").replace("dir_package", name.package).replace("file_slug", name.slug)
        )
        filled = _fill(text, words)
        found[target] = f"{filled.rstrip()}\n" if filled else ""
    return dict(sorted(found.items()))


def write(files: dict[str, str], target: Path) -> None:
    """Write the files of a new plugin to a folder.

    Args:
        files: From :func:`skeleton`.
        target: The folder; made if need be.

    Raises:
        TargetError: There is something in it, or it is no folder.
    """
    if target.exists() and not target.is_dir():
        raise TargetError(f"'{target}' is a file: name a folder that is empty or not there yet.")
    there = next(target.iterdir(), None) if target.is_dir() else None
    if there is not None:
        raise TargetError(
            f"The folder '{target}' is not empty, it holds '{there.name}': name another one by --dir."
        )
    for path, text in files.items():
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)


def _texts(layers: list[Layer], *, pieces: bool) -> dict[str, str]:
    """Return templates by what they become; pieces, each for the part or parts that it is of."""
    found: dict[str, str] = {}
    for layer in layers:
        root = _TEMPLATES / layer.folder
        for template in sorted(root.rglob(f"*{_SUFFIX}")):
            path = template.relative_to(root).as_posix().removesuffix(_SUFFIX)
            if (path in _PIECES) is pieces:
                text = template.read_text(encoding="utf-8")
                found[f"{layer.replaces or layer.folder}/{path}" if pieces else path] = text
    return found


def _fill(text: str, words: dict[str, str]) -> str:
    for key, value in words.items():
        text = text.replace(f"@{key}@", value)
    return text


def _summary(chosen: frozenset[str]) -> str:
    named = [part.noun for part in PARTS if part.name in chosen]
    listed = " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))
    return f"Brings {listed} to mml."


def _dependencies(layers: list[Layer]) -> str:
    return ", ".join(f'"{each}"' for each in ("mml-core>=2,<3", *_each(layers, "requires")))


def _entry_points(name: PluginName, chosen: frozenset[str]) -> str:
    groups = {"mml.plugins": f'{name.name} = "{name.package}.plugin"'}
    if "command" in chosen:
        groups["mml.commands"] = f'{name.name} = "{name.package}.command"'
    return "\n\n".join(f'[project.entry-points."{group}"]\n{line}' for group, line in groups.items())


def _imports(layers: list[Layer]) -> str:
    names = [*sorted(_each(layers, "records")), "hookimpl"]
    line = f"from mml_core.plugins import {', '.join(names)}"
    if len(line) > _LINE:
        line = "\n".join(["from mml_core.plugins import (", *(f"    {each}," for each in names), ")"])
    return f"\nfrom collections.abc import Iterable\n\n{line}\n"


def _each(layers: list[Layer], attribute: str) -> Iterator[str]:
    for layer in layers:
        yield from getattr(layer, attribute)
