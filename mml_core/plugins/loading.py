"""Taking one plugin through its stages: check, import, API, collect. Whatever it does, mml goes on."""

from __future__ import annotations

import contextlib
import re
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import mml_core
from mml_core.plugins import hookspecs
from mml_core.plugins.collecting import RefusedError, collect
from mml_core.plugins.discovery import COMMAND_GROUP, IMPORTER_GROUP, PLUGIN_GROUP, Distribution
from mml_core.plugins.errors import PluginFailedError
from mml_core.plugins.info import PluginInfo, Stage, Status
from mml_core.plugins.names import CORE, normalise
from mml_core.plugins.refs import describe, is_module

HEAVY = (
    "torch",
    "lightning",
    "pytorch_lightning",
    "hydra",
    "omegaconf",
    "numpy",
    "pandas",
    "pyarrow",
    "monai",
)
"""Libraries that a plugin's hook module must not import."""


def load_distribution(found: Distribution, blocked: str | None = None) -> tuple[PluginInfo, Any]:
    """Take a distribution's plugin as far as it goes.

    Args:
        found: A distribution that names entry points of mml.
        blocked: Why it must not be loaded; ``None`` where it may be.

    Returns:
        What is known of it, and its hook module, which is ``None`` unless there is one and it is active.
    """
    info = PluginInfo(name=found.name, version=found.version, summary=found.summary)
    points = found.group(PLUGIN_GROUP)
    info.entry_point = points[0][1] if points else ""
    info.offers = {
        group.removeprefix("mml."): [name for name, _ in found.group(group)]
        for group in (COMMAND_GROUP, IMPORTER_GROUP)
    }
    if blocked is not None:
        info.status, info.cause = Status.DISABLED, blocked
        return info, None
    module: ModuleType | None = None

    def discover() -> None:
        if len(points) != 1:
            listed = ", ".join(name for name, _ in points)
            raise RefusedError(
                f"it names {len(points)} entry points in {PLUGIN_GROUP} ({listed}), must name one"
            )
        if not is_module(info.entry_point):
            raise RefusedError(f"its entry point {info.entry_point!r} is not the dotted name of a module")

    def check() -> None:
        _check_core_version(found, info)

    def load() -> None:
        nonlocal module
        module = _import(info)

    stages: list[tuple[Stage, Status, Callable[[], None]]] = [
        (Stage.DISCOVER, Status.INVALID, discover),
        (Stage.CHECK, Status.INCOMPATIBLE, check),
        (Stage.IMPORT, Status.IMPORT_FAILED, load),
        (Stage.API, Status.INCOMPATIBLE, lambda: _check_api(module, info)),
        (Stage.COLLECT, Status.INVALID, lambda: collect(module, info)),
    ]
    if not points:  # commands and importers are imported when they are used
        stages = stages[1:2]
    return info, module if _pass(info, stages) is None else None


def load_object(plugin: Any, name: str) -> PluginInfo:
    """Take a module or object that is at hand as far as it goes.

    Args:
        plugin: Anything with hook implementations.
        name: What it is to be called.
    """
    info = PluginInfo(name=normalise(name), version=getattr(plugin, "__version__", "?"))
    info.file = getattr(plugin, "__file__", None)
    info.entry_point = getattr(plugin, "__name__", type(plugin).__name__)
    _pass(
        info,
        [
            (Stage.API, Status.INCOMPATIBLE, lambda: _check_api(plugin, info)),
            (Stage.COLLECT, Status.INVALID, lambda: collect(plugin, info)),
        ],
    )
    return info


def load_module(found: Distribution, value: str, functions: Sequence[str]) -> Any:
    """Import the module of a command or importer, once its distribution is known to fit this mml.

    Args:
        found: The distribution.
        value: ``"pkg.mod"``, or ``"pkg.mod:object"`` for an object with the functions.
        functions: What it must have.

    Raises:
        PluginFailedError: It does not fit, its import fails, or it lacks a function.
    """
    from mml_core.plugins.refs import load_ref

    info = PluginInfo(name=found.name, version=found.version, summary=found.summary, entry_point=value)
    module: Any = None

    def load() -> None:
        nonlocal module
        module = load_ref(value) if ":" in value else import_module(value)

    def check() -> None:
        missing = [name for name in functions if not callable(getattr(module, name, None))]
        if missing:
            raise RefusedError(f"it has no function {' and no function '.join(missing)}")

    error = _pass(
        info,
        [
            (Stage.CHECK, Status.INCOMPATIBLE, lambda: _check_core_version(found, info)),
            (Stage.IMPORT, Status.IMPORT_FAILED, load),
            (Stage.API, Status.INVALID, check),
        ],
    )
    if error is not None:
        raise PluginFailedError(
            f"The module {value!r} of {found.name} {found.version} cannot be used: {info.cause.rstrip('.')}; "
            "install a version of it that works."
        ) from error
    return module


