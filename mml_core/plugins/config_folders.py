"""The configuration folders of plugins as places on disk, and options that two of them hold."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mml_core.plugins.errors import RefError
from mml_core.plugins.names import CORE
from mml_core.plugins.records import ConfigDir
from mml_core.plugins.refs import find_module
from mml_core.plugins.registry import Contribution


@dataclass(frozen=True)
class ConfigFolder:
    """A folder of configuration groups that exists.

    Attributes:
        provider: Normalised name of the distribution.
        package: The package it lies in.
        folder: Where it is.
    """

    provider: str
    package: str
    folder: Path


@dataclass(frozen=True)
class ConfigConflict:
    """One option that several plugins hold.

    Attributes:
        option: Its file below the config folder, such as ``"mode/train.yaml"``.
        folders: Who holds it, mml itself first.
    """

    option: str
    folders: tuple[ConfigFolder, ...]

    @property
    def plugins(self) -> tuple[str, ...]:
        """Who holds it."""
        return tuple(dict.fromkeys(folder.provider for folder in self.folders))

    def __str__(self) -> str:
        then = f"that of {CORE} is taken" if CORE in self.plugins else "runs that choose it are refused"
        return f"{' and '.join(self.plugins)} hold the option {self.option}; {then}."


def existing_folders(contributions: Iterable[Contribution[ConfigDir]]) -> list[ConfigFolder]:
    """Find the folders on disk without importing their packages; those that are gone are left out."""
    found = []
    for each in contributions:
        try:
            _, places = find_module(each.record.package)
        except RefError:
            continue
        folders = (place / each.record.path for place in places)
        found += [
            ConfigFolder(each.provider, each.record.package, folder) for folder in folders if folder.is_dir()
        ]
    return found


def options_of(folders: Iterable[ConfigFolder]) -> dict[str, list[ConfigFolder]]:
    """List the YAML files below the folders: ``"group/option.yaml"`` to the folders that hold it."""
    found: dict[str, list[ConfigFolder]] = {}
    for folder in folders:
        for place, inner, files in os.walk(folder.folder):
            inner.sort()
            for file in sorted(files):
                if file.endswith((".yaml", ".yml")) and not file.startswith("."):
                    option = (Path(place) / file).relative_to(folder.folder).as_posix()
                    found.setdefault(option.removesuffix(".yml").removesuffix(".yaml") + ".yaml", []).append(
                        folder
                    )
    return found


def conflicts_of(options: dict[str, list[ConfigFolder]]) -> list[ConfigConflict]:
    """Pick the options that more than one folder holds, sorted."""
    return [
        ConfigConflict(option, tuple(found)) for option, found in sorted(options.items()) if len(found) > 1
    ]
