"""One HTML page over all distances of a run: heatmap and map that answer the pointer, without network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from mml_similarity.layouts import places_of, tree_of
from mml_similarity.table import Distances

_PLACE = "__DISTANCES__"


def page_of(measured: Sequence[Distances]) -> str:
    """Return a page whose reader chooses a distance, points at cells, and clicks on tasks.

    The same distances give the same text. It loads nothing, and asks its browser not to.

    Args:
        measured: At least one, each of at least two tasks.
    """
    data = json.dumps([_described(each) for each in measured], sort_keys=True)
    template = files("mml_similarity").joinpath("page.html").read_text(encoding="utf-8")
    # A name of a task may hold what would end the script.
    return template.replace(_PLACE, data.replace("<", "\\u003c"))


def _described(distances: Distances) -> dict[str, Any]:
    return {
        "distance": distances.distance,
        "tasks": list(distances.tasks),
        "values": distances.values.tolist(),
        "order": [int(each) for each in tree_of(distances.undirected)["leaves"]],
        "places": places_of(distances.undirected).tolist(),
        "samples": [int(each) for each in distances.samples],
        "symmetric": distances.symmetric,
    }
