"""The page: its sections in order, with all it needs inside."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from importlib.resources import files

from mml_report import predicted, sections
from mml_report.comparing import Ranked, against_best, over_tasks, rank
from mml_report.content import Content, Row
from mml_report.html import attribute, note, text
from mml_report.record import records
from mml_report.sets import ModelSet, load
from mml_report.thumbnails import Thumbnails

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a browser may load: nothing from anywhere."""
PICTURES = 240
"""About so many samples have a picture on a page; those of many tasks share them."""
EXTREMES = 8
"""So many samples of the worst and of the best are shown of a task at most."""


def render(content: Content) -> str:
    """Return the page as HTML text; the same content gives the same text."""
    count = max(1, min(EXTREMES, PICTURES // (2 * max(1, len(content.tasks)))))
    ranks: list[Ranked] = []
    by_task = content.metrics_by_task()
    with closing(Thumbnails(content.project)) as pictures:
        parts = [
            (task, _task(content, task, by_task.get(task, ()), pictures, count, ranks))
            for task in content.tasks
        ]
    parts.insert(0, ("Runs", sections.overview(content)))
    parts += [
        ("Over tasks", over_tasks(ranks)),
        ("Models", sections.models(content)),
        ("How it was made", records(content)),
    ]
    shown = [(f"s{number}", title, body) for number, (title, body) in enumerate(parts) if body]
    links = "".join(f'<li><a href="#{name}">{text(title)}</a></li>' for name, title, _ in shown)
    body = "".join(
        f'<section id="{name}"><h2>{text(title)}</h2>{drawn}</section>' for name, title, drawn in shown
    )
    title = text(content.title)
    plain = attribute(content.title)
    style = files("mml_report").joinpath("style.css").read_text(encoding="utf-8")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{plain}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<link rel="icon" href="data:,"><style>{style}</style></head><body><header><h1>{title}</h1>'
        f"<nav><ul>{links}</ul></nav></header><main>{body}</main></body></html>\n"
    )


def _task(
    content: Content,
    task: str,
    metrics: Sequence[Row],
    pictures: Thumbnails,
    count: int,
    ranks: list[Ranked],
) -> str:
    """Return the section of one task, and note how its models rank; its predictions are read here only.

    What is drawn of predictions is drawn of the best models.
    """
    listed = content.files.get(task, ())
    loaded = [(each.name, load(each)) for each in listed]
    found: list[ModelSet | tuple[str, str]] = [
        each if isinstance(each, ModelSet) else (name, each) for name, each in loaded
    ]
    shown = next((each for each in found if isinstance(each, ModelSet)), None)
    drawn = [sections.scores(metrics, content, task)]
    metric = sections.leading_metric(metrics)
    if metric is not None and found:
        ranked = rank(task, metric, found)
        ranks.append(ranked)
        drawn.append(against_best(ranked))
        shown = ranked.sets[0] if ranked.sets else shown
    drawn.append(sections.curves(metrics, task))
    if shown is None:
        drawn += [note(f"{name}: {why}") for name, why in loaded[:1] if isinstance(why, str)]
    else:
        classes = content.classes.get(task.partition("@")[0] if task not in content.classes else task, ())
        drawn += [
            predicted.confusion(shown, classes, task),
            predicted.calibration(shown, task),
            predicted.samples(shown, classes, task, pictures, count),
        ]
    return "".join(drawn)
