"""The kit: runs a scheduler's real command, injures it at its write barriers, continues it and compares."""

from __future__ import annotations

import errno as errnos
import os
import signal as signals
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mml_core.testing.crash.backends import Backend, choose_backend
from mml_core.testing.crash.barriers import Injury, Victim
from mml_core.testing.crash.bench import Bench, Reference
from mml_core.testing.crash.kills import injured_and_continued
from mml_core.testing.crash.points import AnyPoint, kill_points, of_methods, sampled, seed_of
from mml_core.testing.crash.powerloss import loss_points, record, recovered
from mml_core.testing.crash.report import CrashReport
from mml_core.testing.crash.reuse import changed
from mml_core.testing.crash.scenario import Scenario, scenario_of
from mml_core.testing.crash.stops import stop_points, stopped_and_taken_over
from mml_core.testing.crash.trial import Trial

LASTING = ("ENOSPC", "EDQUOT")
"""Errors that stay: a disk that is full is full for the next file as well."""


def default_workers() -> int:
    """Return how many commands may run at one time, where pytest itself may run in several processes."""
    beside = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return max(1, (os.cpu_count() or 1) // beside)


@dataclass
class CrashKit:
    """Proves that a scheduler resumes exactly; the fixture ``crash_kit`` makes one.

    Attributes:
        data: The data every run begins with; tasks that are missing in it are created.
        results: The results every run begins with.
        folder: Where the runs take place.
        tell: Takes the summary of each report.
        backend: What watches the commands; by default the best that works here.
        workers: How many commands run at one time.
    """

    data: Path
    results: Path
    folder: Path
    tell: Callable[[str], object] = print
    backend: Backend = field(default_factory=choose_backend)
    workers: int = field(default_factory=default_workers)
    _calls: int = 0

    def __call__(
        self,
        scheduler: str | type,
        *overrides: str,
        tasks: Sequence[str] = (),
        methods: Sequence[str] = (),
        sample: int | None = None,
        seed: int | None = None,
        signal: int = signals.SIGKILL,
        errno: int = 0,
        victim: Victim = Victim.TREE,
        kills: int = 1,
        executor: str | None = None,
        volatile: Sequence[str] = (),
        ignored: Sequence[str] = (),
    ) -> CrashReport:
        """Injure a run of a scheduler at its write barriers, continue it each time, and compare.

        Args:
            scheduler: The name of a mode, or a scheduler's class.
            *overrides: Overrides of the config.
            tasks: The tasks of the run.
            methods: Only in steps of these methods the run is disturbed; empty: everywhere.
            sample: How many kill points are run; None: all.
            seed: Of the sample; by default ``MML_CRASH_SEED``, or a new one, which is told.
            signal: What the command is sent at the barrier: SIGKILL, SIGTERM, SIGINT, SIGUSR1. By SIGSTOP it
                loses its lease, the run is taken over, and the stopped command must not commit any more.
            errno: With what the call fails there, instead of a signal; a full disk stays full.
            victim: Who is sent the signal: the whole tree of processes, or the one that made the call, such
                as a worker, whose step the run has to do again by itself.
            kills: How often each run is killed; from the second time on at some barrier of the command that
                continues it.
            executor: What runs the steps; the results have to be those of the sequential one.
            volatile: Keys of JSON files that differ from run to run, beyond the usual ones.
            ignored: Globs of files that are not looked at.

        Returns:
            The report.

        Raises:
            CrashFaultError: A fault was found.
            UndisturbedRunError: The command fails by itself.
        """
        name = errnos.errorcode.get(errno, "")
        options: dict[str, Any] = {"executor": executor, "volatile": volatile, "ignored": ignored}
        bench = self._bench(scheduler, overrides, tasks, **options)
        reference = bench.reference()
        report = self._report(bench, name or signals.Signals(signal).name, reference)
        if reference.is_repeatable:
            wound = Injury(0, 0 if errno else signal, errno, lasting=name in LASTING, victim=victim)
            points = kill_points(reference.story, wound)
            do = injured_and_continued
            if signal == signals.SIGSTOP:
                points, do = stop_points(points), stopped_and_taken_over
            points = of_methods(points, methods)
            chosen = self._choose(points, sample, seed, report, reference)
            if kills > 1:
                report.seed = seed_of(seed) if report.seed is None else report.seed
                barriers = len(reference.story.moments)
                chosen = [point.killed_again(kills - 1, report.seed, barriers) for point in chosen]
            with ThreadPoolExecutor(self.workers) as pool:
                report.add(pool.map(partial(do, bench, reference), chosen))
        return self._told(report)

    def power_loss(
        self,
        scheduler: str | type,
        *overrides: str,
        tasks: Sequence[str] = (),
        methods: Sequence[str] = (),
        sample: int | None = None,
        seed: int | None = None,
        volatile: Sequence[str] = (),
        ignored: Sequence[str] = (),
    ) -> CrashReport:
        """Record a run of a scheduler, make the states that a power loss may leave, and continue each.

        What was reported as committed must be there in each; what was not forced to the disk is lost as a
        whole, but for the names, or in part, as the seed says.

        Args:
            scheduler: The name of a mode, or a scheduler's class.
            *overrides: Overrides of the config.
            tasks: The tasks of the run.
            methods: Only in steps of these methods the run is disturbed; empty: everywhere.
            sample: How many states are made; None: all.
            seed: Of the sample, and of what is lost.
            volatile: Keys of JSON files that differ from run to run, beyond the usual ones.
            ignored: Globs of files that are not looked at.

        Returns:
            The report.

        Raises:
            CrashFaultError: A fault was found.
            UndisturbedRunError: The command fails by itself.
            BackendError: The backend does not record what is written.
        """
        bench = self._bench(scheduler, overrides, tasks, volatile=volatile, ignored=ignored)
        reference = bench.reference()
        report = self._report(bench, "power loss", reference)
        if reference.is_repeatable:
            report.seed = seed_of(seed)
            recording = record(bench)
            report.unseen = recording.unseen
            points = of_methods(loss_points(recording, report.seed), methods)
            chosen = self._choose(points, sample, report.seed, report, reference)
            report.add(recovered(bench, reference, recording, chosen, self.workers))
        return self._told(report)

    def reuse(
        self,
        scheduler: str | type,
        *overrides: str,
        changes: Sequence[str],
        tasks: Sequence[str] = (),
        volatile: Sequence[str] = (),
    ) -> CrashReport:
        """Test the claim of a scheduler to be ``reuse_safe``: change keys, and take over the other steps.

        Args:
            scheduler: The name of a mode, or a scheduler's class.
            *overrides: Overrides of the config.
            changes: Overrides, each of which changes one key that steps rest on.
            tasks: The tasks of the run.
            volatile: Keys of JSON files that differ from run to run, beyond the usual ones.

        Returns:
            The report.

        Raises:
            CrashFaultError: A step was taken over that does something else when a key is changed.
            UndisturbedRunError: The command fails by itself.
        """
        bench = self._bench(scheduler, overrides, tasks, volatile=volatile)
        backend = f"{bench.backend.name}, which is not needed here"
        report = CrashReport(bench.scenario.describe(), "reuse", backend, unit="steps taken over")
        with ThreadPoolExecutor(self.workers) as pool:
            for change in pool.map(partial(changed, bench), ["", *changes]):
                report.steps[change.override or "nothing changed"] = (change.taken, change.steps)
                report.found += change.faults
        return self._told(report)

    def _bench(
        self, scheduler: str | type, overrides: Sequence[str], tasks: Sequence[str], **options: Any
    ) -> Bench:
        self._calls += 1
        folder = self.folder / f"{self._calls:03d}"
        site = folder / "site"
        site.mkdir(parents=True)
        scenario = scenario_of(scheduler, site, overrides=overrides, tasks=tasks, **options)
        self._prepare(scenario, folder)
        return Bench(scenario, folder, self.data, self.results, self.backend)

    def _prepare(self, scenario: Scenario, folder: Path) -> None:
        """Create the tasks that are missing, unless that is what the scenario does."""
        bases = dict.fromkeys(task.partition("+")[0] for task in scenario.tasks)
        missing = [base for base in bases if not (self.data / "tasks" / base).is_dir()]
        if not missing or scenario.mode == "create":
            return
        trial = Trial(folder / "prepared", self.backend, scenario.env)
        trial.fill(self.data, folder / "nothing")
        ended = trial.run(["run", "--mode=create", "--tasks", ",".join(missing)], timeout=600)
        if ended.code != 0:
            raise AssertionError(f"The tasks {', '.join(missing)} cannot be created: {ended.message()}")
        trial.data.rename(self.data)
        trial.remove()

    def _report(self, bench: Bench, injury: str, reference: Reference) -> CrashReport:
        backend = f"{bench.backend.name}, which sees {bench.backend.sees}"
        report = CrashReport(bench.scenario.describe(), injury, backend)
        report.found += reference.faults
        return report

    def _choose(
        self,
        points: Sequence[AnyPoint],
        sample: int | None,
        seed: int | None,
        report: CrashReport,
        reference: Reference,
    ) -> list[AnyPoint]:
        if sample is not None and sample < len(points):
            report.seed = seed_of(seed)
        chosen = sampled(points, sample, report.seed or 0)
        report.count(points, chosen, reference.picture.names)
        return chosen

    def _told(self, report: CrashReport) -> CrashReport:
        self.tell(report.summary())
        return report.check()
