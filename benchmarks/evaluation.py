"""Bootstrap intervals of 10,000 predictions, and Dice, IoU and HD95 of images; medians of several runs.

Run: `python benchmarks/evaluation.py [--runs 5]`. The aim: 1,000 resamples of 10,000 predictions in under 2 s
for accuracy, AUROC, Brier score and ECE, by either method.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from _common import Figure, interleaved, report, seconds, spread
from torch.nn import functional

from mml_core.learning.evaluation import evaluate, prepare
from mml_core.learning.image_metrics import image_scores
from mml_core.learning.intervals import Bootstrap, bootstrap, intervals_of, units_of
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.predictions import Predictions, load_predictions, save_predictions

SAMPLES = 10_000
MANY = 1_000_000
AIM = 2.0
METHODS: tuple[Literal["percentile", "bca"], ...] = ("percentile", "bca")


def predictions(samples: int, classes: int, *, subjects: int = 0) -> Predictions:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, classes, (samples,), generator=generator)
    noise = torch.randn(samples, classes, generator=generator)
    return Predictions(
        output=TaskOutput(task="bench", task_type="classification", width=classes),
        fold=0,
        split="test",
        sample_ids=[f"s{row:07}" for row in range(samples)],
        outputs=noise + 2 * functional.one_hot(targets, classes),
        targets=targets,
        subject_ids=[f"p{row % subjects}" for row in range(samples)] if subjects else None,
    )


def timed(name: str, work: Callable[[], Any], runs: int, **aim: Any) -> Figure:
    work()
    times = [seconds(work) for _ in range(runs)]
    return Figure(name=name, value=statistics.median(times), unit="s", note=spread(times), **aim)


def intervals(runs: int) -> Iterator[Figure]:
    for classes in (2, 10):
        made = predictions(SAMPLES, classes)
        for metric in ("accuracy", "auroc", "brier", "ece"):
            for method in METHODS:
                work = partial(bootstrap, made, metric, method=method, seed=1)
                yield timed(f"{metric}, {classes} classes, {method}", work, runs, at_most=AIM)
    grouped = predictions(SAMPLES, 2, subjects=500)
    yield timed("auroc, 2 classes, bca, 500 subjects", partial(bootstrap, grouped, "auroc", seed=1), runs)


def masks(images: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Blobs of two classes, and the same after some pixels have moved."""
    generator = torch.Generator().manual_seed(0)
    noise = functional.interpolate(
        torch.randn(images, 3, 8, 8, generator=generator), size=(size, size), mode="bicubic"
    )
    return noise.argmax(1), noise.roll((2, 3), (2, 3)).argmax(1)


def images(runs: int) -> Iterator[Figure]:
    predicted, target = masks(100, 128)
    yield timed(
        "Dice and IoU of 100 images of 128 x 128, 3 classes", lambda: image_scores(predicted, target, 3), runs
    )

    def monai() -> None:
        from monai.metrics import compute_hausdorff_distance

        hot = [functional.one_hot(each, 3).movedim(-1, 1) for each in (predicted, target)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compute_hausdorff_distance(*hot, percentile=95)

    pairs = interleaved(monai, lambda: image_scores(predicted, target, 3, surface=True), runs)
    yield Figure(
        name="Dice, IoU and HD95 of these images",
        value=pairs.second,
        unit="s",
        note=f"MONAI's HD95 alone {pairs.first:.2f} s",
    )
    made = Predictions(
        output=TaskOutput(task="bench", task_type="semantic_segmentation", width=3),
        fold=0,
        split="test",
        sample_ids=[str(row) for row in range(len(predicted))],
        outputs=list(predicted.to(torch.uint8)),
        targets=list(target.to(torch.uint8)),
    )
    prepared = prepare(made, ["dice", "iou", "hd95"])
    assert prepared is not None
    units, count = units_of(prepared.sample_ids, None)
    work = partial(intervals_of, prepared.statistics, units, count, Bootstrap(), seed=1)
    yield timed(f"intervals of Dice, IoU and HD95 over {len(predicted)} images, bca", work, runs)


def files() -> Iterator[Figure]:
    made = predictions(MANY, 10)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.parquet"
        save_predictions(path, [predictions(1, 10)])  # imports what it needs
        Path("/proc/self/clear_refs").write_text("5")  # forget the most memory there was so far
        before = memory("VmRSS")
        yield Figure(
            name="writing a million predictions of 10 classes",
            value=seconds(lambda: save_predictions(path, [made])),
            unit="s",
        )
        yield Figure(
            name="memory that took beyond the predictions",
            value=memory("VmHWM") - before,
            unit="MB",
            note="they are 48 MB and their names",
        )
        yield Figure(name="reading them", value=seconds(lambda: load_predictions(path)), unit="s")
    names = ["accuracy", "auroc", "brier", "ece"]
    yield Figure(name=f"{', '.join(names)} of them", value=seconds(lambda: evaluate(made, names)), unit="s")


def memory(line: str) -> float:
    """Return VmRSS, the memory held now, or VmHWM, the most since it was forgotten, in MB."""
    (found,) = (each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith(line))
    return int(found.split()[1]) / 1024


def figures(runs: int) -> Iterator[Figure]:
    yield from files()
    yield from intervals(runs)
    yield from images(runs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    sys.exit(report(figures(parser.parse_args().runs)))
