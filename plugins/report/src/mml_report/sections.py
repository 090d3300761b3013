"""What runs have stored, as pieces of HTML: runs, scores, learning curves, models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from mml_report.charts import line_chart
from mml_report.content import Content, Row, grouped
from mml_report.html import note, table, text
from mml_report.sets import SPLITS

TRAINING_MODES = ("train", "transfer")
LINES = 12
"""So many lines a chart has, those of the newest trainings; more cannot be told apart."""
METRICS = 12
"""So many metrics a table of scores has side by side."""


def overview(content: Content) -> str:
    """The runs, and the state of each."""
    if not len(content.runs):
        return note("The project has no runs yet: mml run --mode=train --tasks NAME starts one.")
    rows = [
        (
            row["run"],
            row["mode"],
            row["state"],
            f"{row['steps_done']}/{row['steps']}",
            f"{row['created']:%Y-%m-%d %H:%M} UTC" if pd.notna(row["created"]) else None,
            _duration(row["seconds"]),
        )
        for row in content.runs.to_dict("records")
    ]
    return table("Runs", ("run", "mode", "state", "steps", "begun", "duration"), rows)


def _duration(seconds: Any) -> str | None:
    if seconds is None or pd.isna(seconds):
        return None
    whole = round(float(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def leading_metric(rows: Sequence[Row]) -> str | None:
    """Return the metric that a task's saved predictions were measured by first."""
    return next((str(row["metric"]) for row in rows if _whole(row)), None)


def _whole(row: Row) -> bool:
    """Whether a row is of saved predictions, and not of one class of them."""
    return row["epoch"] is None and row["class_name"] is None


def scores(rows: Sequence[Row], content: Content, task: str) -> str:
    """Metrics of saved predictions: of one model with its interval, of several as mean and deviation.

    Args:
        rows: The metrics of the task.
        content: What the page is made of.
        task: The task.
    """
    kept = [row for row in rows if _whole(row)]
    names = list(dict.fromkeys(row["metric"] for row in kept))
    lines = [
        (run, made_by, split, *(_score([row for row in found if row["metric"] == name]) for name in names))
        for run, made_by, files in _sets(kept, content)
        for split in SPLITS
        if (found := [row for row in files if row["split"] == split])
    ]
    several = any("by fold" in str(line[1]) for line in lines)
    shown, left_out = names[:METRICS], names[METRICS:]
    return table(
        f"Metrics of {task} with their confidence intervals"
        + ("; of several folds mean ± standard deviation over the folds" if several else ""),
        ("run", "models", "split", *shown),
        [line[: 3 + len(shown)] for line in lines],
        "scores",
    ) + note(f"Further metrics are left out: {', '.join(left_out)}." if left_out else "")


def _sets(kept: Sequence[Row], content: Content) -> Iterator[tuple[str, str, list[Row]]]:
    """Yield run, models and rows: the folds of a training together, what else there is file by file."""
    modes = content.modes
    for run, rows in grouped(kept, "run"):
        count = len({row["fold"] for row in rows})
        if modes.get(str(run)) in TRAINING_MODES and count > 1:
            yield str(run), f"{count} by fold", rows
        else:
            for (path, fold), found in grouped(rows, "path", "fold"):
                word, said = content.measured.get(str(path), ""), _fold(int(fold))
                yield str(run), f"{word}, {said}" if word else said, found


def _fold(fold: int) -> str:
    return f"fold {fold}" if fold >= 0 else "all folds"


def _score(found: Sequence[Row]) -> str | None:
    values = [float(row["value"]) for row in found if row["value"] is not None]
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return None
    if len(found) > 1:
        deviation = f"{stdev(known):.4f}" if len(known) > 1 else "-"
        return f"{fmean(known):.4f} ± {deviation}"
    low, high = found[0]["low"], found[0]["high"]
    interval = "" if low is None or high is None else f" [{low:.4f}, {high:.4f}]"
    return f"{known[0]:.4f}{interval}"


def curves(rows: Sequence[Row], task: str) -> str:
    """The loss of each training over its epochs, and the metric that leads in tables.

    Args:
        rows: The metrics of the task.
        task: The task.
    """
    history = [row for row in rows if row["epoch"] is not None]
    names = list(dict.fromkeys(row["metric"] for row in history))
    shown = [name for name in ("loss", *(name for name in names if "loss" not in name)) if name in names][:2]
    drawn, left_out = [], 0
    for name in shown:
        lines = list(_lines([row for row in history if row["metric"] == name]))
        left_out = max(left_out, len(lines) - LINES)
        chart = line_chart(
            dict(lines[-LINES:]), x="epoch", y=name, title=f"{name} of {task} by epoch", whole_x=True
        )
        if chart:
            drawn.append(f"<figure><figcaption>Learning curves: {text(name)}</figcaption>{chart}</figure>")
    others = [name for name in names if name not in shown]
    if left_out > 0:
        drawn.append(note(f"{left_out} lines of older trainings are left out."))
    if others:
        drawn.append(note(f"Of each epoch there are also: {', '.join(others)}."))
    return "".join(drawn)


def _lines(history: Sequence[Row]) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    runs = len({row["run"] for row in history}) > 1
    seen: dict[str, int] = {}
    for (run, path, split), rows in grouped(history, "run", "path", "split"):
        label = f"{split}, fold {rows[0]['fold']}" + (f", run …{str(run)[-4:]}" if runs else "")
        seen[label] = seen.get(label, 0) + 1
        label += f" ({Path(str(path)).stem[-4:]})" if seen[label] > 1 else ""
        points = [(float(row["epoch"]), float(row["value"])) for row in rows if row["value"] is not None]
        yield label, sorted(points, key=lambda point: point[0])


def models(content: Content) -> str:
    """The stored models."""
    rows = [
        (row["model"], row["task"], int(row["fold"]), row["created"], row["run"], int(row["bytes"]) / 2**20)
        for row in content.models.to_dict("records")
    ]
    return table("Models", ("model", "task", "fold", "created", "run", "MiB"), rows)
