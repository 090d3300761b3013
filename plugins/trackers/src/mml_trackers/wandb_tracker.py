"""W&B: a run of mml is a group there, written offline when it ends: itself, and each task and fold."""

from __future__ import annotations

import os
import re
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

from mml_trackers.journal import StepTrack
from mml_trackers.options import WandbOptions
from mml_trackers.tracked import End, Point, Unit, clean, units_of


class WandbTracker:
    """Writes the journal of a run for W&B, below ``wandb`` in the project's folder.

    Nothing is sent: ``wandb sync`` does that. A run that goes on is written anew, whole, under the same ids,
    and what was written before is removed: an upload never brings a point twice.

    Args:
        options: Where it belongs there, and what is copied.
        run: What the journal says of the run.
    """

    def __init__(self, options: WandbOptions, run: dict[str, Any]) -> None:
        for name in ("WANDB_SILENT", "WANDB_DISABLE_GIT", "WANDB_DISABLE_CODE"):
            os.environ[name] = "true"
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # nothing goes to third parties
        self._options = options
        self._run = run
        self._project_path = Path(run["project_path"])
        self._folder = self._project_path / "wandb"

    def update(self, steps: list[StepTrack]) -> None:
        """Do nothing: nobody can look at it before it is uploaded."""

    def finish(self, steps: list[StepTrack], end: End) -> None:
        """Write all of the run."""
        import wandb

        whole, units = units_of(steps)
        ids = [
            self._write(unit, {}, [], end.state if unit.state == "running" else unit.state) for unit in units
        ]
        ids.append(self._write(whole, dict(end.numbers), end.artefacts, end.state, end.error))
        wandb.teardown()  # files are whole when the process that writes them has ended
        for own in ids:
            for path in self._folder.glob(f"before-offline-run-*-{own}"):
                shutil.rmtree(path)

    def _write(
        self,
        unit: Unit,
        numbers: dict[str, float],
        artefacts: list[dict[str, Any]],
        state: str,
        error: str = "",
    ) -> str:
        """Write one run, and return its id; what was written under it before is put aside."""
        import wandb

        name = self._run["id"] if unit.task is None else f"{self._run['id']} {unit.label}"
        about = {"project": self._run["project"], "run": self._run["id"], "mode": self._run["mode"]}
        about |= {"task": unit.task, "fold": unit.fold, "step": [step.id for step in unit.steps]}
        own = identity(f"{self._run['project']}/{name}")
        for path in self._folder.glob(f"offline-run-*-{own}"):  # one of the same second has the same name
            path.rename(path.with_name(f"before-{path.name}"))
        run = wandb.init(
            project=self._options.project or self._run["project"],
            entity=self._options.entity,
            group=f"{self._run['project']}/{self._run['id']}",
            job_type="run" if unit.task is None else "task",
            id=own,
            name=name,
            config={"mml": about, **(self._run["config"] if unit.task is None else {})},
            dir=str(self._project_path),
            mode="offline",
            settings=wandb.Settings(console="off", x_disable_stats=True, x_disable_meta=True),
        )
        try:
            run.define_metric("*", step_metric="epoch")
            for epoch, values in _rows(unit.points()):
                run.log({"epoch": epoch, **values})
            run.summary.update({**numbers, "mml/state": state, **({"mml/error": error} if error else {})})
            if artefacts:
                run.log_artifact(self._references(artefacts))
        finally:
            run.finish(exit_code=0 if state == "done" else 1)
        return own

    def _references(self, artefacts: list[dict[str, Any]]) -> Any:
        import wandb

        found = wandb.Artifact(
            f"files-{identity(self._run['id'])}",
            type="files",
            metadata={"sha256": {each["path"]: each["sha256"] for each in artefacts}},
        )
        for each in artefacts:
            path = self._project_path / each["path"]
            if each["key"] in self._options.copy:
                found.add_file(str(path), name=each["path"])
            else:
                found.add_reference(path.as_uri(), name=each["path"], checksum=False)
        return found


def identity(text: str) -> str:
    """Return an id that W&B takes, the same for the same text."""
    readable = re.sub(r"[^A-Za-z0-9_]+", "_", clean(text))[:60].strip("_")
    return f"{readable}_{sha256(text.encode()).hexdigest()[:8]}"


def _rows(points: list[Point]) -> list[tuple[int, dict[str, float]]]:
    """Return the values of each epoch."""
    rows: dict[int, dict[str, float]] = {}
    for point in points:
        rows.setdefault(point.step, {})[point.name] = point.value
    return sorted(rows.items())
