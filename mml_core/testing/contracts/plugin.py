"""What every plugin has to do, as tests to subclass."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mml_core.errors import MMLError
from mml_core.plugins import PluginManager
from mml_core.plugins.blocking import Blocking
from mml_core.plugins.discovery import (
    NOUNS,
    PLUGIN_GROUP,
    Distribution,
    find_distributions,
    module_entry_points,
)
from mml_core.plugins.info import Status
from mml_core.plugins.loading import HEAVY
from mml_core.plugins.names import aliases, normalise
from mml_core.testing.contracts.config_files import bare_keys
from mml_core.testing.contracts.references import reference_faults

if TYPE_CHECKING:
    from mml_core.plugins.info import PluginInfo
    from mml_core.plugins.registry import Contribution

_HEAVY = {*HEAVY, "kornia", "matplotlib", "scipy", "skimage", "sklearn", "timm", "torchmetrics"}
_PROBE = "import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"


class PluginContract:
    """Tests of an installed plugin; subclass it with a name that begins with ``Test``.

    Nothing that the plugin contributes is run: its schedulers, executors and architectures have contracts of
    their own.

    Attributes:
        plugin: Its distribution's name, with or without ``mml-plugin-``.
    """

    plugin: ClassVar[str]

    def test_it_is_found_by_its_metadata_alone(self) -> None:
        """Its distribution names one hook module; none, where commands or importers are all it brings."""
        distribution = self._distribution()
        points = distribution.group(PLUGIN_GROUP)
        alone = not points and any(distribution.group(group) for group in NOUNS)
        assert len(points) == 1 or alone, (
            f"{self.plugin} names {len(points)} entry points in the group {PLUGIN_GROUP}; name one, its hook"
            " module."
        )

    def test_its_hook_module_is_light(self) -> None:
        """Whatever mml starts imports it: it names things by reference, and imports no heavy library."""
        for _, module in self._distribution().group(PLUGIN_GROUP):
            command = [sys.executable, "-c", _PROBE.format(module=module)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"import {module} fails: {done.stderr.strip().splitlines()[-1:]}"
            heavy = sorted(_HEAVY & set(done.stdout.split()))
            assert not heavy, f"import {module} pulls in {', '.join(heavy)}; import them where they are used."

    def test_it_is_active_without_a_warning(self) -> None:
        """It says what it needs of mml, contradicts no other plugin, and there is nothing to look at."""
        _, installed = self._plugin()
        alone = PluginManager.discover(Blocking(only=[installed.name]), strict=False).plugin(installed.name)
        for info in (alone, installed):
            cause = f"{info.cause}\n{info.traceback or ''}".strip()
            assert info.status is Status.ACTIVE, f"{info.name} is {info.status.value}: {cause}"
        assert not alone.notes, f"{alone.name}: {'; '.join(alone.notes)}"

    def test_every_reference_leads_to_what_it_must_be(self) -> None:
        """Each can be imported, and called as mml calls it."""
        manager, info = self._plugin()
        _flag(fault for entry in _entries(info) for fault in reference_faults(entry, manager))

    def test_every_task_has_its_dataset(self) -> None:
        """Who contributes a task knows where its images come from."""
        manager, info = self._plugin()
        faults = []
        for entry in info.contributions.get("tasks", ()):
            try:
                manager.dataset_of(entry.record)
            except MMLError as error:
                faults.append(f"task {entry.name!r}: {error}")
        _flag(faults)

    def test_its_commands_and_importers_can_be_loaded(self) -> None:
        """Each has the functions that mml calls."""
        name, faults = self._distribution().name, []
        for point in (each for group in NOUNS for each in module_entry_points(group)):
            if point.distribution == name:
                try:
                    point.load()
                except MMLError as error:
                    faults.append(f"{point.noun} {point.name!r}: {error}")
        _flag(faults)

    def test_every_name_means_one_thing(self) -> None:
        """``provider:name`` leads to what the plugin contributes, whoever else has the short name."""
        manager, info = self._plugin()
        faults = []
        for kind, entries in info.contributions.items():
            for entry in entries:
                found = getattr(manager, kind).claims(entry.qualified)
                if [each.record for each in found] != [entry.record]:
                    faults.append(
                        f"{entry.record.noun} {entry.qualified!r} does not lead to the plugin's own"
                    )
        _flag(faults)

    def test_its_modes_and_options_compose(self, tmp_path: Path) -> None:
        """``mml run`` takes each mode and each option of its config folders."""
        from mml_core.config.compose import compose
        from mml_core.config.validation import validate

        manager, info = self._plugin()
        chosen = {
            f"mode={manager.schedulers.label(entry)}" for entry in info.contributions.get("schedulers", ())
        }
        chosen |= {_override(option) for option, _ in self._options(manager, info)}
        faults = []
        for override in sorted(chosen):
            mode = [] if override.startswith("mode=") else ["mode=info"]
            try:
                validate(compose([*mode, override, f"paths.results={tmp_path}"], manager), manager)
            except MMLError as error:
                faults.append(f"{override}: {error}")
        _flag(faults)

    def test_every_key_of_its_config_has_a_comment(self) -> None:
        """``mml config show GROUP`` explains keys by the comments above them."""
        _flag(
            f"{option}: no comment stands above {line!r}"
            for option, path in self._options(*self._plugin())
            for line in bare_keys(path.read_text(encoding="utf-8"))
        )

    def test_its_path_templates_expand(self, tmp_path: Path) -> None:
        """Each key gives a path in the project, or a temporary one."""
        from mml_core.files.assignments import contributed
        from mml_core.files.layout import Layout
        from mml_core.files.targets import check_names, target_of

        manager, info = self._plugin()
        faults = []
        for entry in info.contributions.get("path_assignments", ()):
            try:
                assignment = contributed(manager).get(entry.name)
                task = "task+tag?1" if assignment.per_task else None
                file = "file.txt" if assignment.takes_file_name else None
                check_names(assignment, task, file)
                target_of(assignment, task, file, Layout(tmp_path, "run"))
            except MMLError as error:
                faults.append(f"path key {entry.name!r}: {error}")
        _flag(faults)

    def test_everything_has_a_summary(self) -> None:
        """The distribution and each record say in one line what they are; a dataset names its licence."""
        _, info = self._plugin()
        faults = [] if info.summary else ["the distribution has no description"]
        for entry in _entries(info):
            for key in ("summary", "license"):
                if not getattr(entry.record, key, "given"):
                    faults.append(f"{entry.record.noun} {entry.name!r} has no {key}")
        _flag(faults)

    # -- what the tests use

    def _distribution(self) -> Distribution:
        wanted = normalise(self.plugin)
        found = next((each for each in find_distributions() if wanted in aliases(each.name)), None)
        assert found is not None, (
            f"No distribution {self.plugin!r} is installed that names entry points for mml; install it, as by"
            ' `pip install -e .`, and look at its [project.entry-points."mml.plugins"].'
        )
        return found

    def _plugin(self) -> tuple[PluginManager, PluginInfo]:
        """Return a manager of all that is installed, and what it knows of the plugin."""
        manager = PluginManager.discover(Blocking(), strict=False)
        return manager, manager.plugin(self._distribution().name)

    @staticmethod
    def _options(manager: PluginManager, info: PluginInfo) -> list[tuple[str, Path]]:
        """Return the plugin's options, such as ``"mode/x.yaml"``, with their files."""
        found = []
        for option, folders in manager.config_files().items():
            for each in folders:
                path = each.folder / option
                if each.provider == info.name:
                    found.append((option, path if path.exists() else path.with_suffix(".yml")))
        return found


def _override(option: str) -> str:
    """Return the override that chooses an option: a group that mml does not know yet is added."""
    from omegaconf import OmegaConf

    from mml_core.config.folders import CORE_CONF

    group, _, name = option.removesuffix(".yaml").rpartition("/")
    defaults = OmegaConf.load(CORE_CONF / "config.yaml").defaults
    known = {str(key).rpartition(" ")[2] for each in defaults if each != "_self_" for key in each}
    return f"{group}={name}" if group in known else f"+{group}={name}"


def _entries(info: PluginInfo) -> Iterable[Contribution[Any]]:
    return (entry for found in info.contributions.values() for entry in found)


def _flag(faults: Iterable[str]) -> None:
    told = list(faults)
    assert not told, "\n".join(told)
