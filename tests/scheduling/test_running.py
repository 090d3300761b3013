"""Schedulers constructed and run directly: what steps see, what they leave, how a run ends."""

import json
import os
import random
import subprocess
import sys
from asyncio import CancelledError
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from mml_core.errors import StepFailedError
from mml_core.files.manager import MMLFileManager
from mml_core.scheduling.base import AbstractBaseScheduler, SubroutineError
from mml_core.scheduling.runner import continue_run, run_scheduler
from mml_core.scheduling.runs import list_runs
from mml_core.scheduling.sealed import DamagedRecordError
from mml_core.scheduling.threads import limit_threads
from mml_core.storage.leases import Lease, LeaseHeldError

Config = Callable[..., DictConfig]


class Steps(AbstractBaseScheduler):
    """Runs what a test plans; a step fails as long as the file ``broken`` is there."""

    plan: Any = staticmethod(lambda scheduler: None)
    calls: list[Any] = []

    def __init__(self, cfg: DictConfig) -> None:
        super().__init__(cfg, available_subroutines=["a", "b"])

    def create_routine(self) -> None:
        type(self).plan(self)

    def draw(self, name: Any) -> float:
        type(self).calls.append(name)
        return random.random()

    def seen(self) -> list[str]:
        return list(self.results)

    def fail(self, name: str) -> str:
        type(self).calls.append(name)
        if (self.fm.project_path.parent / "broken").exists():
            raise ValueError("it is broken")
        return name

    def escape(self, kind: str) -> None:
        raise {"interrupt": KeyboardInterrupt, "cancelled": CancelledError, "exit": SystemExit}[kind]("out")

    def count_threads(self) -> list[int]:
        import scipy.linalg  # noqa: F401  # it brings a BLAS of its own beside NumPy's
        from threadpoolctl import threadpool_info

        return [each["num_threads"] for each in threadpool_info()]

    def set_value(self, value: Any) -> None:
        self.return_value = value

    def give(self, what: str) -> Any:
        return {"object": object(), "set": {1}, "big": 2**70}[what]


@pytest.fixture
def steps(config: Config) -> Callable[..., Steps]:
    def make(plan: Callable[[Any], Any], **keys: Any) -> Steps:
        mode = {"name": "steps", "scheduler": {"_target_": f"{__name__}:Steps"}}
        kind = type("Steps", (Steps,), {"plan": staticmethod(plan), "calls": [], "__module__": __name__})
        return kind(config(mode=mode, **keys))  # type: ignore[no-any-return]

    return make


def records(run: Path | None) -> dict[str, Any]:
    assert run is not None
    found = [json.loads(path.read_text())["body"] for path in sorted((run / "steps").iterdir())]
    return {record["method"] + json.dumps(record["params"]): record for record in found}


def test_a_step_sees_its_transitive_ancestors_only(steps: Callable[..., Steps]) -> None:
    ids = {}

    def plan(scheduler: Steps) -> None:
        first = scheduler.add_step("draw", 1, after=())
        scheduler.add_step("draw", 2, after=())
        third = scheduler.add_step("draw", 3, after=first)
        ids["seen"] = scheduler.add_step("seen", after=(third,)).id
        ids["expected"] = [first.id, third.id]

    outcome = run_scheduler(steps(plan))
    assert records(outcome.run_dir)["seen[]"]["value"] == ids["expected"]


def test_seeds_differ_by_step_and_repeat_by_identity(steps: Callable[..., Steps]) -> None:
    def some(*names: Any) -> Callable[[Steps], None]:
        return lambda scheduler: [scheduler.add_step("draw", name, after=()) for name in names][-1] and None

    one = records(run_scheduler(steps(some(1, 2, 3))).run_dir)
    other = records(run_scheduler(steps(some(3, 1), proj="q")).run_dir)
    drawn = {name: record["value"] for name, record in one.items() if record["method"] == "draw"}
    assert len(set(drawn.values())) == 3
    assert other["draw[3]"]["value"] == drawn["draw[3]"]
    reseeded = records(run_scheduler(steps(some(3), proj="s", seed=1)).run_dir)
    assert reseeded["draw[3]"]["value"] != drawn["draw[3]"]


def test_the_return_value_of_steps_outlives_the_process(steps: Callable[..., Steps]) -> None:
    def plan(scheduler: Steps) -> None:
        scheduler.add_step("set_value", {"a": (1, 2)})
        scheduler.add_step("draw", 1)

    outcome = run_scheduler(steps(plan))
    assert outcome.value == {"a": [1, 2]}


