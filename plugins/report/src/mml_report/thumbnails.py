"""Small pictures of samples, inside the page."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mml_core.api import MMLError, MMLFileManager, read_image
from mml_report.html import Markup, attribute, text

if TYPE_CHECKING:
    from mml_core.api import Project, TaskDescription
    from mml_report.judging import Sample

Array = NDArray[Any]
SIDE = 96
"""Of the longer side, in pixels."""
SHARP = 32
"""Images with a longer side of at most so many pixels are kept as they are, and shown enlarged."""
TRUE, SAID = (16, 163, 127), (219, 39, 119)
"""Colours of outlines."""


class Thumbnails:
    """Draws samples of the tasks that are installed; to be closed after use.

    Args:
        project: Whose tasks; None: no picture can be drawn.
    """

    def __init__(self, project: Project | None) -> None:
        self._known: dict[str, tuple[TaskDescription, dict[str, int]] | str] = {}
        self._manager: MMLFileManager | None = None
        if project is not None:
            self._manager = MMLFileManager(
                data=project.data,
                results=project.path.parent,
                project=project.name,
                plugins=project.plugins,
            )

    def close(self) -> None:
        """Close the file manager by which tasks are looked up."""
        if self._manager is not None:
            self._manager.close()

    def draw(self, task: str, sample: Sample) -> Markup:
        """Return an image, or two with the outlines of both masks, or why there is none."""
        try:
            picture = self._picture(task, sample.sample_id)
            drawn = [(picture, f"{sample.sample_id}, true {sample.true}, predicted {sample.said}")]
            if sample.masks is not None:
                true, said = sample.masks
                drawn = [
                    (_outlined(picture, true, TRUE), f"{sample.sample_id} with the outline of the true mask"),
                    (_outlined(picture, said, SAID), "the same with that of the predicted mask"),
                ]
        except (MMLError, OSError, ValueError) as error:
            return Markup(f'<span class="note">{text(_why(error))}</span>')
        return Markup("".join(_element(*each) for each in drawn))

    def _picture(self, task: str, sample_id: str) -> Image.Image:
        found = self._task(task.rpartition("@")[2].partition("+")[0])  # a tag copies no image
        if isinstance(found, str):
            raise ValueError(found)
        description, rows = found
        if sample_id not in rows:
            raise ValueError("the task has no such sample any more")
        image = description.samples.text("image", rows[sample_id])
        return _small(read_image(description.dataset_root / str(image)))

    def _task(self, name: str) -> tuple[TaskDescription, dict[str, int]] | str:
        if name not in self._known:
            self._known[name] = self._look_up(name)
        return self._known[name]

    def _look_up(self, name: str) -> tuple[TaskDescription, dict[str, int]] | str:
        if self._manager is None:
            return "no image"
        try:
            description = self._manager.load_struct(name).description
            names = description.samples.column("sample_id").to_pylist()
        except MMLError:
            return f"the task {name} is not installed any more, or damaged"
        return description, {each: row for row, each in enumerate(names)}


def _why(error: Exception) -> str:
    return f"no image: {str(error).splitlines()[0] if str(error) else type(error).__name__}"


def _small(pixels: Array) -> Image.Image:
    """Return an image (H, W, C) of any depth as 8 bits of grey or colour, at most `SIDE` wide and high."""
    values = np.asarray(pixels)
    values = values[:, :, None] if values.ndim == 2 else values
    values = values[:, :, : 3 if values.shape[2] >= 3 else 1]
    if values.dtype != np.uint8:
        low, high = float(values.min()), float(values.max())
        values = ((values - low) * (255.0 / (high - low or 1.0))).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(values[:, :, 0] if values.shape[2] == 1 else values))
    picture.thumbnail((SIDE, SIDE))
    return picture


def _outlined(picture: Image.Image, mask: Array, colour: tuple[int, int, int]) -> Image.Image:
    """Return the image, as large as may be, with the edges of a mask (H, W)."""
    factor = SIDE / max(picture.size)
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    pixels = np.array(picture.convert("RGB").resize(size, Image.Resampling.NEAREST))
    rows = np.arange(size[1]) * mask.shape[0] // size[1]
    columns = np.arange(size[0]) * mask.shape[1] // size[0]
    shown = mask[rows][:, columns]
    edge = np.zeros(shown.shape, dtype=bool)
    edge[:, 1:] |= shown[:, 1:] != shown[:, :-1]
    edge[:, :-1] |= shown[:, 1:] != shown[:, :-1]
    edge[1:] |= shown[1:] != shown[:-1]
    edge[:-1] |= shown[1:] != shown[:-1]
    pixels[edge] = colour
    return Image.fromarray(pixels)


def _element(picture: Image.Image, alt: str) -> str:
    kept = io.BytesIO()
    longer = max(picture.size)
    kind = "png" if longer <= SHARP else "jpeg"
    if kind == "png":
        picture.save(kept, "PNG", optimize=True)
    else:
        picture.save(kept, "JPEG", quality=80, subsampling=0)
    source = f"data:image/{kind};base64,{base64.b64encode(kept.getvalue()).decode()}"
    width, height = (max(1, round(each * SIDE / longer)) for each in picture.size)
    return f'<img src="{source}" alt="{attribute(alt)}" width="{width}" height="{height}">'
