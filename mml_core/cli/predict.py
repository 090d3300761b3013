"""Predict new images with a stored model: `mml predict MODEL PATH`.

MODEL is the file of a stored model (RESULTS/PROJECT/MODELS/TASK/model_0001.json), or PROJECT/TASK: then all
models of the newest training predict together, by the mean of their probabilities or values. The images are
preprocessed and normalised as those that the models were trained on; the training data need not be there.

`--calibrated` maps what each model says by the calibration that the newest run of the mode postprocess has
stored for it, prior shift included; `--calibration` names the run, or the project, where it is another one.

An image that cannot be read, or has other channels than the model takes, is named on standard error; the
others are predicted, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mml_core.cli.parsing import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mml_core.learning.applying import Applied, Ensemble
    from mml_core.learning.stored_calibrations import StoredCalibration

_SHOWN = 30
_MOST_COLUMNS = 6
_COLUMN = {"probabilities": "p({})", "values": "{}", "shares": "share of {}"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="a stored model (.json), or PROJECT/TASK")
    parser.add_argument("path", metavar="PATH", type=Path, help="an image, or a folder of images")
    parser.add_argument("--task", help="of a model of several tasks: which one (the one it is stored for)")
    parser.add_argument(
        "--calibrated",
        action="store_true",
        help="by the calibrations that the newest run of the mode postprocess has stored",
    )
    parser.add_argument(
        "--calibration",
        metavar="RUN",
        help="calibrated by that run, RUN or PROJECT/RUN, or by the newest of PROJECT",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write the predictions as Parquet; masks also go to a folder beside it, as PNG",
    )
    parser.add_argument("--force", action="store_true", help="replace what --out would write to")
    parser.add_argument("--batch-size", type=int, default=32, help="images that are predicted at once (32)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps, or auto (auto)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Predict the images and print what was found."""
    from mml_core.cli.environment import discover_plugins
    from mml_core.config.locations import resolve_locations
    from mml_core.data.new_images import find_images
    from mml_core.data.progress import progress
    from mml_core.learning.applying import Ensemble
    from mml_core.learning.devices import choose_device
    from mml_core.learning.model_sources import find_models
    from mml_core.learning.stored_calibrations import find_calibrations

    if args.batch_size < 1:
        raise UsageError(f"--batch-size is {args.batch_size}: at least one image is predicted at once.")
    masks = None if args.out is None else _check_out(args.out, force=args.force)
    images, others = find_images(args.path)
    results = resolve_locations().results
    models = find_models(args.model, results)
    ensemble = Ensemble.load(
        models, discover_plugins(args), task=args.task, device=choose_device(args.device)
    )
    calibrations = []
    if args.calibrated or args.calibration:
        calibrations = find_calibrations(models, ensemble.output, results, args.calibration)
    if others:
        print(f"mml: left out {len(others)} files that are no images: {others[0].name}, …", file=sys.stderr)
    with progress(f"predicting {ensemble.task}", len(images)) as advance:
        applied = ensemble.apply(
            images, batch_size=args.batch_size, calibrations=calibrations, advance=advance
        )
    for problem in applied.problems:
        print(f"mml: {problem}", file=sys.stderr)
    _print(ensemble, applied, args, len(models), calibrations)
    if masks is not None and applied.predictions.sample_ids:
        _write(applied, args.out, masks, calibrations)
        if not args.json:
            print(f"Written to {args.out}{f' and {masks}' if masks.exists() else ''}.")
    return 1 if applied.problems else 0


def _check_out(out: Path, *, force: bool) -> Path:
    """Return the folder of masks; refuse what is there already."""
    if out.suffix != ".parquet":
        raise UsageError(f"--out {out} has to end in .parquet.")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; name a file.")
    masks = out.with_name(f"{out.stem}_masks")
    taken = [each for each in (out, masks) if each.exists()]
    if taken and not force:
        raise UsageError(f"There is {taken[0]} already: choose another --out, or --force to replace it.")
    return masks


def _write(applied: Applied, out: Path, masks: Path, calibrations: Sequence[StoredCalibration]) -> None:
    import json

    from mml_core.learning.mask_png import encode_mask
    from mml_core.learning.outputs import SEGMENTATION
    from mml_core.learning.predictions import save_predictions
    from mml_core.storage.atomic import write_bytes

    predictions = applied.predictions
    notes = {"calibration": json.dumps([each.to_json() for each in calibrations])} if calibrations else None
    save_predictions(out, [predictions], notes=notes)
    if predictions.output.task_type == SEGMENTATION:
        for name, mask in zip(_mask_names(predictions.sample_ids), predictions.outputs, strict=True):
            write_bytes(masks / name, encode_mask(mask))


def _mask_names(images: Sequence[str]) -> list[str]:
    """The names of the images with the suffix of PNG; behind their own where two would have one name."""
    names = [str(PurePosixPath(image).with_suffix(".png")) for image in images]
    unique = len(set(names)) == len(names)
    return names if unique else [f"{image}.png" for image in images]


def _print(
    ensemble: Ensemble,
    applied: Applied,
    args: argparse.Namespace,
    models: int,
    calibrations: Sequence[StoredCalibration],
) -> None:
    import json

    from mml_core.learning.answers import answers
    from mml_core.schedulers.tables import show

    rows = answers(applied.predictions, ensemble.classes)
    if args.json:
        content = {
            "model": args.model,
            "models": models,
            "task": ensemble.task,
            "task_type": ensemble.output.task_type,
            "classes": ensemble.classes,
            "calibration": [each.to_json() for each in calibrations],
            "predictions": rows,
            "problems": applied.problems,
            "out": None if args.out is None else str(args.out),
        }
        print(json.dumps(content, indent=2))
        return
    whose = "1 model" if models == 1 else f"mean of {models} models"
    shown = [_flat(row) for row in rows[:_SHOWN]]
    columns = list(dict.fromkeys(key for row in shown for key in row))
    if calibrations:
        whose += f", calibrated by {calibrations[0].project}/{calibrations[0].run}: {calibrations[0].name}"
    show(shown, columns, title=f"{ensemble.task}, {whose}", empty="no image could be predicted.")
    if len(rows) > _SHOWN:
        print(f"… and {len(rows) - _SHOWN} more{'' if args.out is None else f' in {args.out}'}.")


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """The row with a column for each class, or, of many classes, without them."""
    flat = {key: value for key, value in row.items() if not isinstance(value, dict)}
    for what, numbers in ((key, value) for key, value in row.items() if isinstance(value, dict)):
        if len(numbers) <= _MOST_COLUMNS:
            flat |= {_COLUMN[what].format(name): f"{number:.4g}" for name, number in numbers.items()}
        elif "probability" not in row:
            top = sorted(numbers, key=lambda name: -numbers[name])[:3]
            flat["most"] = ", ".join(f"{name}: {numbers[name]:.4g}" for name in top)
    return flat
