"""What steps run with: versions and sources of mml, of the plugins that a run uses, and their libraries."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse
from weakref import WeakKeyDictionary

import msgspec
from omegaconf import OmegaConf

from mml_core.scheduling import sealed
from mml_core.scheduling.providers import providers_of
from mml_core.storage.atomic import write_bytes
from mml_core.storage.hashing import digest, sha256_file

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager

UNKNOWN = ""
"""Stands for the hash of sources that cannot be told: no step is taken over on the strength of it."""

_first_hash: WeakKeyDictionary[ModuleType, str] = WeakKeyDictionary()
_SOURCES = (".py", ".yaml", ".yml")
_GIT_SECONDS = 10


class GitState(msgspec.Struct, frozen=True):
    """The state of the repository that a plugin is installed from to be edited.

    Attributes:
        commit: The commit that is checked out.
        dirty: Whether a file of the plugin is not as it is there.
    """

    commit: str
    dirty: bool


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What steps run with.

    Attributes:
        versions: Distribution to version: mml, the plugins that the run uses, and what these require; Python.
        code: Distribution, or module, to the hash of its sources; `UNKNOWN` where they cannot be told.
        git: Distribution that is installed to be edited to the state of its repository.
    """

    versions: dict[str, str] = {}
    code: dict[str, str] = {}
    git: dict[str, GitState] = {}

    @property
    def name(self) -> str:
        """The name of its record: a hash of all of it."""
        return digest(self)[:16]

    def save(self, folder: Path) -> None:
        """Write the record, durable and whole, unless it is there."""
        path = folder / f"{self.name}.json"
        if not path.exists():
            write_bytes(path, sealed.seal(msgspec.json.encode(self)))

    @classmethod
    def load(cls, folder: Path, name: str) -> Environment:
        """Read a record.

        Raises:
            DamagedRecordError: It is not what was written.
            FileNotFoundError: There is none.
        """
        path = folder / f"{name}.json"
        body = sealed.read_sealed(path, "What steps ran with is not known without it.")
        return msgspec.json.decode(body, type=cls)

    def difference(self, now: Environment) -> str:
        """Return what of code and versions is not the same now, in words; empty: nothing."""
        for name in sorted({*self.code, *now.code}):
            if UNKNOWN in (self.code.get(name), now.code.get(name)):
                return f"nobody can tell whether the code of {name} is the same"
            if self.code.get(name) != now.code.get(name):
                return f"the code of {name} differs"
        for name in sorted({*self.versions, *now.versions}):
            was, found = (each.versions.get(name, "not there") for each in (self, now))
            if was != found:
                return f"{name} was {was} and is {found}"
        return ""


def environment_of(cfg: Any, plugins: PluginManager, scheduler: type) -> Environment:
    """Return what the steps of a run run with now.

    Args:
        cfg: The composed config.
        plugins: The plugins of this process.
        scheduler: The scheduler class.
    """
    used = used_plugins(cfg, plugins)
    packages = {name: plugins.plugins[name].entry_point.partition(".")[0] for name in used}
    own, *bases = [each.__module__ for each in scheduler.__mro__ if each is not object]
    if own.partition(".")[0] not in packages.values():
        packages[own] = own.partition(".")[0]
    known = set(packages.values())
    code = {name: _code_of(package, _places(package)) for name, package in packages.items()}
    for module in bases:
        if module.partition(".")[0] not in known and module not in sys.builtin_module_names:
            code[module] = _code_of(module, _file_of(module))
    installed = [found for found in map(_distribution, used) if found is not None]
    states = {each.metadata["Name"]: _git_state(each) for each in installed}
    return Environment(
        versions={"python": ".".join(platform.python_version_tuple()[:2]), **_versions(installed)},
        code=dict(sorted(code.items())),
        git={name: state for name, state in sorted(states.items()) if state is not None},
    )


def used_plugins(cfg: Any, plugins: PluginManager) -> list[str]:
    """Return the plugins that the results of a run depend on; they are the same under each executor."""
    own = cfg.copy()
    OmegaConf.update(own, "executor.name", None, force_add=True)
    return sorted(providers_of(own, plugins) & plugins.plugins.keys())


def _versions(installed: Iterable[Distribution]) -> dict[str, str]:
    from packaging.requirements import InvalidRequirement, Requirement

    found = {}
    for each in installed:
        found[each.metadata["Name"]] = each.version
        for line in each.requires or ():
            with suppress(InvalidRequirement, PackageNotFoundError):
                required = Requirement(line)
                if required.marker is None or required.marker.evaluate({"extra": ""}):
                    found[required.name] = version(required.name)
    return dict(sorted(found.items()))


def _distribution(name: str) -> Distribution | None:
    with suppress(PackageNotFoundError):
        return distribution(name)
    return None


def _places(package: str) -> list[Path]:
    """Return the folders of a package, or the file of a module, without importing it."""
    if package in sys.modules:
        return [Path(each) for each in getattr(sys.modules[package], "__path__", ())] or _file_of(package)
    spec = importlib.util.find_spec(package)
    if spec is None:
        return []
    origin = [spec.origin] if spec.has_location and spec.origin else []
    return [Path(each) for each in spec.submodule_search_locations or origin]


def _file_of(module: str) -> list[Path]:
    file = getattr(sys.modules.get(module), "__file__", None)
    return [Path(file)] if file else []


def _code_of(module: str, places: list[Path]) -> str:
    """Hash the sources of a module; what was typed in has none, and edited ones are not what was imported."""
    found, imported = _hash_of(places), sys.modules.get(module)
    if imported is not None and _first_hash.setdefault(imported, found) != found:
        return UNKNOWN
    return found


def _hash_of(places: Iterable[Path]) -> str:
    found: dict[str, str] = {}
    for place in places:
        for path in _sources(place):
            status = path.stat()
            name = path.relative_to(place).as_posix() if path != place else path.name
            found[name] = _hash_file(path, status.st_mtime_ns, status.st_size)
    return digest(found) if found else UNKNOWN


def _sources(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    for root, folders, names in os.walk(place):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (Path(root, name) for name in names if name.endswith(_SOURCES))


@lru_cache(maxsize=10_000)
def _hash_file(path: Path, changed: int, size: int) -> str:
    """Hash a file once, as long as neither its time of change nor its size are others."""
    return sha256_file(path)


def _git_state(installed: Distribution) -> GitState | None:
    """Return the state of the repository of a distribution that is installed to be edited."""
    origin = _decoded(installed.read_text("direct_url.json"))
    folder = unquote(urlparse(str(origin.get("url", ""))).path)
    if not origin.get("dir_info", {}).get("editable") or not Path(folder).is_dir():
        return None
    # Neither locks nor hooks or monitors of the repository: it is only looked at.
    command = ["git", "-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch", "--", "."]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        told = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    lines = told.stdout.splitlines()
    commit = [line.split()[-1] for line in lines if line.startswith("# branch.oid ")]
    return GitState(commit[0], any(not line.startswith("#") for line in lines)) if commit else None


def _decoded(text: str | None) -> Mapping[str, Any]:
    with suppress(msgspec.DecodeError):
        found = msgspec.json.decode(text or "{}")
        if isinstance(found, dict):
            return found
    return {}
