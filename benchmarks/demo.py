"""The demo from a fresh clone: how long it takes, how large its environment is, and what its models learn.

Run: `python benchmarks/demo.py [--folder CLONE]`. What lies in the working tree is copied into a temporary
folder, where `make demo` sets up an environment of its own, without pip's cache. The figures are read from
what the demo saved; scikit-learn computes the table's accuracies anew, from the saved predictions. With
`--folder` they are those of a clone in which `make demo` has run already, and nothing is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from _common import Figure, report, run, seconds

from mml_core.learning.predictions import load_predictions

ROOT = Path(__file__).resolve().parents[1]
LOG = "demo.log"
MINUTES = 6
GIGABYTES = 1.6
ABOVE = {
    ("digits", "accuracy"): 0.95,
    ("digits_parity", "accuracy"): 0.95,
    ("digits_ink", "dice"): 0.85,
    ("photo_patches", "accuracy"): 0.85,
}
AT_MOST = {("digits_value", "mae"): 0.6}
"""Task and metric → what the mean over folds on the test split has to be."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="a clone in which `make demo` has run")
    args = parser.parse_args()
    if args.folder is not None:
        return report(learned(args.folder.resolve()))
    with tempfile.TemporaryDirectory() as place:
        clone = Path(place) / "mml"
        copy_working_tree(clone)
        return report([*installed_and_run(clone), *learned(clone)])


def copy_working_tree(clone: Path) -> None:
    """Copy what git tracks, and what it does not ignore, as it is now."""
    listed = run(["git", "ls-files", "-z", "-c", "-o", "--exclude-standard"], os.environ, ROOT)
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, clone / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def installed_and_run(clone: Path) -> Iterator[Figure]:
    """Yield the time from nothing to the table, and the size of the environment."""
    dropped = ("MML_", "PYTHONPATH", "VIRTUAL_ENV")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(dropped)},
        "PIP_NO_CACHE_DIR": "1",
    }
    with (clone / LOG).open("w") as log:
        make = partial(subprocess.run, ["make", "demo"], cwd=clone, env=environment, stdout=log, stderr=log)
        try:
            spent = seconds(partial(make, check=True))
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"`make demo` failed:\n{(clone / LOG).read_text()[-4000:]}") from error
    yield Figure(name="from a fresh clone to the table", value=spent / 60, unit="min", at_most=MINUTES)
    (packages,) = (clone / ".venv").glob("lib/python*/site-packages")
    size = int(run(["du", "-sk", str(packages)], environment).split()[0]) * 1024
    yield Figure(name="site-packages of the demo", value=size / 1e9, unit="GB", at_most=GIGABYTES)


def learned(clone: Path) -> Iterator[Figure]:
    """Yield the test metrics that have an aim, and how far the table is from scikit-learn."""
    project = clone / "demo-output" / "results" / "demo"
    files = committed(clone)
    scores = scores_of(project, files)
    for (task, metric), aim in ABOVE.items():
        yield Figure(name=f"{task}, {metric}", value=scores[task, metric], above=aim)
    for (task, metric), aim in AT_MOST.items():
        yield Figure(name=f"{task}, {metric}", value=scores[task, metric], at_most=aim)
    for task, expected in accuracies(project, files).items():
        shown = table(clone / LOG).get((task, "accuracy"), f"{scores[task, 'accuracy']:.4f}")
        yield Figure(
            name=f"{task}, the table's accuracy less scikit-learn's",
            value=abs(float(shown) - round(expected, 4)),
            at_most=0,
            note=f"{shown} in the table, {expected:.6f} by scikit-learn",
        )


def committed(clone: Path) -> list[Mapping[str, Any]]:
    """Return what the demo's runs have committed, as `mml files list` tells it."""
    environment = {**os.environ, "MML_RESULTS_PATH": str(clone / "demo-output" / "results")}
    mml = str(Path(sys.executable).with_name("mml"))
    files: list[Mapping[str, Any]] = json.loads(
        run([mml, "files", "list", "--proj", "demo", "--json"], environment)
    )
    return files


def scores_of(project: Path, files: list[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    """Return task and metric → mean over folds on the test split, from the saved metrics."""
    values: dict[tuple[str, str], list[float]] = {}
    for file in files:
        if file["key"] == "metrics":
            for row in pq.read_table(project / file["path"]).to_pylist():
                if row["split"] == "test" and row["epoch"] is None:
                    values.setdefault((row["task"], row["metric"]), []).append(row["value"])
    return {key: statistics.fmean(folds) for key, folds in values.items()}


def accuracies(project: Path, files: list[Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean test accuracy of each classification over its folds, by scikit-learn."""
    from sklearn.metrics import accuracy_score

    values: dict[str, list[float]] = {}
    for file in files:
        if file["key"] != "predictions":
            continue
        for predictions in load_predictions(project / file["path"]):
            if predictions.split == "test" and predictions.output.task_type == "classification":
                score = accuracy_score(
                    predictions.targets.numpy(), predictions.outputs.numpy().argmax(axis=1)
                )
                values.setdefault(predictions.output.task, []).append(score)
    return {task: statistics.fmean(folds) for task, folds in values.items()}


def table(log: Path) -> dict[tuple[str, str], str]:
    """Return task and metric → test mean, as the demo's table shows it."""
    if not log.exists():
        return {}
    rows = re.findall(r"^(\w+) +(\w+) +(\d+\.\d+)(?: ± \d+\.\d+)? ", log.read_text(), re.MULTILINE)
    return {(task, metric): mean for task, metric, mean in rows}


if __name__ == "__main__":
    sys.exit(main())
