"""Finding a learning rate and a batch size before training, on a copy of the model."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError
from mml_core.learning.options import OptionError, require_known, section
from mml_core.storage.atomic import write_json

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningDataModule, Trainer

    from mml_core.learning.module import MMLModule

SEARCHED_WITH = ("tune", "trainer")
"""Groups of the config that a search reads."""
BELOW_MINIMUM = 10.0  # the rate is taken this factor below the one of the lowest loss (Smith 2017; fastai)


class TuningError(MMLError):
    """The search found nothing usable."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """The group ``tune`` of the config: what is searched, and where.

    Attributes:
        lr: Whether a learning rate is searched.
        batch_size: Whether a batch size is.
        min_lr: Lowest learning rate tried.
        max_lr: Highest learning rate tried.
        steps: Steps of the optimiser from the lowest to the highest.
        max_batch_size: Largest batch size tried.
        batch_size_steps: Training steps with each batch size.
    """

    lr: bool = False
    batch_size: bool = False
    min_lr: float = 1e-6
    max_lr: float = 1.0
    steps: int = 100
    max_batch_size: int = 1024
    batch_size_steps: int = 3

    @classmethod
    def from_config(cls, cfg: Any) -> Search:
        """Read the group.

        Raises:
            OptionError: An option is unknown or impossible.
        """
        options = section(cfg, "tune")
        require_known("tune", options, [field.name for field in fields(cls)])
        for name, value in options.items():
            if not isinstance(value, bool if name in ("lr", "batch_size") else int | float):
                raise OptionError(f"tune.{name} is {value!r}; see `mml config show tune`.")
        search = cls(**options)
        if not 0 < search.min_lr < search.max_lr or search.steps < 5:
            raise OptionError(
                "tune: needs 0 < min_lr < max_lr and steps >= 5, found"
                f" {search.min_lr}, {search.max_lr} and {search.steps}."
            )
        if search.max_batch_size < 2 or search.batch_size_steps < 1:
            raise OptionError(
                "tune: needs max_batch_size >= 2 and batch_size_steps >= 1, found"
                f" {search.max_batch_size} and {search.batch_size_steps}."
            )
        return search


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a search found; None where it was not asked for.

    Attributes:
        lr: Learning rate.
        batch_size: Samples per batch.
    """

    lr: float | None = None
    batch_size: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for the record of a step."""
        return asdict(self)


def wanted(cfg: Any) -> bool:
    """Say whether the config asks for any search.

    Raises:
        OptionError: An option is unknown or impossible.
    """
    search = Search.from_config(cfg)
    return search.lr or search.batch_size


def tune(
    cfg: Any,
    model: MMLModule,
    datamodule: LightningDataModule,
    *,
    folder: Path,
    note: Path | None = None,
    earlier: Iterable[Path] = (),
) -> Tuned:
    """Search what the group ``tune`` asks for, and set it on ``model`` and ``datamodule``.

    Weights of ``model``, and the state of the random generators, are those from before: the search runs on
    a copy. The batch size comes first, as the best learning rate depends on it.

    Args:
        cfg: The composed config.
        model: The model to train later.
        datamodule: Its data; has an attribute ``batch_size``.
        folder: A private folder, for the tuner's temporary checkpoint.
        note: Where to note what was found.
        earlier: Where earlier attempts may have noted what they found, which is not searched again.

    Raises:
        TuningError: If no learning rate in the range lowers the loss.
    """
    for group in SEARCHED_WITH:  # also where nothing is searched again: what a step reads is in its record
        section(cfg, group)
    noted = next((path for path in earlier if path.is_file()), None)
    if noted is not None:
        found = Tuned(**json.loads(noted.read_text(encoding="utf-8")))
        apply(found, model, datamodule)
    else:
        found = _search(cfg, model, datamodule, folder)
    if note is not None:
        write_json(note, found.to_json())
    return found


def _search(cfg: Any, model: MMLModule, datamodule: LightningDataModule, folder: Path) -> Tuned:
    from lightning.pytorch.utilities.seed import isolate_rng

    search = Search.from_config(cfg)
    found = Tuned()
    with isolate_rng():
        if search.batch_size:
            size = _find_batch_size(cfg, copy.deepcopy(model), datamodule, folder, search)
            _set_batch_size(datamodule, size)
            found = Tuned(batch_size=size)
        if search.lr:
            rate = _find_lr(cfg, copy.deepcopy(model), datamodule, folder, search)
            model.learning_rate = rate
            found = Tuned(lr=rate, batch_size=found.batch_size)
    return found


def apply(tuned: Tuned, model: MMLModule, datamodule: LightningDataModule) -> None:
    """Set what an earlier search found."""
    if tuned.lr is not None:
        model.learning_rate = tuned.lr
    if tuned.batch_size is not None:
        _set_batch_size(datamodule, tuned.batch_size)


def suggest_lr(rates: Sequence[float], losses: Sequence[float]) -> float:
    """Choose a learning rate from the raw losses of a range test.

    The losses are smoothed over the logarithm of the rate; the choice lies a decade below the rate at which
    the smoothed loss is lowest, where training is still stable (Smith, Cyclical Learning Rates, 2017).

    Raises:
        TuningError: If there are fewer than five finite losses, or the loss never falls.
    """
    pairs = [
        (rate, loss) for rate, loss in zip(rates, losses, strict=True) if math.isfinite(loss) and rate > 0
    ]
    if len(pairs) < 5:
        raise TuningError(
            f"The learning-rate search got {len(pairs)} usable losses and needs 5;"
            " raise tune.steps or lower tune.min_lr."
        )
    smooth = _smooth([loss for _, loss in pairs])
    lowest = min(range(len(smooth)), key=smooth.__getitem__)
    if smooth[lowest] >= smooth[0] or lowest == 0:
        raise TuningError(
            f"The loss never fell between learning rates {pairs[0][0]:.1e} and {pairs[-1][0]:.1e};"
            " widen tune.min_lr and tune.max_lr, or set optimizer.lr."
        )
    return pairs[lowest][0] / BELOW_MINIMUM


def _smooth(losses: Sequence[float]) -> list[float]:
    width = max(1, len(losses) // 25)
    result = []
    for centre in range(len(losses)):
        span = range(max(0, centre - 2 * width), min(len(losses), centre + 2 * width + 1))
        weights = [math.exp(-0.5 * ((at - centre) / width) ** 2) for at in span]
        total = sum(weight * losses[at] for weight, at in zip(weights, span, strict=True))
        result.append(total / sum(weights))
    return result


def _find_lr(
    cfg: Any,
    model: MMLModule,
    datamodule: LightningDataModule,
    folder: Path,
    search: Search,
) -> float:
    from mml_core.learning.range_test import RangeTest

    model.schedule_for_fit = False
    test = RangeTest(search.min_lr, search.max_lr, search.steps)
    _trainer(cfg, folder, callbacks=[test], max_steps=search.steps).fit(model, datamodule=datamodule)
    return suggest_lr(test.rates, test.losses)


def _find_batch_size(
    cfg: Any,
    model: MMLModule,
    datamodule: LightningDataModule,
    folder: Path,
    search: Search,
) -> int:
    from lightning.pytorch.tuner.tuning import Tuner

    before = _batch_size(datamodule)
    first = min(before, search.max_batch_size)
    trials = (search.max_batch_size // first).bit_length()
    model.schedule_for_fit = False
    try:
        size = Tuner(_trainer(cfg, folder)).scale_batch_size(
            model,
            datamodule=datamodule,
            mode="power",
            init_val=first,
            steps_per_trial=search.batch_size_steps,
            max_trials=trials,
            max_val=search.max_batch_size + 1,  # the tuner takes what reaches this without trying it
        )
    finally:
        _set_batch_size(datamodule, before)
    if size is None:
        raise TuningError("The batch-size search found no size at all; unset tune.batch_size.")
    return min(int(size), first << trials - 1)


def _trainer(cfg: Any, folder: Path, *, callbacks: Sequence[Callback] = (), max_steps: int = -1) -> Trainer:
    from mml_core.learning.trainer import create_trainer

    quiet = {
        "trainer": section(cfg, "trainer"),
        "callbacks": {"progress": "none"},
        "logging": {},
    }
    return create_trainer(
        quiet,
        default_root_dir=folder,
        callbacks=callbacks,
        max_epochs=-1,
        max_steps=max_steps,
        min_epochs=None,
        min_steps=None,
        max_time=None,
        fast_dev_run=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
    )


def _batch_size(datamodule: LightningDataModule) -> int:
    size = getattr(datamodule, "batch_size", None)
    if not isinstance(size, int) or size < 1:
        raise TuningError(
            f"{type(datamodule).__name__} has no usable attribute 'batch_size', found {size!r};"
            " unset tune.batch_size."
        )
    return size


def _set_batch_size(datamodule: LightningDataModule, size: int) -> None:
    # Any datamodule that was asked for a batch size has one; the base class does not say so.
    datamodule.batch_size = size  # type: ignore[attr-defined]
