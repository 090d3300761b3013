"""What the files of a run's directory hold: what it is, who drove it, what failed, how it ended."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import msgspec
from omegaconf import DictConfig, OmegaConf

from mml_core import __version__
from mml_core.plugins.blocking import Blocking
from mml_core.scheduling.providers import observers, providers_of
from mml_core.storage.owners import Owner

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One process that drove a run: the one that began it, or one that continued it.

    Attributes:
        started: Unix time.
        owner: Which process it was, for people.
        overrides: What it changed of the stored config.
        accepted: Versions that had changed, where it went on all the same.
        shared: Whether other processes may claim steps of the run.
        no_plugins: Whether all plugins were switched off.
        without: Plugins that were switched off.
        only: The plugins that were allowed; None: all others.
        observers: The plugins that only observed, which results do not depend on, with their versions.
    """

    started: float
    owner: str
    overrides: list[str] = []
    accepted: list[str] = []
    shared: bool = False
    no_plugins: bool = False
    without: list[str] = []
    only: list[str] | None = None
    observers: dict[str, str] = {}

    @property
    def blocking(self) -> Blocking:
        """Which plugins may be loaded."""
        return Blocking(no_plugins=self.no_plugins, without=self.without, only=self.only)


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What ``run.json`` says of a run.

    Attributes:
        id: Name of the run's directory.
        project: Its project.
        mode: Its mode.
        created: Unix time.
        command: What the user typed.
        versions: Versions of mml, Python, torch, Lightning and the plugins that the run uses.
        sessions: The processes that drove the run, the present or last one at the end.
    """

    id: str
    project: str
    mode: str
    created: float
    command: list[str] = []
    versions: dict[str, str] = {}
    sessions: list[Session] = []


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A step that failed, as ``failures/<step>.json`` holds it.

    Attributes:
        step: Id of the step.
        name: The step as a reader knows it.
        error: Type and message, one line.
        traceback: Where it was raised.
    """

    step: str
    name: str
    error: str
    traceback: str = ""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What ``done.json`` holds: that all steps and the clean-up are done.

    Attributes:
        finished: Unix time.
        return_value: What the run returned, JSON text.
    """

    finished: float
    return_value: msgspec.Raw


def versions(cfg: DictConfig, plugins: PluginManager) -> dict[str, str]:
    """Return the versions that results depend on: mml, torch, Lightning and the plugins that a run uses.

    The executor is none of these: results are the same under each.
    """
    found = {"mml-core": __version__, "python": ".".join(platform.python_version_tuple()[:2])}
    for library in ("torch", "lightning"):
        with suppress(PackageNotFoundError):
            found[library] = version(library)
    own = cfg.copy()
    OmegaConf.update(own, "executor.name", None, force_add=True)
    used = providers_of(own, plugins)
    return {**found, **{name: info.version for name, info in plugins.plugins.items() if name in used}}


def new_session(
    plugins: PluginManager, *, shared: bool, overrides: Sequence[str] = (), accepted: Sequence[str] = ()
) -> Session:
    """Return the session of this process, which begins now."""
    blocking = plugins.blocking
    return Session(
        started=time.time(),
        owner=Owner.current().describe(),
        overrides=list(overrides),
        accepted=list(accepted),
        shared=shared,
        no_plugins=blocking.no_plugins,
        without=sorted({*blocking.without, *blocking.disabled}),
        only=None if blocking.only is None else sorted(blocking.only),
        observers=observers(plugins),
    )


def is_shared(cfg: DictConfig) -> bool:
    """Tell whether the executor of a config lets other processes do steps."""
    return str(OmegaConf.select(cfg, "executor.name", default="sequential")) != "sequential"