def test_unordered_steps_that_set_one_thing_are_both_named(steps: Callable[..., Steps]) -> None:
    def plan(scheduler: Steps) -> None:
        scheduler.add_step("set_value", 1, after=())
        scheduler.add_step("set_value", 2, after=())

    with pytest.raises(StepFailedError, match=r"set_value\(1\) and set_value\(2\) both changed return_value"):
        steps(plan).run()


@pytest.mark.parametrize("what", ["object", "set", "big"])
def test_what_is_not_json_cannot_be_returned(steps: Callable[..., Steps], what: str) -> None:
    with pytest.raises(StepFailedError, match=r"What give\('.*'\) returned is"):
        steps(lambda scheduler: scheduler.add_step("give", what)).run()


@pytest.mark.parametrize("kind", ["interrupt", "cancelled", "exit"])
def test_what_a_step_raises_is_its_failure_whatever_it_is(steps: Callable[..., Steps], kind: str) -> None:
    outcome = run_scheduler(steps(lambda scheduler: scheduler.add_step("escape", kind)))
    assert (outcome.state, outcome.exit_code) == ("failed", 1)
    assert f"escape('{kind}') failed: " in outcome.message
    assert "out (0 of 2 steps are done)" in outcome.message


def continue_here(scheduler: Steps, run_dir: Path, *overrides: str) -> Any:
    """Continue in this process; the class stands in this module for the time."""
    module = sys.modules[__name__]
    assert scheduler._context is not None
    before = module.Steps
    module.Steps = type(scheduler)  # type: ignore[misc]
    try:
        return continue_run(run_dir, list(overrides), scheduler.plugins)
    finally:
        module.Steps = before  # type: ignore[misc]


def test_a_failed_step_is_named_and_continued_at(steps: Callable[..., Steps], tmp_path: Path) -> None:
    def plan(scheduler: Steps) -> None:
        scheduler.add_step("draw", 1)
        scheduler.add_step("fail", "x")
        scheduler.add_step("draw", 2)

    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "broken").touch()
    scheduler = steps(plan, retries=2)
    outcome = run_scheduler(scheduler)
    assert (outcome.state, outcome.exit_code) == ("failed", 1)
    assert "fail('x') failed: ValueError: it is broken (1 of 4 steps are done)" in outcome.message
    assert outcome.run_dir is not None
    assert f"mml run --continue {outcome.run_dir.name} --proj p" in outcome.message
    assert type(scheduler).calls == [1, "x", "x", "x"]
    (summary,) = list_runs(outcome.run_dir.parent.parent)
    assert (summary.status, summary.steps_done, summary.steps) == ("failed", 1, 4)

    (tmp_path / "results" / "broken").unlink()
    done = continue_here(scheduler, outcome.run_dir)
    assert done.state == "done"
    assert type(scheduler).calls == [1, "x", "x", "x", "x", 2]
    assert [each.status for each in list_runs(outcome.run_dir.parent.parent)] == ["done"]
    assert "finished" in continue_here(scheduler, outcome.run_dir).message


def test_on_error_continue_leaves_independent_steps_running(
    steps: Callable[..., Steps], tmp_path: Path
) -> None:
    def plan(scheduler: Steps) -> None:
        bad = scheduler.add_step("fail", "x", after=())
        scheduler.add_step("draw", "needs x", after=bad)
        scheduler.add_step("draw", "free", after=())

    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "broken").touch()
    scheduler = steps(plan, on_error="continue")
    assert run_scheduler(scheduler).exit_code == 1
    assert type(scheduler).calls == ["x", "free"]


@pytest.fixture
def failed(steps: Callable[..., Steps], tmp_path: Path) -> tuple[Steps, Path]:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "broken").touch()

    def plan(scheduler: Steps) -> None:
        scheduler.add_step("draw", 1)
        scheduler.add_step("fail", "x")

    scheduler = steps(plan)
    run_dir = run_scheduler(scheduler).run_dir
    assert run_dir is not None
    return scheduler, run_dir


def test_g05_a_damaged_record_is_named_and_not_used(failed: tuple[Steps, Path]) -> None:
    scheduler, run_dir = failed
    (record,) = (run_dir / "steps").iterdir()
    whole = record.read_bytes()
    for damaged in (b"", whole[:-1], whole.replace(b'"attempt":1', b'"attempt":2')):
        record.write_bytes(damaged)
        with pytest.raises(DamagedRecordError, match=record.name):
            continue_here(scheduler, run_dir)
    assert type(scheduler).calls == [1, "x"]


