"""The claim of a scheduler to be ``reuse_safe``: what is taken over is what would have been done.

A run is done, and done again with one key of the config changed. With ``reuse.auto`` the second run takes
steps over from the first; without it, in a place of its own, it does them all. A step that was taken over and
would have done something else rests on the changed key without anybody having noted it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mml_core.testing.crash.bench import Bench, UndisturbedRunError
from mml_core.testing.crash.faults import Fault, FaultKind
from mml_core.testing.crash.picture import Plain, runs_below
from mml_core.testing.crash.trial import Trial

_AUTO = "reuse.auto=true"
_COMPARED = ("value", "return_value", "structs")


@dataclass(frozen=True)
class Effect:
    """What a step did, wherever its files lie.

    Attributes:
        name: The step as a reader knows it.
        taken: Whether it was taken over.
        seen: What it returned and changed, and its files, each by its content.
    """

    name: str
    taken: bool
    seen: Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """What one changed key did.

    Attributes:
        override: The changed key.
        steps: How many steps there were.
        taken: How many of them were taken over.
        faults: Those that were taken over and would have done something else.
    """

    override: str
    steps: int
    taken: int
    faults: list[Fault]


def changed(bench: Bench, override: str) -> Change:
    """Run the command, and again with a key changed, with and without taking steps over.

    Args:
        bench: Makes the trials.
        override: The changed key; empty: nothing is changed.
    """
    change = [override] if override else []
    shared, alone = bench.fresh(), bench.fresh()
    try:
        _run(bench, shared, [])
        first = set(runs_below(shared.results, bench.results))
        _run(bench, shared, [*change, _AUTO])
        _run(bench, alone, change)
        (second,) = set(runs_below(shared.results, bench.results)) - first
        (only,) = runs_below(alone.results, bench.results)
        taking, doing = _effects(bench, shared, second), _effects(bench, alone, only)
    finally:
        shared.remove()
        alone.remove()
    wrong = [
        _fault(override, effect, doing[step])
        for step, effect in taking.items()
        if effect.taken and step in doing and effect.seen != doing[step].seen
    ]
    return Change(override, len(taking), sum(effect.taken for effect in taking.values()), wrong)


def _run(bench: Bench, trial: Trial, overrides: list[str]) -> None:
    ended = trial.run([*bench.scenario.command(), *overrides], timeout=bench.timeout)
    if ended.code != 0:
        raise UndisturbedRunError(
            f"'{bench.scenario.describe()} {' '.join(overrides)}' ends with {ended.code}: {ended.message()}"
        )


def _effects(bench: Bench, trial: Trial, directory: Path) -> dict[str, Effect]:
    """Return what the steps of a run did, by their ids."""
    from mml_core.scheduling.ledger import Ledger
    from mml_core.scheduling.run_directory import RunDirectory

    run = RunDirectory(directory)
    plan = run.load_plan()
    assert plan is not None
    ledger = Ledger(plan, run.steps_path)
    ledger.refresh()
    plain = Plain(trial.root, runs_below(trial.results, bench.results), bench.scenario.volatile)
    return {
        record.step: Effect(
            plan.steps[position].name,
            record.taken is not None,
            _seen(record, run.project_path, plain),
        )
        for position, record in ledger.records()
    }


def _seen(record: Any, project: Path, plain: Plain) -> dict[str, Any]:
    import msgspec

    def by_content(value: Any) -> Any:
        if isinstance(value, str):
            path = project / value
            return plain.digest(path) if len(value) < 1024 and path.is_file() else plain.of(value)
        if isinstance(value, dict):
            return {key: by_content(item) for key, item in plain.without_volatile(value).items()}
        return [by_content(item) for item in value] if isinstance(value, list) else value

    stored = msgspec.json.decode(msgspec.json.encode(record))
    files = sorted(plain.digest(project / path) for path in record.files())
    return {"files": files, **{key: by_content(stored.get(key)) for key in _COMPARED}}


def _fault(override: str, taken: Effect, done: Effect) -> Fault:
    key = next(key for key in taken.seen if taken.seen[key] != done.seen[key])
    detail = (
        f"step {taken.name} was taken over, and does something else with it: {key} {done.seen[key]!r} "
        f"instead of {taken.seen[key]!r}"
    )
    return Fault(FaultKind.CONFIG_MISSED, f"with {override or 'nothing changed'}", detail)
