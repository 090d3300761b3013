"""`mml run --plan`: the steps of a run, what each needs, and what is there already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mml_core.config.compose import Root
    from mml_core.plugins import PluginManager

_COLUMNS = ("step", "waits_for", "needs", "state")


def show_plan(
    overrides: Sequence[str],
    plugins: PluginManager,
    root: Root,
    *,
    as_json: bool,
    reasons: bool = False,
) -> int:
    """Print the plan of a run that would be started now; nothing is written.

    Args:
        overrides: The overrides of the config.
        plugins: The plugins of this process.
        root: Where the root config is.
        as_json: Whether to print JSON.
        reasons: Whether to say why steps cannot be taken over from other runs.
    """
    from mml_core.config.compose import compose, place
    from mml_core.config.validation import validate
    from mml_core.schedulers.tables import show
    from mml_core.scheduling.admission import check_job
    from mml_core.scheduling.context import RunContext
    from mml_core.scheduling.planning import plan_of

    cfg = compose(overrides, plugins, root)
    validate(cfg, plugins)
    check_job(cfg, plugins)
    rows = plan_of(cfg, RunContext(plugins=plugins, locations=place(cfg), run_dir=None))
    show(rows, _columns(reasons), as_json=as_json, empty="The plan has no steps.")
    return 0


def show_stored_plan(run_dir: Path, *, as_json: bool, reasons: bool = False) -> int:
    """Print the plan of a run that was begun, with what is done; nothing is written (see `show_plan`)."""
    from mml_core.schedulers.tables import show
    from mml_core.scheduling.planning import plan_of_run

    empty = f"The run {run_dir.name} has not been planned yet."
    rows = plan_of_run(run_dir, look_elsewhere=True)
    show(rows, _columns(reasons), as_json=as_json, empty=empty)
    return 0


def _columns(reasons: bool) -> Sequence[str]:
    return (*_COLUMNS, "why_not") if reasons else _COLUMNS
