"""What a page is made of: the tables of a project, of one run or of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd

from mml_core.api import describe_run
from mml_report.configs import read_config
from mml_report.sets import OF_ALL, Files, files_of, word_of

if TYPE_CHECKING:
    from mml_core.api import Project

Row: TypeAlias = Mapping[str, Any]
"""A row of a table; what has no value is None."""
DESCRIBED = 20
"""Of so many runs, the newest, the record is shown in full."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """Tables as `mml_core.api.Project` gives them.

    Attributes:
        name: Name of the project.
        runs: The runs that are shown.
        metrics: Their metrics: histories of trainings and scores of predictions.
        files: By task the files of predictions that are counted together, the newest first.
        models: Their models.
        classes: By task the names of classes, labels or values.
        measured: File of metrics → what the predictions are called that its step saved beside it.
        single: Whether the page is about one run.
        described: What `describe_run` tells of the newest runs.
        configs: Run → its config; those that can be read.
        project: Where images are looked up and defaults composed; None: nowhere.
    """

    name: str
    runs: pd.DataFrame
    metrics: pd.DataFrame
    models: pd.DataFrame
    files: Mapping[str, Sequence[Files]] = field(default_factory=dict)
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    measured: Mapping[str, str] = field(default_factory=dict)
    single: bool = False
    described: Sequence[Mapping[str, Any]] = ()
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    project: Project | None = None

    @property
    def title(self) -> str:
        """What the page is about."""
        return f"run {self.runs['run'].iloc[0]}" if self.single else f"project {self.name}"

    @property
    def tasks(self) -> list[str]:
        """Tasks that were measured or predicted, sorted."""
        return sorted({*self.metrics["task"], *self.files})

    @property
    def modes(self) -> dict[str, str]:
        """Run → its mode."""
        return dict(zip(self.runs["run"], self.runs["mode"], strict=True))

    def metrics_by_task(self) -> dict[str, list[Row]]:
        """Return the rows of the metrics of each task."""
        known = self.metrics.astype(object).where(self.metrics.notna(), None)
        return dict(grouped(known.to_dict("records"), "task"))


def collect(project: Project, run: str | None = None) -> Content:
    """Read what a page shows; predictions themselves are read later, task by task.

    Args:
        project: The project.
        run: One run; None: all.

    Raises:
        UnknownRunError: There is no such run.
        DamagedArtefactError: A file is not what its step committed.
    """
    names = [run] if run is not None else project.runs()["run"].tolist()[::-1][:DESCRIBED]
    described = [describe_run(project.path, name) for name in names]
    tables = {name: getattr(project, name)() for name in ("runs", "metrics", "models")}
    files = project.files("predictions")
    if run is not None:
        tables = {name: table[table["run"] == run] for name, table in tables.items()}
        files = files[files["run"] == run]
    return Content(
        name=project.name,
        single=run is not None,
        described=described,
        configs={name: found for name in names if (found := read_config(project.path, name))},
        files=files_of(files),
        measured=_measured(files, project.files("metrics")),
        classes=project.classes(),
        project=project,
        **tables,
    )


def grouped(rows: Iterable[Row], *keys: str) -> list[tuple[Any, list[Row]]]:
    """Return the rows that agree in some columns together, sorted by these; the order of rows is kept.

    Args:
        rows: The rows; those without a value in one of the columns belong to no group.
        *keys: The columns; of several a group is known by a tuple.
    """
    found: dict[Any, list[Row]] = {}
    for row in rows:
        values = tuple(row[key] for key in keys)
        if None not in values:
            found.setdefault(values if len(keys) > 1 else values[0], []).append(row)
    return sorted(found.items(), key=lambda each: each[0])


def _measured(predictions: pd.DataFrame, metrics: pd.DataFrame) -> dict[str, str]:
    def step(row: Mapping[Any, Any]) -> tuple[Any, ...]:
        return row["run"], row["step"], row["task"]

    made = {step(row): word_of(row["path"]) for row in predictions.to_dict("records")}
    words = {row["path"]: made.get(step(row), "") for row in metrics.to_dict("records")}
    return {path: word.removesuffix(OF_ALL) for path, word in words.items()}
