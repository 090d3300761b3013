"""What a training chooses by the validation fold, and when that fold must not be reported.

A fold that has chosen when a training stops, when its learning rate falls, or which of its weights are kept
is no longer unseen, and a score on it is too good. So that none is ever reported as that of unseen data:

- A run with the subroutine ``test`` is refused where a setting chooses by a value of the validation fold
  (``val/…``) and that fold is all there is to report: the task has no test split, and ``mode.nested`` is off.
- With a test split, or nested, it may choose: the test split or the outer fold is the result. Scores of the
  validation fold are shown with a mark, and the stored model says what has chosen by it (``selected_by``), so
  that a later run that only predicts and tests is held to the same.
- What is chosen by the training part (``train/loss``) does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError
from mml_core.learning.options import OptionError, section
from mml_core.learning.selection import EarlyStop, Monitor
from mml_core.schedulers.holdouts import Holdout

if TYPE_CHECKING:
    from mml_core.tasks.struct import TaskStruct

WEIGHTS = ("last", "best")
EARLY_STOPPING, PLATEAU, BEST = "callbacks.early_stopping", "lr_scheduler=plateau", "mode.weights=best"
GROUPS = {EARLY_STOPPING: EARLY_STOPPING, PLATEAU: "lr_scheduler", BEST: "mode"}
"""Setting → where its monitor stands in the config."""


class LeakError(MMLError):
    """What is reported would have taken part in the training."""


def best_monitor(cfg: Any) -> Monitor | None:
    """Return what the best weights are chosen by; None where the last ones are kept.

    Raises:
        OptionError: ``mode.weights``, ``mode.monitor`` or ``mode.direction`` is impossible.
    """
    weights = cfg["mode"].get("weights", "last")
    if weights not in WEIGHTS:
        raise OptionError(f"mode.weights must be {' or '.join(WEIGHTS)}, found {weights!r}.")
    if weights == "last":
        return None
    mode = cfg["mode"]
    return Monitor.of("mode", mode.get("monitor", "val/loss"), mode.get("direction", "auto"))


def selectors(cfg: Any) -> dict[str, Monitor]:
    """Return the settings that decide about a training by what it logs, and what each looks at.

    Raises:
        OptionError: One of them is impossible.
    """
    found = {}
    stop = EarlyStop.from_config(section(cfg, "callbacks").get("early_stopping"))
    if stop is not None:
        found[EARLY_STOPPING] = Monitor.of(EARLY_STOPPING, stop.monitor, stop.direction)
    schedule = section(cfg, "lr_scheduler")
    if schedule.get("name") == "plateau":
        from mml_core.learning.optimisation import plateau_monitor

        plateau = plateau_monitor(schedule)
        if plateau is not None:
            found[PLATEAU] = plateau
    best = best_monitor(cfg)
    if best is not None:
        found[BEST] = best
    return found


def selected_by(found: Mapping[str, Monitor]) -> list[str]:
    """Return those settings that look at the validation fold."""
    return [setting for setting, monitor in found.items() if monitor.sees_validation]


def refuse_leak(settings: Iterable[str], struct: TaskStruct, holdout: Holdout) -> None:
    """Refuse to report the fold that has been chosen by.

    Args:
        settings: What has chosen, or will choose, by the validation fold.
        struct: The task.
        holdout: What the training holds out.

    Raises:
        LeakError: There is nothing else to report.
    """
    names = list(settings)
    if names and holdout.outer is None and not struct.num_samples.get("test"):
        raise LeakError(
            f"{' and '.join(names)} would choose by fold {holdout.fold} of task '{struct.name}', which is"
            " also what is reported, as the task has no test split: its scores would be too good. Set"
            " mode.nested=true, which reports another fold, or leave out the subroutine test."
        )
