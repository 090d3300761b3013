"""Heatmap, dendrogram and map of distances as PNG: the same numbers give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np

from mml_similarity.layouts import places_of, tree_of
from mml_similarity.table import Distances

MOST_VALUES = 12
"""Of more tasks the cells of a heatmap have no numbers."""
DOTS_PER_INCH = 120


def draw(kind: str, distances: Distances) -> bytes:
    """Draw one plot.

    Args:
        kind: ``heatmap``, ``dendrogram`` or ``map``.
        distances: Of at least two tasks.

    Returns:
        A PNG.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    side = 4 + 0.3 * len(distances.tasks)
    buffer = io.BytesIO()
    with rc_context({"font.family": "DejaVu Sans", "text.usetex": False}):
        figure = Figure(figsize=(side + 1, side), layout="constrained")
        _DRAWN[kind](figure, distances)
        figure.suptitle(f"{distances.distance}: {kind}", parse_math=False)
        # No version of matplotlib in the file, so that it is the same whenever it is drawn.
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def _draw_heatmap(figure: Any, distances: Distances) -> None:
    """Draw all distances, tasks in the order of the tree."""
    order = tree_of(distances.undirected)["leaves"]
    values = distances.values[np.ix_(order, order)]
    names = [distances.tasks[index] for index in order]
    axes = figure.subplots()
    image = axes.imshow(values, cmap="viridis")
    figure.colorbar(image, ax=axes, shrink=0.8)
    axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    if not distances.symmetric:
        axes.set(ylabel="from", xlabel="to")
    if len(names) > MOST_VALUES:
        return
    middle = (values.min() + values.max()) / 2
    for (row, column), value in np.ndenumerate(values):
        colour = "black" if value > middle else "white"
        axes.text(column, row, f"{value:.3g}", ha="center", va="center", color=colour, fontsize=7)


def _draw_dendrogram(figure: Any, distances: Distances) -> None:
    tree = tree_of(distances.undirected)
    axes = figure.subplots()
    for across, up in zip(tree["icoord"], tree["dcoord"], strict=True):
        axes.plot(up, across, color="#30507a")
    places = [10 * position + 5 for position in range(len(distances.tasks))]
    axes.set_yticks(places, [distances.tasks[index] for index in tree["leaves"]], parse_math=False)
    axes.set(xlabel=f"{distances.distance}, average linkage")
    axes.set_xlim(left=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _draw_map(figure: Any, distances: Distances) -> None:
    places = places_of(distances.undirected)
    axes = figure.subplots()
    axes.scatter(places[:, 0], places[:, 1], color="#30507a")
    for name, (x, y) in zip(distances.tasks, places, strict=True):
        axes.annotate(name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8, parse_math=False)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.15)
    axes.set(xlabel="classical multidimensional scaling")


_DRAWN: dict[str, Callable[[Any, Distances], None]] = {
    "heatmap": _draw_heatmap,
    "dendrogram": _draw_dendrogram,
    "map": _draw_map,
}