def _pass(info: PluginInfo, stages: list[tuple[Stage, Status, Callable[[], None]]]) -> BaseException | None:
    """Go through stages to the first that fails; return what it raised."""
    for stage, failure, act in stages:
        info.stage = stage
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what a plugin prints must not end up in --json
                act()
        except KeyboardInterrupt:
            raise
        except RefusedError as error:
            info.fail(failure, stage, str(error))
            return error
        except BaseException as error:  # SystemExit and the like: a plugin must not end mml
            lines = traceback.format_exception(type(error), error, error.__traceback__)
            info.fail(failure, stage, _where(stage, error), "".join(lines))
            return error
    return None


def _where(stage: Stage, error: BaseException) -> str:
    cause = describe(error)
    notes = getattr(error, "_mml_hook", None)
    if notes:
        return f"{notes} raised {cause}"
    return f"its import raised {cause}" if stage is Stage.IMPORT else cause


_PLAIN = re.compile(r"([A-Za-z0-9._-]+) *\(?((?:(?:>=|<=|<|>) *[0-9.]+ *,? *)+)\)?")
"""A requirement of bounds only, such as ``mml-core>=2,<3``."""


def _fits_plainly(text: str) -> bool:
    """Tell a requirement that obviously holds: the ``packaging`` of the rest costs every start 30 ms."""
    plain = _PLAIN.fullmatch(text.strip())
    own = mml_core.__version__.split(".")
    if plain is None or normalise(plain[1]) != CORE or not all(part.isdigit() for part in own):
        return False
    version = _numbers(own)
    for sign, bound in re.findall(r"(>=|<=|<|>) *([0-9.]+)", plain[2]):
        parts = bound.split(".")
        if not all(part.isdigit() for part in parts):
            return False
        limit = _numbers(parts)
        holds = {">=": version >= limit, "<=": version <= limit, "<": version < limit, ">": version > limit}
        if not holds[sign]:
            return False
    return True


def _numbers(parts: list[str]) -> list[int]:
    numbers = [int(part) for part in parts]
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers


def _check_core_version(found: Distribution, info: PluginInfo) -> None:
    ours = [
        text
        for text in found.headers("Requires-Dist")
        if normalise(text[: len(CORE) + 1]).startswith(CORE)  # parsing those of others costs time
    ]
    if ours and all(_fits_plainly(text) for text in ours):
        return
    from packaging.requirements import InvalidRequirement, Requirement

    needs = []
    for text in ours:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            raise RefusedError(f"its requirement {text!r} cannot be read") from None
        if normalise(requirement.name) == CORE and (
            requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ):
            needs.append(requirement)
    for need in needs:
        if not need.specifier.contains(mml_core.__version__, prereleases=True):
            raise RefusedError(f"it needs {CORE}{need.specifier}, this is {CORE} {mml_core.__version__}")
    if not any(need.specifier for need in needs):
        info.notes.append(f"it does not say which {CORE} it needs: add '{CORE}>=2,<3' to its dependencies")


def _import(info: PluginInfo) -> ModuleType:
    before = {name for name in HEAVY if name in sys.modules}
    start = time.perf_counter()
    try:
        module = import_module(info.entry_point)
    finally:
        info.import_seconds = time.perf_counter() - start
        info.heavy = tuple(name for name in HEAVY if name in sys.modules and name not in before)
    info.file = getattr(module, "__file__", None)
    if info.heavy:
        info.notes.append(
            f"its import pulls in {', '.join(info.heavy)} ({info.import_seconds:.2f} s at every start): "
            "name them by reference, or import them inside functions"
        )
    return module


def _check_api(plugin: Any, info: PluginInfo) -> None:
    version = getattr(plugin, "MML_PLUGIN_API", None)
    if version is None:
        if isinstance(plugin, ModuleType):
            info.notes.append(f"it does not say MML_PLUGIN_API = {hookspecs.PLUGIN_API}")
        return
    if isinstance(version, bool) or version != hookspecs.PLUGIN_API:
        raise RefusedError(f"it is written for plugin API {version!r}, this mml has {hookspecs.PLUGIN_API}")
