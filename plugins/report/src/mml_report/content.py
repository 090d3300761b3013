"""What a page is made of: the tables of a project, of one run or of all."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mml_core.api import describe_run

if TYPE_CHECKING:
    from mml_core.api import Project


SPLITS = ("test", "outer", "val")
"""Where models are measured, the most telling first."""
_FOLD = re.compile(r"^fold\d+(-outer\d+)?|_\d{4,}$")


@dataclass(frozen=True, kw_only=True)
class Content:
    """Tables as `mml_core.api.Project` gives them.

    Attributes:
        project: The project's name.
        runs: The runs that are shown.
        metrics: Their metrics: histories of trainings and scores of predictions.
        predictions: Of each classification those of one set of models on one split, see `collect`.
        models: Their models.
        described: Of a single run what `describe_run` tells; None for a project.
        config: Of a single run its config; empty for a project.
    """

    project: str
    runs: pd.DataFrame
    metrics: pd.DataFrame
    predictions: pd.DataFrame
    models: pd.DataFrame
    described: dict[str, Any] | None = None
    config: str = field(default="")

    @property
    def title(self) -> str:
        """What the page is about."""
        return f"run {self.described['run']}" if self.described else f"project {self.project}"

    @property
    def tasks(self) -> list[str]:
        """Tasks that were measured or predicted, sorted."""
        return sorted({*self.metrics["task"], *self.predictions["task"]})


def collect(project: Project, run: str | None = None) -> Content:
    """Read what a page shows.

    Of predictions it is those of the newest run of each task, on the test split where there is one.

    Args:
        project: The project.
        run: One run; None: all.

    Raises:
        RunDirectoryError: There is no such run.
        DamagedArtefactError: A file is not what its step committed.
    """
    described, config = None, ""
    tables = {name: getattr(project, name)() for name in ("runs", "metrics", "models", "predictions")}
    if run is not None:
        described = describe_run(project.path, run)
        run = str(described["run"])
        tables = {name: table[table["run"] == run] for name, table in tables.items()}
        stored = project.path / "runs" / run / "config.yaml"
        config = stored.read_text(encoding="utf-8") if stored.is_file() else ""
    tables["predictions"] = _of_classes(tables["predictions"])
    return Content(project=project.name, described=described, config=config, **tables)


def _of_classes(predictions: pd.DataFrame) -> pd.DataFrame:
    """Keep predictions of one class each whose class is known: of each task one split of one set of models.

    Models of several runs, or calibrated ones and those they were made of, are never counted together: those
    of the newest run are kept, and of that run those without a word in the names of their files.
    """
    kept = predictions[predictions["target"].map(lambda target: isinstance(target, str)).astype(bool)]
    chosen = []
    for _, rows in kept.groupby("task", sort=True):
        rows = rows[rows["run"] == rows["run"].max()]  # names of runs begin with their time
        words = rows["path"].map(lambda path: _FOLD.sub("", Path(path).stem))
        rows = rows[words == words.min()]
        splits = set(rows["split"])
        split = next((each for each in SPLITS if each in splits), None)
        chosen.append(rows[rows["split"] == split])
    return pd.concat(chosen) if chosen else kept
