"""Sets of models: the folds of one training, or what one step of postprocessing made of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mml_core.api import MMLError, load_predictions

if TYPE_CHECKING:
    import pandas as pd

    from mml_core.api import Predictions

SPLITS = ("test", "outer", "val")
"""Where models are measured, the most telling first."""
OF_ALL = " of all folds"
_FOLD = re.compile(r"^fold\d+(-outer\d+)?-?|_\d{4,}$")


@dataclass(frozen=True, kw_only=True)
class Files:
    """Files of predictions that are counted together.

    Attributes:
        task: The task.
        run: The run that made them.
        word: What their names say beside fold and number, such as ``calibrated``; mostly empty.
        paths: The files.
    """

    task: str
    run: str
    word: str
    paths: tuple[str, ...]

    @property
    def name(self) -> str:
        """What to call the models."""
        return f"{self.run} {self.word}".strip()


@dataclass(frozen=True, kw_only=True)
class ModelSet:
    """Predictions of a set of models on one split.

    Attributes:
        files: Where they come from.
        split: The split.
        parts: One of each fold.
    """

    files: Files
    split: str
    parts: Sequence[Predictions]

    @property
    def name(self) -> str:
        """What to call the models."""
        return self.files.name

    @property
    def task_type(self) -> str:
        """The type of the task."""
        return self.parts[0].output.task_type


def word_of(path: str) -> str:
    """Return what the name of a file says beside fold and number.

    Postprocessing calls an ensemble of all folds as those of each fold; it is told from them here.
    """
    word = _FOLD.sub("", Path(path).stem)
    return word if not word or Path(path).stem.startswith("fold") else word + OF_ALL


def files_of(listed: pd.DataFrame) -> dict[str, list[Files]]:
    """Return the sets of each task, the newest run first and in it those without a word first.

    Args:
        listed: Files of predictions as `mml_core.api.Project.files` lists them.
    """
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in listed.to_dict("records"):
        if str(row["path"]).endswith(".parquet"):
            found.setdefault((row["task"], row["run"], word_of(row["path"])), []).append(row["path"])
    tasks: dict[str, list[Files]] = {}
    for (task, run, word), paths in sorted(found.items(), key=lambda each: each[0][2]):
        tasks.setdefault(task, []).append(Files(task=task, run=run, word=word, paths=tuple(paths)))
    for files in tasks.values():
        files.sort(key=lambda each: each.run, reverse=True)  # names of runs begin with their time
    return dict(sorted(tasks.items()))


def load(files: Files) -> ModelSet | str:
    """Read the most telling split with targets of a set; return why that cannot be.

    Of two files of one fold the newer one counts.
    """
    try:
        parts = [part for path in files.paths for part in load_predictions(Path(path))]
    except MMLError as error:
        return str(error)
    known = [part for part in parts if part.targets is not None and len(part.sample_ids)]
    for split in SPLITS:
        chosen = {part.fold: part for part in known if part.split == split}
        if chosen:
            return ModelSet(files=files, split=split, parts=[chosen[fold] for fold in sorted(chosen)])
    return f"no predictions of {', '.join(SPLITS[:-1])} or {SPLITS[-1]} with targets"
