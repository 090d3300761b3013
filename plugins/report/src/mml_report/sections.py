"""The sections of a page, each a piece of HTML; empty where there is nothing to show."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mml_report.charts import line_chart
from mml_report.content import SPLITS, Content

BINS = 15
"""Of equal width, as for the metric ``ece``."""
MOST_CLASSES = 30
"""A confusion matrix of more classes is left out."""
EXTREMES = 8
"""So many samples of the most and the least certain."""


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table; cells that are numbers stand to the right."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{escape(str(name))}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(value: Any) -> str:
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return "<td>-</td>"
    if isinstance(value, (int, float, np.number)):
        return f'<td class="number">{value:.4g}</td>'
    return f"<td>{escape(str(value))}</td>"


def overview(content: Content) -> str:
    """The runs, the state of each, and what to type next."""
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
    text = table("Runs", ("run", "mode", "state", "steps", "begun", "duration"), rows)
    if content.described and content.described.get("continue_with"):
        text += f"<p>Go on with it: <code>{escape(str(content.described['continue_with']))}</code></p>"
    return text


def _duration(seconds: Any) -> str | None:
    if seconds is None or pd.isna(seconds):
        return None
    whole = round(float(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def scores(content: Content, task: str) -> str:
    """Metrics of saved predictions: of one model with its interval, of several as mean and deviation."""
    metrics = content.metrics
    kept = metrics[(metrics["task"] == task) & metrics["epoch"].isna() & metrics["class_name"].isna()]
    names = list(dict.fromkeys(kept["metric"]))
    rows = [
        (run, made_by, split, *(_score(found[found["metric"] == name]) for name in names))
        for run, made_by, files in _sets(content, kept)
        for split in SPLITS
        if len(found := files[files["split"] == split])
    ]
    return table(
        f"Metrics of {task}: one model with its confidence interval, several as mean ± standard deviation",
        ("run", "models", "split", *names),
        rows,
    )


def _sets(content: Content, kept: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield run, models and rows: the folds of a training together, what else there is file by file."""
    modes = dict(zip(content.runs["run"], content.runs["mode"], strict=True))
    for run, rows in kept.groupby("run", sort=True):
        if modes.get(run) in ("train", "transfer"):
            yield str(run), f"{rows['fold'].nunique()} by fold", rows
        else:
            for path, found in rows.groupby("path", sort=True):
                yield str(run), Path(path).stem, found


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


def curves(content: Content, task: str) -> str:
    """The loss of each training over its epochs, and the metric that leads in tables."""
    metrics = content.metrics
    history = metrics[(metrics["task"] == task) & metrics["epoch"].notna()]
    names = list(dict.fromkeys(history["metric"]))
    shown = [name for name in ("loss", *(name for name in names if "loss" not in name)) if name in names][:2]
    return "".join(
        f"<figure>{drawn}</figure>"
        for name in shown
        if (
            drawn := line_chart(
                dict(_lines(history[history["metric"] == name])),
                x="epoch",
                y=name,
                title=f"{name} of {task} by epoch",
            )
        )
    )


def _lines(history: pd.DataFrame) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    several = history["path"].nunique() > 1
    for (split, path), rows in history.groupby(["split", "path"], sort=True):
        number = path.rpartition("_")[2].partition(".")[0]
        label = f"{split}, fold {rows['fold'].iloc[0]}" + (f" ({number})" if several else "")
        ordered = rows.sort_values("epoch")
        yield label, list(zip(ordered["epoch"].astype(float), ordered["value"].astype(float), strict=True))


