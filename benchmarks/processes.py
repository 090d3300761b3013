"""What steps in worker processes gain and cost.

Run: `python benchmarks/processes.py [--pairs 3]`. Eight equal training steps of one thread each, on digits,
run one after the other and by `executor=processes executor.workers=2`, in turn; the ratio of the wall times
of the two commands is the figure. What a fresh process costs is the time from one record of an empty step to
the next under one worker, less the time between those of a sequential run. Claim and commit of an empty step
by a pilot stand beside two bare sequences of write, fsync, link, unlink, fsync of the folder.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from _common import Figure, bare_sequence, environment_in, interleaved, report, run, spread
from omegaconf import OmegaConf

from mml_core.plugins import PluginManager
from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.scheduling.context import RunContext
from mml_core.scheduling.ledger import Ledger
from mml_core.scheduling.pilot import Pilot
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.scheduling.runner import run_scheduler
from mml_core.scheduling.signals import SignalGuard
from mml_core.testing.distributions import FakeDistribution

FOLDS, EPOCHS = 8, 45
EMPTY_STEPS = 60
PLUGIN = """
from mml_core.plugins import SchedulerSpec, hookimpl

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="empty", target="mml_empty.scheduler:Empty", defaults={"steps": 1})
"""
SCHEDULER = """
from mml_core.api import AbstractBaseScheduler

class Empty(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self):
        for number in range(self.cfg.mode.steps):
            self.add_step("nothing", number, after=())

    def nothing(self, number):
        pass
"""


class Pilots(AbstractBaseScheduler):
    """Plans empty steps, each of which times two bare sequences."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg, available_subroutines=[])
        self.bare_folder = self.fm.data / "bare"
        (self.bare_folder / "linked").mkdir(parents=True, exist_ok=True)
        self.marks: list[tuple[float, float]] = []

    def create_routine(self) -> None:
        """Plan as many steps as the config says."""
        for number in range(self.cfg.mode.steps):
            self.add_step("bare", number, after=())

    def bare(self, number: int) -> None:
        """Time two bare sequences; the rest until the next step's begin is claim and commit."""
        began = time.perf_counter()
        bare_sequence(self.bare_folder, 2 * number)
        bare_sequence(self.bare_folder, 2 * number + 1)
        self.marks.append((began, time.perf_counter()))


def training(folder: Path, pairs: int) -> Iterator[Figure]:
    """Yield how long eight training steps take on two workers, over one after the other."""
    environment = environment_in(folder, OMP_NUM_THREADS="1")
    mml = str(Path(sys.executable).with_name("mml"))
    settings = ["--tasks", "digits", "preprocessing=size32"]
    run([mml, "run", "--mode=create", "--tasks", "digits", f"mode.num_folds={FOLDS}"], environment)
    run([mml, "run", "--mode=preprocess", *settings], environment)
    train = [mml, "run", "--mode=train", *settings, "mode.subroutines=[train]"]
    train += [f"trainer.max_epochs={EPOCHS}", "trainer.accelerator=cpu", "callbacks.progress=none"]
    times = interleaved(
        lambda: run([*train, "--proj", "one"], environment),
        lambda: run([*train, "--proj", "two", "executor=processes", "executor.workers=2"], environment),
        pairs,
    )
    latest = sorted((folder / "results" / "one" / "runs").iterdir())[-1]
    lengths = [record.seconds for record in _records(latest) if record.method == "train_fold"]
    yield Figure(
        name="shortest of the training steps, one after the other", value=min(lengths), unit="s", above=5
    )
    yield Figure(
        name="8 training steps on 2 workers over one after the other",
        value=statistics.median(times.ratios),
        at_most=0.6,
        note=f"{times.first:.1f} s and {times.second:.1f} s; {spread(times.ratios)} pairs",
    )


def fresh_processes(folder: Path) -> Iterator[Figure]:
    """Yield what an empty step in a fresh process costs once the fork server is warm."""
    site = folder / "site"
    FakeDistribution.plugin("empty", PLUGIN, files={"scheduler.py": SCHEDULER}).write(site)
    environment = environment_in(folder, OMP_NUM_THREADS="1", PYTHONPATH=str(site))
    mml = str(Path(sys.executable).with_name("mml"))
    gaps = {}
    for executor in ("sequential", "processes"):
        options = ["executor.workers=1"] if executor == "processes" else []
        command = [mml, "run", "--mode=empty", f"mode.steps={EMPTY_STEPS}", "--proj", executor]
        run([*command, f"executor={executor}", *options], environment)
        (latest,) = (folder / "results" / executor / "runs").iterdir()
        begun = sorted(record.started for record in _records(latest))
        gaps[executor] = [later - earlier for earlier, later in pairwise(begun)][10:]
    beyond = [gap - statistics.median(gaps["sequential"]) for gap in gaps["processes"]]
    yield Figure(
        name="an empty step in a fresh process, beyond a sequential one",
        value=statistics.median(beyond) * 1e3,
        unit="ms",
        at_most=60,
        note=spread([each * 1e3 for each in beyond], 0),
    )


def claim_and_commit(folder: Path, steps: int = 1000) -> Iterator[Figure]:
    """Yield what a pilot's claim and commit cost beside two bare sequences."""
    cfg = OmegaConf.create(
        {
            "proj": "pilot",
            "seed": 1,
            "task_list": [],
            "paths": {"data": str(folder / "data"), "results": str(folder / "results")},
            "mode": {"name": "pilots", "steps": steps},
        }
    )
    outcome = run_scheduler(Pilots({**cfg, "mode": {"name": "pilots", "steps": 0}}))
    assert outcome.run_dir is not None
    run_ = RunDirectory(outcome.run_dir)
    context = RunContext(plugins=PluginManager.discover(), locations=_locations(folder), run_dir=run_.path)
    scheduler = Pilots.prepare(cfg, context)
    assert isinstance(scheduler, Pilots)
    scheduler.create_routine()
    plan = Plan(run_.id, scheduler._routine.steps(), seed=1)
    with SignalGuard() as guard:
        pilot = Pilot(run_, plan, scheduler, guard)
        for step in plan.steps[:-1]:
            event = pilot.do(step.id)
            assert event.failure is None, event
    ratios = [(later[0] - after) / (after - began) for (began, after), later in pairwise(scheduler.marks)]
    scheduler.fm.close()
    yield Figure(
        name="claim and commit over two bare sequences",
        value=statistics.median(ratios),
        at_most=3,
        note=f"{steps} steps",
    )


def _locations(folder: Path) -> Any:
    from mml_core.config.locations import Locations

    return Locations(data=folder / "data", results=folder / "results")


def _records(run_dir: Path) -> list[Any]:
    plan = RunDirectory(run_dir).load_plan()
    assert plan is not None
    ledger = Ledger(plan, run_dir / "steps")
    ledger.refresh()
    return [record for _, record in ledger.records()]


def figures(pairs: int) -> Iterator[Figure]:
    """Yield all."""
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).resolve()
        yield from claim_and_commit(folder)
        yield from fresh_processes(folder)
        yield from training(folder, pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    return report(figures(parser.parse_args().pairs))


if __name__ == "__main__":
    sys.exit(main())
