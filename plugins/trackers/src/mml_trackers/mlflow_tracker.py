"""MLflow: a run of mml is a run there, each of its tasks and folds a nested one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from mml_trackers.journal import StepTrack
from mml_trackers.options import MLflowOptions
from mml_trackers.tracked import End, Point, Unit, clean, flatten, units_of

_STATUS = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "killed": "KILLED"}
_LONGEST_PARAM, _LONGEST_TAG = 6000, 5000
_PARAMS, _METRICS = 100, 1000  # what one request may hold


class MLflowTracker:
    """Copies the journal of a run to MLflow.

    Runs are found again by their tags, so that a run that goes on, wherever, goes on there, too; points that
    are there are not told twice.

    Args:
        options: Where to, and what.
        run: What the journal says of the run.
    """

    def __init__(self, options: MLflowOptions, run: dict[str, Any]) -> None:
        # Experiments with patients' data send nothing to third parties; a server that is down costs seconds.
        for name, value in (
            ("MLFLOW_DISABLE_TELEMETRY", "true"),
            ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"),
            ("MLFLOW_HTTP_REQUEST_TIMEOUT", "15"),
        ):
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        self._options = options
        self._run = run
        self._project_path = Path(run["project_path"])
        results = self._project_path.parent
        uri = options.uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{results / 'mlflow.db'}"
        self._client = MlflowClient(uri)
        self._logged: dict[str, set[tuple[str, int]]] = {}
        self._children: dict[tuple[str | None, str | None], str] = {}
        self._experiment = self._find_experiment(results if uri.startswith("sqlite:") else None)
        self._parent = self._find_run({"mml.kind": "run"}, run["id"])
        self._log_params(self._parent, flatten(run["config"]))

    def update(self, steps: list[StepTrack]) -> None:
        """Copy what there is while the run goes on."""
        whole, units = units_of(steps)
        self._log_points(self._parent, whole.points())
        for unit in units:
            self._log_points(self._child(unit), unit.points())

    def finish(self, steps: list[StepTrack], end: End) -> None:
        """Copy what there is, and how the run ended."""
        self.update(steps)
        for unit in units_of(steps)[1]:
            child = self._child(unit)
            ids = " ".join(step.id for step in unit.steps)
            self._client.set_tag(child, "mml.step", ids[:_LONGEST_TAG])
            state = end.state if unit.state == "running" else unit.state
            self._client.set_terminated(child, _STATUS[state])
        ended = max((step.ended for step in steps), default=0.0)
        numbers = [Point(clean(name), 0, value, ended) for name, value in sorted(end.numbers.items())]
        self._log_points(self._parent, numbers)
        if end.error:
            self._client.set_tag(self._parent, "mml.error", end.error[:_LONGEST_TAG])
        if end.artefacts:
            self._client.log_dict(self._parent, {"files": end.artefacts}, "artefacts.json")
        for each in end.artefacts:
            if each["key"] in self._options.copy:
                folder = "/".join(filter(None, (each["key"], each["task"])))
                self._client.log_artifact(self._parent, str(self._project_path / each["path"]), folder)
        self._client.set_terminated(self._parent, _STATUS[end.state])

    def _find_experiment(self, results: Path | None) -> str:
        from mlflow.exceptions import MlflowException

        name = self._options.experiment or self._run["project"]
        found = self._client.get_experiment_by_name(name)
        if found is None:
            place = None if results is None else (results / "mlartifacts" / clean(name)).as_uri()
            try:
                return str(self._client.create_experiment(name, artifact_location=place))
            except MlflowException:  # another run has made it at the same time
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _find_run(self, tags: dict[str, str], name: str) -> str:
        """Return the run there that has these tags and is about this run; it is made where there is none."""
        tags = {"mml.project": self._run["project"], "mml.run": self._run["id"], **tags}
        wanted = " and ".join(f"tags.`{tag}` = '{_quoted(value)}'" for tag, value in tags.items())
        found = self._client.search_runs([self._experiment], wanted, max_results=1)
        if not found:
            made = self._client.create_run(
                self._experiment, run_name=name, tags={**tags, "mml.mode": self._run["mode"]}
            )
            self._logged[made.info.run_id] = set()
            return str(made.info.run_id)
        run_id = str(found[0].info.run_id)
        self._logged[run_id] = {
            (metric, point.step)
            for metric in found[0].data.metrics
            for point in self._client.get_metric_history(run_id, metric)
        }
        self._client.update_run(run_id, status="RUNNING")
        if "mml.error" in found[0].data.tags:
            self._client.delete_tag(run_id, "mml.error")
        return run_id

    def _child(self, unit: Unit) -> str:
        key = (unit.task, unit.fold)
        if key not in self._children:
            tags = {
                "mlflow.parentRunId": self._parent,
                "mml.kind": "task",
                "mml.task": f"{unit.task}",
                "mml.fold": f"{unit.fold or ''}",
            }
            child = self._find_run(tags, unit.label)
            params = {name: value for name, value in (("task", unit.task), ("fold", unit.fold)) if value}
            self._log_params(child, params)
            self._children[key] = child
        return self._children[key]

    def _log_params(self, run_id: str, params: dict[str, str]) -> None:
        from mlflow.entities import Param

        there = self._client.get_run(run_id).data.params  # they cannot be changed
        new = {clean(key): value for key, value in params.items() if clean(key) not in there}
        for some in _batches([Param(key, value[:_LONGEST_PARAM]) for key, value in new.items()], _PARAMS):
            self._client.log_batch(run_id, params=some)

    def _log_points(self, run_id: str, points: list[Point]) -> None:
        from mlflow.entities import Metric

        logged = self._logged[run_id]
        new = {(point.name, point.step): point for point in points if (point.name, point.step) not in logged}
        metrics = [Metric(each.name, each.value, int(each.time * 1000), each.step) for each in new.values()]
        for some in _batches(metrics, _METRICS):
            self._client.log_batch(run_id, metrics=some)
        logged |= new.keys()


def _batches(items: Sequence[Any], size: int) -> list[list[Any]]:
    rest = iter(items)
    return list(iter(lambda: list(islice(rest, size)), []))


def _quoted(text: str) -> str:
    return text.replace("'", "''")