def confusion(content: Content, task: str) -> str:
    """How many samples of each class were put into each, over all models of a task."""
    rows = _of(content, task)
    classes = sorted({*rows["target"], *rows["prediction"]})
    if not len(rows) or len(classes) > MOST_CLASSES:
        return ""
    counts = pd.crosstab(rows["target"], rows["prediction"]).reindex(
        index=classes, columns=classes, fill_value=0
    )
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in classes)
    body = []
    for name in classes:
        whole = max(1, int(counts.loc[name].sum()))
        cells = "".join(
            f'<td class="number" style="--share:{int(count) / whole:.2f}">{int(count)}</td>'
            for count in counts.loc[name]
        )
        body.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    caption = f"Confusion of {escape(task)} on {escape(_split(rows))}: rows are true, columns predicted"
    return (
        f'<div class="wide"><table class="confusion"><caption>{caption}</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def calibration(content: Content, task: str) -> str:
    """How often models are right that state a probability, in bins."""
    rows = _of(content, task)
    if not len(rows):
        return ""
    stated, right = _stated(rows)
    bins = np.minimum((stated * BINS).astype(int), BINS - 1)
    points = [
        (float(stated[bins == place].mean()), float(right[bins == place].mean())) for place in np.unique(bins)
    ]
    gaps = [
        abs(a - b) * float((bins == place).mean())
        for place, (a, b) in zip(np.unique(bins), points, strict=True)
    ]
    drawn = line_chart(
        {f"calibration on {_split(rows)} (ECE {sum(gaps):.4f})": points},
        x="probability of the predicted class",
        y="share that is right",
        title=f"calibration of {task}",
        square=True,
    )
    return f"<figure>{drawn}</figure>"


def extremes(content: Content, task: str) -> str:
    """The samples whose true class the models find the least probable, and the most."""
    rows = _of(content, task)
    if not len(rows):
        return ""
    true = np.array([found[name] for found, name in zip(rows["probabilities"], rows["target"], strict=True)])
    order = np.argsort(true, kind="stable")
    columns = ("sample", "subject", "true", "predicted", "probability of the true class", "fold")

    def shown(places: Any) -> list[tuple[Any, ...]]:
        return [
            (
                row["sample_id"],
                row["subject_id"],
                row["target"],
                row["prediction"],
                float(true[place]),
                int(row["fold"]),
            )
            for place in places
            for row in [rows.iloc[place].to_dict()]
        ]

    return table(f"Worst samples of {task}", columns, shown(order[:EXTREMES])) + table(
        f"Best samples of {task}", columns, shown(order[::-1][:EXTREMES])
    )


def models(content: Content) -> str:
    """The stored models."""
    rows = [
        (row["model"], row["task"], int(row["fold"]), row["created"], row["run"], int(row["bytes"]) / 2**20)
        for row in content.models.to_dict("records")
    ]
    return table("Models", ("model", "task", "fold", "created", "run", "MiB"), rows)


def record(content: Content) -> str:
    """Of one run: what was typed, who drove it, its versions, steps, failures and config."""
    found = content.described
    if not found:
        return ""
    sessions = [
        (each["session"], each["by"], ", ".join(each["overrides"]), ", ".join(each["accepted"]))
        for each in found["sessions"]
    ]
    steps = [(each["step"], each["state"]) for each in found["plan"]]
    failures = [(each["step"], each["error"]) for each in found["failures"]]
    command = " ".join(found.get("started_by") or ())
    parts = [
        f"<p><code>{escape(command)}</code></p>" if command else "",
        table("Failures", ("step", "error"), failures),
        table(
            "Sessions: the processes that drove the run", ("begun", "by", "overrides", "accepted"), sessions
        ),
        table("Versions", ("of", "version"), sorted((found.get("versions") or {}).items())),
        table("Steps", ("step", "state"), steps),
    ]
    if content.config:
        parts.append(f"<details><summary>Config</summary><pre>{escape(content.config)}</pre></details>")
    return "".join(parts)


def _of(content: Content, task: str) -> pd.DataFrame:
    return content.predictions[content.predictions["task"] == task]


def _split(rows: pd.DataFrame) -> str:
    return f"{rows['split'].iloc[0]}, run {rows['run'].iloc[0]}"


def _stated(rows: pd.DataFrame) -> tuple[Any, Any]:
    pairs = zip(rows["probabilities"], rows["prediction"], strict=True)
    stated = np.array([found[name] for found, name in pairs])
    return stated, (rows["target"] == rows["prediction"]).to_numpy()
