"""What runs have stored, as pieces of HTML: runs, scores, learning curves, models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mml_report.charts import line_chart
from mml_report.content import Content
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


def leading_metric(metrics: pd.DataFrame) -> str | None:
    """Return the metric that a task's saved predictions were measured by first."""
    names = metrics.loc[metrics["epoch"].isna() & metrics["class_name"].isna(), "metric"]
    return str(names.iloc[0]) if len(names) else None


def scores(metrics: pd.DataFrame, content: Content, task: str) -> str:
    """Metrics of saved predictions: of one model with its interval, of several as mean and deviation."""
    kept = metrics[metrics["epoch"].isna() & metrics["class_name"].isna()]
    names = list(dict.fromkeys(kept["metric"]))[:METRICS]
    rows = [
        (run, made_by, split, *(_score(found[found["metric"] == name]) for name in names))
        for run, made_by, files in _sets(kept, content)
        for split in SPLITS
        if len(found := files[files["split"] == split])
    ]
    several = any("by fold" in str(row[1]) for row in rows)
    return table(
        f"Metrics of {task} with their confidence intervals"
        + ("; of several folds mean ± standard deviation over the folds" if several else ""),
        ("run", "models", "split", *names),
        rows,
        "scores",
    )


def _sets(kept: pd.DataFrame, content: Content) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield run, models and rows: the folds of a training together, what else there is file by file."""
    modes = dict(zip(content.runs["run"], content.runs["mode"], strict=True))
    for run, rows in kept.groupby("run", sort=True):
        count = rows["fold"].nunique()
        if modes.get(str(run)) in TRAINING_MODES and count > 1:
            yield str(run), f"{count} by fold", rows
        else:
            for (path, _), found in rows.groupby(["path", "fold"], sort=True):
                word, fold = content.measured.get(str(path), ""), _fold(int(found["fold"].iloc[0]))
                yield str(run), f"{word}, {fold}" if word else fold, found


def _fold(fold: int) -> str:
    return f"fold {fold}" if fold >= 0 else "all folds"


def _score(found: pd.DataFrame) -> str | None:
    values = found["value"].astype(float)
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    if len(values) > 1:
        deviation = f"{known.std(ddof=1):.4f}" if len(known) > 1 else "-"
        return f"{known.mean():.4f} ± {deviation}"
    low, high = found["low"].iloc[0], found["high"].iloc[0]
    interval = f" [{low:.4f}, {high:.4f}]" if pd.notna(low) and pd.notna(high) else ""
    return f"{known.iloc[0]:.4f}{interval}"


def curves(metrics: pd.DataFrame, task: str) -> str:
    """The loss of each training over its epochs, and the metric that leads in tables."""
    history = metrics[metrics["epoch"].notna()]
    names = list(dict.fromkeys(history["metric"]))
    shown = [name for name in ("loss", *(name for name in names if "loss" not in name)) if name in names][:2]
    drawn, left_out = [], 0
    for name in shown:
        lines = list(_lines(history[history["metric"] == name]))
        left_out = max(left_out, len(lines) - LINES)
        chart = line_chart(
            dict(lines[-LINES:]), x="epoch", y=name, title=f"{name} of {task} by epoch", whole_x=True
        )
        drawn += (
            [f"<figure><figcaption>Learning curves: {text(name)}</figcaption>{chart}</figure>"]
            if chart
            else []
        )
    more = note(f"{left_out} lines of older trainings are left out.") if left_out > 0 else ""
    return "".join(drawn) + more

    return f"Learning curves: {text(name)}"


def _lines(history: pd.DataFrame) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    runs = history["run"].nunique() > 1
    seen: dict[str, int] = {}
    for (run, path, split), rows in history.groupby(["run", "path", "split"], sort=True):
        label = f"{split}, fold {rows['fold'].iloc[0]}" + (f", run …{str(run)[-4:]}" if runs else "")
        seen[label] = seen.get(label, 0) + 1
        label += f" ({Path(str(path)).stem[-4:]})" if seen[label] > 1 else ""
        ordered = rows.sort_values("epoch")
        yield label, list(zip(ordered["epoch"].astype(float), ordered["value"].astype(float), strict=True))


def models(content: Content) -> str:
    """The stored models."""
    rows = [
        (row["model"], row["task"], int(row["fold"]), row["created"], row["run"], int(row["bytes"]) / 2**20)
        for row in content.models.to_dict("records")
    ]
    return table("Models", ("model", "task", "fold", "created", "run", "MiB"), rows)
