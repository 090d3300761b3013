"""What steps that train use of their scheduler: models, data, trainers and searches."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError
from mml_core.files.manager import MMLFileManager
from mml_core.scheduling.scope import StepScope

if TYPE_CHECKING:
    from mml_core.data.datamodule import MMLDataModule
    from mml_core.learning.module import MMLModule
    from mml_core.learning.resuming import StepTrainer
    from mml_core.plugins import PluginManager
    from mml_core.tasks.struct import TaskStruct

log = logging.getLogger(__name__)


class OutsideStepError(MMLError):
    """Something that only a running step has was asked for outside of one."""


class TrainingTools:
    """Makes what a step trains with, as the config says, in folders of the running attempt.

    Attributes:
        cfg: The config.
        fm: The file manager.
        plugins: The plugins of this process.
    """

    cfg: Any
    fm: MMLFileManager
    plugins: PluginManager
    _scope: StepScope | None
    _run_seed: int

    @property
    def step_seed(self) -> int:
        """Seed of the running step, 0 to 2**63 - 1; outside of a step the run's seed."""
        return self._scope.seed if self._scope is not None else self._run_seed

    @property
    def checkpoint_path(self) -> Path:
        """Folder for the checkpoints of the running step, private to this attempt at it."""
        return _folder_of(self._running("checkpoint_path")) / "checkpoints"

    @property
    def earlier_checkpoint_paths(self) -> tuple[Path, ...]:
        """Checkpoint folders that earlier attempts at the running step left, newest first."""
        return self._running("earlier_checkpoint_paths").checkpoints

    def create_model(self, task_struct: TaskStruct, *co_tasks: TaskStruct, cfg: Any = None) -> MMLModule:
        """Return a model for a task, as ``arch``, ``loss``, ``optimizer``, … of the config say.

        Args:
            task_struct: The task.
            *co_tasks: Further tasks, each with a head of its own on the same backbone.
            cfg: A config in the place of the run's.
        """
        from mml_core.learning.factory import create_model
        from mml_core.learning.initial_weights import initial_file

        cfg = self.cfg if cfg is None else cfg
        weights = initial_file(cfg)
        if weights is not None:
            self.fm.take_file(weights)
        return create_model(cfg, task_struct, self.plugins, *co_tasks)

    def create_datamodule(
        self, task_struct: TaskStruct, fold: int | None = 0, **kwargs: Any
    ) -> MMLDataModule:
        """Return a datamodule for a task whose fold ``fold`` validates.

        ``train_dataloader()``, ``val_dataloader()``, ``test_dataloader()`` and ``predict_dataloader()`` of it
        yield batches of the images as they are stored in the preprocessing of the run: ``batch["image"]``
        (B, C, H, W) of grey values, uint8 as a rule. A trainer's transfer normalises them; a loop of your own
        does not, unless it calls ``on_after_batch_transfer``.

        Args:
            task_struct: The task.
            fold: The fold; None trains on all of the training split.
            **kwargs: Passed to ``mml_core.data.datamodule.create_datamodule``.
        """
        from mml_core.data.datamodule import create_datamodule

        kwargs.setdefault("seed", self.step_seed)
        return create_datamodule(
            self.cfg, task_struct.description, data_root=self.fm.data, fold=fold, **kwargs
        )

    def create_trainer(
        self, task_struct: TaskStruct | None = None, *, callbacks: Sequence[Any] = (), **kwargs: Any
    ) -> StepTrainer:
        """Return a Lightning trainer that checkpoints into this attempt's own folder.

        Its ``fit`` needs nothing more: where an earlier attempt at the step was killed within this fit (the
        n-th of the step), it goes on from the newest whole checkpoint; a signal waits for the end of the
        running batch and for a checkpoint.

        Args:
            task_struct: The task that is trained; plugins choose callbacks by it.
            callbacks: Further callbacks; what they have to know after a kill is their ``state_dict``.
            **kwargs: Passed to ``mml_core.learning.trainer.create_trainer``.
        """
        from mml_core.learning.resuming import StepFits
        from mml_core.learning.trainer import create_trainer
        from mml_core.scheduling.logged_metrics import LoggedMetrics

        scope = self._running("create_trainer")
        disabled = (self.cfg.get("callbacks") or {}).get("disabled_plugins") or ()
        contributed = self.plugins.trainer_callbacks(self, task_struct, disabled=disabled)
        for provider, callback in contributed:
            log.info("Plugin %s adds the callback %s.", provider, type(callback).__name__)
        if scope.fits is None:
            scope.fits = StepFits(self.checkpoint_path, self.earlier_checkpoint_paths, scope.guard)
        scope.trainers += 1
        watching = [LoggedMetrics(scope.show_metrics, scope.trainers)] if scope.show_metrics else []
        return create_trainer(
            self.cfg,
            default_root_dir=_folder_of(scope),
            callbacks=[*callbacks, *(callback for _, callback in contributed), *watching],
            fits=scope.fits,
            **kwargs,
        )

    def lightning_tune(self, model: MMLModule, datamodule: MMLDataModule, **kwargs: Any) -> Any:
        """Tune learning rate and batch size of a model as ``tune`` of the config says.

        What the n-th search of a step has found is noted: another attempt at the step does not search again.

        Args:
            model: The model.
            datamodule: Its data.
            **kwargs: Passed to ``mml_core.learning.tuning.tune``.
        """
        from mml_core.learning.tuning import tune

        scope = self._running("lightning_tune")
        name = f"tuned-{scope.searches}.json"
        scope.searches += 1
        return tune(
            self.cfg,
            model,
            datamodule,
            note=self.checkpoint_path / name,
            earlier=[folder / name for folder in self.earlier_checkpoint_paths],
            **{"folder": _folder_of(scope) / "tuning", **kwargs},
        )

    def _running(self, what: str) -> StepScope:
        if self._scope is None:
            raise OutsideStepError(
                f"{what} is there while a step runs only; {type(self).__name__} used it outside."
            )
        return self._scope


def _folder_of(scope: StepScope) -> Path:
    if scope.attempt is None:
        raise OutsideStepError(f"Step {scope.step.name} needs a folder, and its mode writes nothing.")
    return scope.attempt
