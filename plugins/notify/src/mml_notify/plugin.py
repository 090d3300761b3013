"""What this distribution contributes to mml: an observer of how runs end, and a health check."""

from __future__ import annotations

from mml_core.plugins import HealthCheck, Outcome, RunView, hookimpl

MML_PLUGIN_API = 1


@hookimpl
def mml_run_started(run: RunView) -> None:
    """Warn early of settings that cannot work, and tell that a run begins where that is wanted."""
    if run.dir is not None:
        from mml_notify.telling import tell_start

        tell_start(run)


@hookimpl
def mml_run_finished(run: RunView, outcome: Outcome) -> None:
    """Tell how a run ended."""
    if run.dir is not None:
        from mml_notify.telling import tell_end

        tell_end(run, outcome)


@hookimpl
def mml_health_checks() -> list[HealthCheck]:
    """Check the settings; nothing is sent."""
    return [
        HealthCheck(
            name="notify",
            run="mml_notify.health:check",
            summary="who is told how runs end, and whether the settings hold",
        )
    ]
