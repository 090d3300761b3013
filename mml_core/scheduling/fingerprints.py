"""Fingerprints: whether what a step of another run did is what the same step would do here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from mml_core.config.reads import value_of
from mml_core.config.secrets import plain_config
from mml_core.scheduling.continuing import FIXED, SAFE
from mml_core.scheduling.environments import Environment
from mml_core.scheduling.inputs import Inputs
from mml_core.scheduling.ledger import StepRecord
from mml_core.scheduling.plan import Plan, PlanStep

_UNCOUNTED = (*SAFE, "paths", "proj", "reuse", "continue")
"""Keys, with all below them, that cannot change what a step does; the seed counts by itself."""


def counted(keys: Iterable[str]) -> list[str]:
    """Return those of the noted keys that can change results, sorted."""
    return [key for key in sorted(keys) if counts(key.rstrip(".*")) and key != "seed"]


def counts(key: str) -> bool:
    """Tell whether a key of the config can change results."""
    return _within(key, FIXED) or not _within(key, _UNCOUNTED)


def config_values(cfg: Any) -> dict[str, Any]:
    """Return a config as JSON values, without what cannot change results."""
    found = _plain(plain_config(cfg), "")
    return found if isinstance(found, dict) else {}


def values_read(plan: Plan, record: StepRecord) -> dict[str, Any]:
    """Return the keys of the config that a step rests on, its own and the common ones, with their values."""
    keys = sorted({*plan.basis.reads, *record.reads})
    return {key: value_of(plan.basis.config, key) for key in keys}


def difference(
    there: Plan, record: StepRecord, environment: Environment, here: Plan, step: PlanStep, now: Environment
) -> str:
    """Return what a step rested on, beside its inputs, that is not the same here, in words; empty: nothing.

    Args:
        there: The plan of the run that did the step.
        record: The record of the step.
        environment: What it ran with.
        here: The plan of the run that would do it.
        step: The same step there.
        now: What it would run with.
    """
    if there.basis.scheduler != here.basis.scheduler:
        return f"it was a step of {there.basis.scheduler}"
    for key, was in values_read(there, record).items():
        found = value_of(here.basis.config, key)
        if was != found:
            return _changed(key or "the config", was, found)
    found = Inputs(tasks=there.basis.tasks).difference(Inputs(tasks=here.basis.tasks))
    if found:
        return found
    if there.seed != here.seed:
        return _changed("seed", there.seed, here.seed)
    if record.threads != here.threads_of(step):
        return _changed("its threads", record.threads, here.threads_of(step))
    return environment.difference(now)


def _changed(what: str, was: Any, found: Any) -> str:
    if isinstance(was, Mapping) and isinstance(found, Mapping):
        for name in sorted({*was, *found}):
            if was.get(name) != found.get(name):
                inner = f"{what}.{name}" if what != "the config" else name
                return _changed(inner, was.get(name), found.get(name))
    return f"{what.rstrip('.*')} was {was!r} and is {found!r}"


def _within(key: str, parents: Iterable[str]) -> bool:
    return any(key == parent or key.startswith(f"{parent}.") for parent in parents)


def _plain(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        inner = {str(name): (f"{key}.{name}" if key else str(name), item) for name, item in value.items()}
        return {
            name: _plain(item, full)
            for name, (full, item) in inner.items()
            if counts(full) or any(_within(fixed, [full]) for fixed in FIXED)
        }
    if isinstance(value, list):
        return [_plain(item, key) for item in value]
    if isinstance(value, Enum):
        return value.name
    plain = value is None or isinstance(value, (bool, int, str))
    return value if plain or (isinstance(value, float) and math.isfinite(value)) else repr(value)
