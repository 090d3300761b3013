"""The tests that ``mml plugins check`` runs in a process of its own; the environment names the plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from mml_core.plugins import PluginManager
from mml_core.plugins.authoring.orders import VARIABLE
from mml_core.plugins.blocking import Blocking
from mml_core.plugins.discovery import NOUNS, PLUGIN_GROUP, module_entry_points
from mml_core.testing import PluginContract, SchedulerContract
from mml_core.testing.contracts.references import reference_faults

if TYPE_CHECKING:
    from mml_core.testing.fixtures import TinyTasks

pytest_plugins = ["mml_core.testing.crash", "mml_core.testing.plugin_reports"]

_ORDER = json.loads(os.environ[VARIABLE])
_MOST_MODULES = 200
_COUNT = "import sys, mml_core.plugins.records; n = len(sys.modules); import {}; print(len(sys.modules) - n)"


class TestPlugin(PluginContract):
    """What every plugin has to do, and what one that is to be published has to do besides."""

    plugin = _ORDER["plugin"]

    def test_its_hook_module_imports_little(self) -> None:
        """Every start of mml pays for what its hook module imports."""
        for _, module in self._distribution().group(PLUGIN_GROUP):
            command = [sys.executable, "-c", _COUNT.format(module)]
            count = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            assert count <= _MOST_MODULES, (
                f"import {module} imports {count} modules, more than {_MOST_MODULES}; import them inside"
                " functions."
            )

    def test_its_names_are_its_own(self) -> None:
        """Nobody who is installed here contributes something of one of its names."""
        manager, info = self._plugin()
        owners = [
            (entry.record.noun, entry.name, other.provider)
            for kind, entries in info.contributions.items()
            for entry in entries
            for other in getattr(manager, kind).shared().get(entry.name, ())
        ]
        for group in NOUNS:
            points = module_entry_points(group, Blocking())
            own = {point.name for point in points if point.distribution == info.name}
            owners += [(each.noun, each.name, each.distribution) for each in points if each.name in own]
        faults = [
            f"the {noun} {name!r} is of {owner}, too: choose another name"
            for noun, name, owner in owners
            if owner != info.name
        ]
        assert not faults, "\n".join(faults)


class _Mode(SchedulerContract):
    writes = True
    tasks = _ORDER["tasks"]
    sample = _ORDER["sample"]

    @pytest.fixture(autouse=True)
    def _tiny_tasks(self, tiny_task: TinyTasks) -> Iterator[None]:
        """Create those of the tasks that come with the test kit."""
        if not self.writes:
            pytest.skip("the mode only reads")
        for name in dict.fromkeys(task.partition("+")[0] for task in self.tasks):
            if name.startswith("tiny_"):
                kind = name.removeprefix("tiny_")
                tiny_task(kind.removesuffix("_rgb"), channels=3 if kind.endswith("_rgb") else 1)
        yield

    def _overrides(self) -> list[str]:
        return list(_ORDER["overrides"])


def _modes() -> dict[str, Any]:
    """Return a class of tests for each mode that the plugin contributes, and whose scheduler is there."""
    manager = PluginManager.discover(Blocking(), strict=False)
    found = {}
    for entry in manager.plugin(_ORDER["plugin"]).contributions.get("schedulers", ()):
        if reference_faults(entry, manager):
            continue
        members = {"scheduler": manager.schedulers.label(entry), "writes": entry.record.writes}
        found[f"Test_{entry.name}"] = type(
            f"Test_{entry.name}", (_Mode,), {**members, "__module__": __name__}
        )
    return found


if _ORDER["sample"]:
    globals().update(_modes())
