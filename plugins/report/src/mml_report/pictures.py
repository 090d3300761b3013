"""Pictures that the steps of a run made, such as the heatmaps of a mode, inside the page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from mml_report.html import attribute, note, text

SUFFIXES = (".png",)
MOST, BYTES = 12, 4_000_000
"""So many pictures, and bytes of them together, a page has."""


def pictures(project: Path, files: Sequence[str]) -> str:
    """Return the pictures among the files of a run as figures; what is left out, or cannot be read, is named.

    Args:
        project: The project's folder.
        files: Relative to it.
    """
    found = [name for name in files if name.endswith(SUFFIXES)]
    drawn: list[str] = []
    left_out: list[str] = []
    room = BYTES
    for name in found:
        try:
            size = (project / name).stat().st_size
            if len(drawn) == MOST or size > room:
                left_out.append(name)
                continue
            source = base64.b64encode((project / name).read_bytes()).decode()
        except OSError as error:
            drawn.append(note(f"{name} cannot be read: {error.strerror or error}."))
            continue
        room -= size
        picture = f'<img class="whole" src="data:image/png;base64,{source}" alt="{attribute(name)}">'
        drawn.append(f"<figure><figcaption>{text(name)}</figcaption>{picture}</figure>")
    if left_out:
        drawn.append(note(f"Further pictures are left out: {', '.join(left_out)}."))
    return "".join(drawn)