def test_g17_a_config_that_was_edited_is_refused(failed: tuple[Steps, Path]) -> None:
    scheduler, run_dir = failed
    (run_dir / "config.yaml").write_text((run_dir / "config.yaml").read_text().replace("42", "43"))
    with pytest.raises(DamagedRecordError, match=r"config\.yaml"):
        continue_here(scheduler, run_dir)


def test_g17_overrides_that_change_results_are_refused_by_name(failed: tuple[Steps, Path]) -> None:
    scheduler, run_dir = failed
    with pytest.raises(Exception, match="seed was 42 when the run began and cannot become 1"):
        continue_here(scheduler, run_dir, "seed=1")
    assert continue_here(scheduler, run_dir, "seed=42", "+retries=1").exit_code == 1
    assert type(scheduler).calls == [1, "x", "x", "x"]


def test_g09_a_live_owner_is_refused_by_name(failed: tuple[Steps, Path]) -> None:
    scheduler, run_dir = failed
    code = (
        "import sys; from pathlib import Path; from mml_core.storage.leases import Lease\n"
        "lease = Lease.acquire(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", code, str(run_dir / "lease")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(LeaseHeldError, match=f"pid {owner.pid}") as refused:
            continue_here(scheduler, run_dir)
        assert refused.value.exit_code == 3
        owner.kill()
    assert continue_here(scheduler, run_dir).exit_code == 1  # a dead owner is taken over at once


@pytest.mark.parametrize("threads", [1, 2])
def test_each_library_uses_as_many_threads_as_the_plan_says(
    steps: Callable[..., Steps], monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "3")
    scheduler = steps(lambda each: each.add_step("count_threads"), executor={"threads": threads})
    counted = records(run_scheduler(scheduler).run_dir)["count_threads[]"]["value"]
    assert len(counted) >= 2
    assert set(counted) == {threads}
    limit_threads(1)


class Broken(AbstractBaseScheduler):
    def __init__(self, cfg: DictConfig) -> None:
        super().__init__(cfg, available_subroutines=[])
        raise RuntimeError("no")


def test_g11_an_error_in_init_leaves_no_lock_and_no_run(config: Config, tmp_path: Path) -> None:
    from mml_core.config.locations import Locations
    from mml_core.plugins import PluginManager
    from mml_core.scheduling.context import RunContext
    from mml_core.scheduling.runner import run_mode

    locations = Locations(data=tmp_path / "data", results=tmp_path / "results")
    context = RunContext(plugins=PluginManager(builtin=True), locations=locations)
    mode = {"name": "broken", "scheduler": {"_target_": f"{__name__}.Broken"}}
    with pytest.raises(RuntimeError, match="no"):
        run_mode(config(mode=mode), context)
    assert list((tmp_path / "results" / "p" / "runs").iterdir()) == []
    assert MMLFileManager._installed == []


def test_an_unknown_subroutine_is_named_with_near_matches(config: Config) -> None:
    with pytest.raises(SubroutineError, match="no subroutine 'c'"):
        Steps(config(mode={"name": "m", "subroutines": ["c"]}))


def test_g11_the_lease_is_free_after_a_run(steps: Callable[..., Steps]) -> None:
    outcome = run_scheduler(steps(lambda scheduler: scheduler.add_step("draw", 1)))
    assert outcome.run_dir is not None
    Lease.acquire(outcome.run_dir / "lease").release()


def test_libraries_are_seeded_and_limited_when_a_step_imports_them_and_torch_is_not_for_it() -> None:
    code = (
        "import sys; from mml_core.scheduling.seeding import seed_everything, step_seed\n"
        "import mml_core.scheduling.runner\n"
        "seed_everything(step_seed(1, 'a'), 1); assert 'torch' not in sys.modules\n"
        "import numpy, torch; late = (numpy.random.rand(), torch.rand(1).item())\n"
        "seed_everything(step_seed(1, 'a'), 1)\n"
        "assert late == (numpy.random.rand(), torch.rand(1).item())\n"
        "from mml_core.scheduling.seeding import _LateSeeding\n"
        "import scipy.linalg; from threadpoolctl import threadpool_info\n"
        "assert {each['num_threads'] for each in threadpool_info()} == {1} == {torch.get_num_threads()}\n"
        "assert not any(isinstance(each, _LateSeeding) for each in sys.meta_path)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
