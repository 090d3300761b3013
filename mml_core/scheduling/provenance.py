"""The provenance of what a step made: what it was called with, what it used, and what it ran with."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from mml_core.errors import MMLError
from mml_core.scheduling import values
from mml_core.scheduling.environments import Environment
from mml_core.scheduling.fingerprints import values_read
from mml_core.scheduling.ledger import StepRecord
from mml_core.scheduling.plan import Plan, describe_call


def provenance_of(plan: Plan, record: StepRecord, environments: Path) -> dict[str, Any]:
    """Return the provenance of a step as JSON values, from what its run has stored.

    Args:
        plan: The plan of the run.
        record: The record of the step.
        environments: The folder of the records of what steps ran with.
    """
    found: dict[str, Any] = {
        "name": describe_call(record.method, values.decode(record.params)),
        "method": record.method,
        "params": values.decode(record.params),
        "scheduler": plan.basis.scheduler,
        "config": values_read(plan, record),
        "config_sha256": plan.config_sha256,
        "inputs": msgspec.to_builtins(record.inputs),
        "seed": plan.seed,
        "step_seed": record.seed,
        "threads": record.threads,
        "attempt": record.attempt,
        "host": record.host,
        "started": record.started,
        "seconds": record.seconds,
    }
    with suppress(MMLError, OSError, msgspec.DecodeError):  # what cannot be read is left out
        found |= msgspec.to_builtins(Environment.load(environments, record.environment))
    if record.taken is not None:
        found["taken"] = msgspec.to_builtins(record.taken)
    return found
