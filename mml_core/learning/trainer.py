"""Creating a Lightning trainer from the config, one that leaves nothing outside of its own folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.plugins.precision.half import HalfPrecision
from typing_extensions import override

from mml_core.data.allocator import keep_freed_memory
from mml_core.learning.averaging import make_averaging
from mml_core.learning.checkpoints import AtomicCheckpointIO
from mml_core.learning.compiling import on_gpu
from mml_core.learning.loggers import make_loggers
from mml_core.learning.options import OptionError, require_arguments, require_known, section
from mml_core.learning.progress import make_progress
from mml_core.learning.quiet import silence_lightning
from mml_core.learning.resuming import StepFits, StepTrainer
from mml_core.learning.saving import CheckpointRule
from mml_core.learning.selection import EarlyStop

# What mml gives the trainer itself, and the config group that holds it where there is one.
MANAGED = {
    "callbacks": "the group callbacks",
    "logger": "the group logging",
    "default_root_dir": "the step's own folder",
    "plugins": "mml's checkpoint plugin",
    "enable_checkpointing": "callbacks.checkpoint",
    "enable_progress_bar": "callbacks.progress",
    "enable_model_summary": "callbacks.model_summary",
}
CALLBACK_OPTIONS = (
    "progress",
    "model_summary",
    "learning_rate",
    "early_stopping",
    "ema",
    "swa",
    "checkpoint",
    "disabled_plugins",
)


def create_trainer(
    cfg: Any,
    *,
    default_root_dir: Path,
    log_dir: Path | None = None,
    callbacks: Iterable[Callback] = (),
    label: str = "",
    fits: StepFits | None = None,
    **overrides: Any,
) -> StepTrainer:
    """Make a trainer from the groups ``trainer``, ``callbacks`` and ``logging``.

    Args:
        cfg: The composed config.
        default_root_dir: A folder private to the step; checkpoints and temporary files go there.
        log_dir: Where loggers write; ``default_root_dir/logs`` where None.
        callbacks: Further callbacks.
        label: What is trained, as the progress shows it.
        fits: The fits of the step, with the checkpoints that earlier attempts at it left; where None there
            were none, and this attempt writes into ``default_root_dir/checkpoints``.
        **overrides: Arguments of ``lightning.Trainer`` that win over the config.

    Raises:
        OptionError: If an argument is unknown or refused by Lightning, or a logger is not installed.
    """
    trainer = _make_trainer(
        cfg,
        default_root_dir,
        log_dir,
        callbacks,
        label,
        fits or StepFits(default_root_dir / "checkpoints"),
        overrides,
    )
    default_root_dir.mkdir(parents=True, exist_ok=True)
    if trainer.strategy.root_device.type == "cpu":
        keep_freed_memory()
    return trainer


def check_trainer(cfg: Any) -> None:
    """Refuse options that no trainer can be made with; nothing is written.

    Raises:
        OptionError: As :func:`create_trainer` does.
    """
    _make_trainer(cfg, Path(), None, (), "", StepFits(Path()), {})


def _make_trainer(
    cfg: Any,
    folder: Path,
    log_dir: Path | None,
    callbacks: Iterable[Callback],
    label: str,
    fits: StepFits,
    overrides: dict[str, Any],
) -> StepTrainer:
    silence_lightning()
    arguments = _arguments(cfg, overrides)
    loggers = make_loggers(cfg, log_dir or folder / "logs")
    made = [*_make_callbacks(cfg, label, has_logger=bool(loggers)), *callbacks]
    average = make_averaging(section(cfg, "callbacks"))
    if average is not None:  # the last, so that all others see the weights that were validated
        made.append(average)
    elastic = TorchElasticEnvironment.detect()
    # Naming the environment keeps Lightning from detecting SLURM and requeueing the job itself.
    plugins: list[Any] = [
        AtomicCheckpointIO(),
        TorchElasticEnvironment() if elastic else LightningEnvironment(),
    ]
    if str(arguments.get("precision")) in ("16", "16-mixed") and not on_gpu(arguments):
        raise OptionError(
            f"trainer.precision={arguments['precision']} needs a GPU, and Lightning would take bf16-mixed in"
            " its place; set trainer.precision=bf16-mixed."
        )
    if arguments.get("precision") in ("16-true", "bf16-true"):
        plugins.append(_HalfPrecision(arguments.pop("precision")))
    if not elastic and arguments.get("devices", "auto") == "auto":
        arguments["devices"] = 1
    rule = CheckpointRule.from_config(section(cfg, "callbacks").get("checkpoint"))
    try:
        trainer = StepTrainer(
            fits=fits,
            rule=rule,
            label=label or "fit",
            **arguments,
            default_root_dir=folder,
            logger=loggers or False,
            callbacks=made,
            plugins=plugins,
            enable_checkpointing=any(type(callback).__name__ == "ModelCheckpoint" for callback in made),
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (TypeError, ValueError, RuntimeError, ImportError, MisconfigurationException) as error:
        raise OptionError(f"trainer: {' '.join(str(error).split())}") from error
    count = trainer.num_devices * trainer.num_nodes
    if count > 1 and not elastic:
        raise OptionError(
            f"trainer.devices and trainer.num_nodes ask for {count} devices in one step, which mml cannot"
            " start yet; set trainer.devices=1 and trainer.num_nodes=1."
        )
    return trainer


def _arguments(cfg: Any, overrides: dict[str, Any]) -> dict[str, Any]:
    arguments = {**section(cfg, "trainer"), **overrides}
    for name in arguments:
        if name in MANAGED:
            raise OptionError(f"trainer.{name} is set by mml itself; use {MANAGED[name]} instead.")
    require_arguments("trainer", Trainer, arguments, managed=MANAGED)
    # Lightning would replace the loaders it overfits on; mml's show the same batches in every epoch.
    share = arguments.pop("overfit_batches", None)
    if share:
        limits = {"limit_train_batches": share, "limit_val_batches": share}
        arguments |= {name: limit for name, limit in limits.items() if name not in overrides}
    return arguments


class _HalfPrecision(HalfPrecision):
    """Half precision of the model, which casts its images itself: targets would lose digits."""

    @override
    def convert_input(self, data: Any) -> Any:
        return data


def _make_callbacks(cfg: Any, label: str, *, has_logger: bool) -> list[Callback]:
    options = section(cfg, "callbacks")
    require_known("callbacks", options, CALLBACK_OPTIONS)
    callbacks: list[Callback] = []
    progress = make_progress(str(options.get("progress") or "auto"), label or "fit")
    if progress is not None:
        callbacks.append(progress)
    if options.get("model_summary"):
        from lightning.pytorch.callbacks import RichModelSummary

        callbacks.append(RichModelSummary(max_depth=1))
    if options.get("learning_rate"):
        from lightning.pytorch.callbacks import LearningRateMonitor

        if not has_logger:
            raise OptionError("callbacks.learning_rate needs a logger; choose logging=csv or tensorboard.")
        callbacks.append(LearningRateMonitor(logging_interval="step"))
    stop = EarlyStop.from_config(options.get("early_stopping"))
    if stop is not None:
        callbacks.append(stop.callback())
    disabled = options.get("disabled_plugins") or []
    if isinstance(disabled, str):
        raise OptionError(
            f"callbacks.disabled_plugins must be a list, found '{disabled}'; write [{disabled}]."
        )
    return callbacks
