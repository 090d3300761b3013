"""A scenario: the command that is killed, and the folders it begins with."""

from __future__ import annotations

import importlib.machinery
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SHIM = """
import importlib.util
spec = importlib.util.spec_from_file_location({name!r}, {path!r})
module = importlib.util.module_from_spec(spec)
import sys
sys.modules[{name!r}] = module
spec.loader.exec_module(module)
{scheduler} = module.{qualified}
"""


@dataclass(frozen=True)
class Scenario:
    """A run of a scheduler.

    Attributes:
        mode: The name of the mode.
        overrides: Overrides of the config.
        tasks: The tasks of the run.
        executor: What runs the steps of the runs that are injured; the undisturbed one has none.
        options: What the command needs to find the mode.
        env: Environment variables of the command.
        volatile: Keys of JSON files whose values differ from run to run, such as times.
        ignored: Globs of files that are not compared, and whose changes are no barriers.
    """

    mode: str
    overrides: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    executor: str | None = None
    options: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    volatile: frozenset[str] = frozenset()
    ignored: tuple[str, ...] = ()

    def command(self, *, undisturbed: bool = False) -> list[str]:
        """Return the arguments of ``mml`` that start the run."""
        tasks = ["--tasks", ",".join(self.tasks)] if self.tasks else []
        executor = ["--executor", self.executor] if self.executor and not undisturbed else []
        return ["run", *self.options, f"--mode={self.mode}", *tasks, *executor, *self.overrides]

    def describe(self) -> str:
        """Return the command as a user types it."""
        return " ".join(["mml", *(word for word in self.command() if word not in self.options)])


def scenario_of(
    scheduler: str | type,
    site: Path,
    *,
    overrides: Sequence[str] = (),
    tasks: Sequence[str] = (),
    executor: str | None = None,
    volatile: Sequence[str] = (),
    ignored: Sequence[str] = (),
) -> Scenario:
    """Return the scenario of a mode, or of a scheduler's class that no plugin brings.

    A class becomes a mode by a config of its own, whose ``mode.scheduler._target_`` names it.

    Args:
        scheduler: Name or class.
        site: A folder for what a class needs to be found by the command.
        overrides: Overrides of the config.
        tasks: The tasks of the run.
        executor: What runs the steps of injured runs.
        volatile: Keys of JSON files that are not compared.
        ignored: Globs of files that are not looked at.
    """
    mode, options, env = _mode_of(scheduler, site) if isinstance(scheduler, type) else (scheduler, (), {})
    return Scenario(
        mode=mode,
        overrides=tuple(overrides),
        tasks=tuple(tasks),
        executor=executor,
        options=options,
        env=env,
        volatile=frozenset(volatile),
        ignored=tuple(ignored),
    )


def _mode_of(scheduler: type, site: Path) -> tuple[str, tuple[str, ...], dict[str, str]]:
    name = scheduler.__name__.lower()
    conf = site / "conf"
    (conf / "mode").mkdir(parents=True, exist_ok=True)
    text = {"name": name, "subroutines": None, "scheduler": {"_target_": _target_of(scheduler, site)}}
    (conf / "mode" / f"{name}.yaml").write_text(json.dumps(text) + "\n")
    known = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(site), *([known] if known else [])])
    return name, ("--config-dir", str(conf)), {"PYTHONPATH": path}


def _target_of(scheduler: type, site: Path) -> str:
    """Return a reference to a class; that of a test file, which cannot be imported by name, gets a module."""
    module, path = scheduler.__module__, getattr(sys.modules[scheduler.__module__], "__file__", None)
    if path is None or _is_importable(module, path):
        return f"{module}:{scheduler.__qualname__}"
    name = f"crash_{scheduler.__name__.lower()}"
    text = _SHIM.format(
        name=module, path=str(path), scheduler=scheduler.__name__, qualified=scheduler.__qualname__
    )
    (site / f"{name}.py").write_text(text.lstrip())
    return f"{name}:{scheduler.__name__}"


def _is_importable(module: str, path: str) -> bool:
    """Tell whether another process that has the same search path finds the module in the same file."""
    search: list[str] | None = None
    spec = None
    for end in range(1, module.count(".") + 2):
        spec = importlib.machinery.PathFinder.find_spec(".".join(module.split(".")[:end]), search)
        if spec is None:
            return False
        search = list(spec.submodule_search_locations or ())
    return spec is not None and spec.origin == path
