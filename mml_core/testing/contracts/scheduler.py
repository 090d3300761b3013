"""What every scheduler has to do, as tests to subclass."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from mml_core.testing.crash.report import CrashFaultError
from mml_core.testing.crash.scenario import Scenario, scenario_of

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager
    from mml_core.scheduling.base import AbstractBaseScheduler
    from mml_core.testing.crash.kit import CrashKit
    from mml_core.testing.fixtures import MMLProject, ProcessRunner


class SchedulerContract:
    """Tests of one scheduler; subclass it with a name that begins with ``Test``.

    It needs ``pytest_plugins = ["mml_core.testing.crash"]``.

    Attributes:
        scheduler: The name of a mode, or a scheduler's class.
        config: Overrides of the config: key → value, as ``mml_core.api.run`` takes them.
        tasks: The tasks of the run; those that are missing are created.
        sample: At how many points a run is killed and continued; None: at all.
        options: Further options of ``CrashKit``: ``volatile``, ``ignored``, ``methods``, ``seed``.
    """

    scheduler: ClassVar[str | type]
    config: ClassVar[Mapping[str, Any]] = {}
    tasks: ClassVar[Sequence[str]] = ()
    sample: ClassVar[int | None] = 3
    options: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture
    def scenario(self, mml_project: MMLProject, monkeypatch: pytest.MonkeyPatch) -> Scenario:
        """The run of the scheduler, with its tasks in place."""
        site = mml_project.root / "scenario"
        site.mkdir()
        scenario = scenario_of(self.scheduler, site, overrides=self._overrides(), tasks=self.tasks)
        monkeypatch.syspath_prepend(str(site))
        for name, value in scenario.env.items():
            monkeypatch.setenv(name, value)
        if scenario.mode != "create":
            _create(self.tasks, mml_project)
        return scenario

    def test_its_plan_is_always_the_same(self, scenario: Scenario, mml_process: ProcessRunner) -> None:
        """Two processes plan the same steps in the same order, whatever order their sets have."""
        first, second = (self._plan(scenario, mml_process, seed) for seed in ("1", "2"))
        for number, (one, other) in enumerate(zip(first, second, strict=False), start=1):
            assert one == other, (
                f"Step {number} of the plan is {one['step']} in one process and {other['step']} in another;"
                " plan from lists, not from sets, clocks or random numbers."
            )
        assert len(first) == len(second), f"One process plans {len(first)} steps, another {len(second)}."

    def test_planning_makes_no_files(self, scenario: Scenario, mml_project: MMLProject) -> None:
        """Every process of a run constructs it, and ``--plan`` plans: only steps write."""
        told = []
        before = _files(mml_project)
        for what in self._planning(scenario, mml_project):
            after = _files(mml_project)
            changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
            told += [f"{what} writes {name}; do that in a step." for name in changed]
            before = after
        assert not told, "\n".join(told)

    def test_its_record_names_its_subroutines(self, scenario: Scenario, mml_project: MMLProject) -> None:
        """What ``mode.subroutines`` may hold stands in the ``SchedulerSpec`` as in the class."""
        from mml_core.config.validation import mode_spec

        cfg, plugins = self._composed(scenario)
        spec = mode_spec(cfg, plugins)
        scheduler = self._constructed(cfg, plugins, mml_project)
        if spec is not None:
            found = tuple(scheduler.available_subroutines)
            assert tuple(spec.subroutines) in ((), found), (
                f"The record of the mode '{spec.name}' has the subroutines {list(spec.subroutines)}, its"
                f" class {list(found)}."
            )

    def test_it_runs_to_its_end(
        self, scenario: Scenario, mml_project: MMLProject, mml_process: ProcessRunner
    ) -> None:
        """Nothing disturbs it, and every step of its plan is committed."""
        from mml_core.scheduling.run_directory import RunDirectory
        from mml_core.scheduling.runs import summarise

        before = set(self._runs(mml_project))
        ended = mml_process(*scenario.command())
        assert ended.code == 0, f"{scenario.describe()} ends with {ended.code}: {_last(ended.err, ended.out)}"
        for path in set(self._runs(mml_project)) - before:
            summary = summarise(RunDirectory(path))
            assert summary.status == "done", f"{scenario.describe()} leaves its run {summary.state}."
            assert summary.steps_done == summary.steps

    def test_it_resumes_from_a_kill(self, scenario: Scenario, crash_kit: CrashKit) -> None:
        """Killed at some of its write barriers and continued, it equals a run that nothing disturbed."""
        crash_kit(self.scheduler, *self._overrides(), tasks=self.tasks, sample=self.sample, **self.options)

    def test_workers_change_no_result(self, scenario: Scenario, crash_kit: CrashKit) -> None:
        """With ``executor=processes`` it leaves the files, values and records that it leaves without."""
        options = {name: value for name, value in self.options.items() if name != "methods"}
        try:
            crash_kit(
                self.scheduler,
                *self._overrides(),
                tasks=self.tasks,
                sample=0,
                executor="processes",
                **options,
            )
        except CrashFaultError as error:
            told = "\n".join(map(str, error.report.faults))
            raise AssertionError(
                f"{scenario.describe()}: executor=sequential and executor=processes differ, or one of"
                f" them does what no run may do:\n{told}"
            ) from error

    # -- what the tests use

    def _overrides(self) -> list[str]:
        from mml_core.notebook.overrides import overrides_of

        return overrides_of(self.config)

    def _plan(self, scenario: Scenario, mml_process: ProcessRunner, hash_seed: str) -> list[dict[str, Any]]:
        command = ("run", *self._job(scenario), "--plan", "--json")
        ended = mml_process(*command, env={"PYTHONHASHSEED": hash_seed})
        assert ended.code == 0, f"{scenario.describe()} cannot be planned: {_last(ended.err, ended.out)}"
        rows: list[dict[str, Any]] = json.loads(ended.out)
        return rows

    def _planning(self, scenario: Scenario, project: MMLProject) -> Iterator[str]:
        """Plan step by step; yield what has been done."""
        cfg, plugins = self._composed(scenario)
        scheduler = self._constructed(cfg, plugins, project)
        yield f"The preparation of {type(scheduler).__name__} (__init__, after_preparation_hook)"
        scheduler.create_routine()
        yield f"{type(scheduler).__name__}.create_routine"

    def _composed(self, scenario: Scenario) -> tuple[Any, PluginManager]:
        from mml_core.config.compose import compose
        from mml_core.plugins import PluginManager

        plugins = PluginManager.discover()
        return compose(self._job(scenario), plugins), plugins

    @staticmethod
    def _job(scenario: Scenario) -> list[str]:
        """Return the overrides of the run; the config that is made for a class is on the search path."""
        from mml_core.config.overrides import task_list

        found = [f"hydra.searchpath=['file://{scenario.options[1]}']"] if scenario.options else []
        return [*found, f"mode={scenario.mode}", task_list(scenario.tasks), *scenario.overrides]

    @staticmethod
    def _constructed(cfg: Any, plugins: PluginManager, project: MMLProject) -> AbstractBaseScheduler:
        """Construct the scheduler as for a plan, and let it prepare."""
        from mml_core.config.locations import Locations
        from mml_core.scheduling.context import RunContext
        from mml_core.scheduling.target import scheduler_class

        locations = Locations(data=project.data, results=project.results)
        context = RunContext(plugins=plugins, locations=locations, run_dir=None)
        scheduler = scheduler_class(cfg, plugins).prepare(cfg, context)
        scheduler.fm.close()
        return scheduler

    @staticmethod
    def _runs(project: MMLProject) -> list[Path]:
        return list(project.results.glob("*/runs/*"))


def _create(tasks: Sequence[str], project: MMLProject) -> None:
    """Create the tasks that are missing."""
    from mml_core.notebook.runs import run

    bases = dict.fromkeys(task.partition("+")[0] for task in tasks)
    missing = [base for base in bases if not (project.data / "tasks" / base).is_dir()]
    if missing:
        paths = {"data": project.data, "results": project.root / "creation"}
        run("create", missing, paths=paths)


def _files(project: MMLProject) -> dict[str, tuple[int, int]]:
    """Return all files and folders of a test with size and time, but for caches, which anybody may write."""
    found = {}
    for path in project.root.rglob("*"):
        name = path.relative_to(project.root)
        if name.parts[:2] != ("data", "cache") and "__pycache__" not in name.parts:
            status = path.lstat()
            found[name.as_posix()] = (0, 0) if path.is_dir() else (status.st_size, status.st_mtime_ns)
    return found


def _last(*texts: str) -> str:
    """Return the last line of the first text that has one."""
    lines = next((text.strip().splitlines() for text in texts if text.strip()), ["it said nothing"])
    return lines[-1].strip()
