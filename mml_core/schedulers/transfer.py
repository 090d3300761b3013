"""The mode ``transfer``: as ``train``, from the weights of a model that was trained on something else."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.files.stored_models import find_stored_model, load_stored_model
from mml_core.learning.factory import check_model
from mml_core.learning.options import section
from mml_core.schedulers.holdouts import Holdout
from mml_core.schedulers.leakage_guard import guard_against_leakage
from mml_core.schedulers.train import TrainScheduler
from mml_core.schedulers.train_choices import chosen_folds
from mml_core.schedulers.transfer_sources import (
    PERFORMANCE,
    RANDOM,
    SourceError,
    SourceRule,
    describe,
    refuse_seen_folds,
)
from mml_core.tasks.errors import TaskError

if TYPE_CHECKING:
    from mml_core.learning.module import MMLModule
    from mml_core.learning.pipeline import Pipeline
    from mml_core.learning.transferring import Source, Transferred
    from mml_core.schedulers.training import Training
    from mml_core.scheduling.routine import StepHandle
    from mml_core.tasks.models import ModelStorage
    from mml_core.tasks.struct import TaskStruct

log = logging.getLogger(__name__)


class TransferScheduler(TrainScheduler):
    """Trains, predicts and tests as the mode ``train`` does, from weights that a step of its own has chosen.

    The source is a stored model that is named, or one of the models of ``mode.pretrain_task``: those that
    ``reuse.models`` gives, else those that this run trains first.
    """

    reuse_safe = True

    # -- planning

    def steps_before_training(self) -> tuple[StepHandle, ...]:
        """Plan the trainings of the pretrain task where it has no model, and the choice of the source."""
        rule = SourceRule.from_config(self.cfg.mode)
        if rule.model is not None:
            place, _ = self._named_model(rule)
            results = self.fm.project_path.parent
            path = place.relative_to(results) if place.is_relative_to(results) else place
            return (self.add_step("name_source", path.as_posix(), _digest(place), after=()),)
        trained = tuple(
            self.add_step("pretrain_fold", rule.task, fold, after=()) for fold in self._pretrain_folds(rule)
        )
        drawn = [self._draw()] if rule.select == RANDOM else []
        return (self.add_step("choose_source", *drawn, after=trained),)

    def _check(self, held_out: Mapping[str, Sequence[Holdout]]) -> None:
        training = "train" in self.subroutines
        if training:
            self._refuse_frozen_adapters()
        super()._check(held_out)
        if not training:
            return
        rule = SourceRule.from_config(self.cfg.mode)
        folds = self._pretrain_folds(rule)
        if folds:
            self._check_pretraining(self.get_struct(str(rule.task)), folds, held_out)
            source = None
        else:
            source = self._choose(rule, self._draw())[0]
            for task, holdouts in held_out.items():
                for holdout in holdouts:
                    unseen = [fold for fold in (holdout.fold, holdout.outer) if fold is not None]
                    refuse_seen_folds(source, task, unseen)
        pretrained = str(rule.task) if source is None else source.task
        if source is None or self._is_installed(pretrained):
            guard_against_leakage(self, {task: [pretrained] for task in held_out})
        if self._run_dir is not None:  # a plan that is only shown does not wait for torch
            self._try_start(source, pretrained, list(held_out))

    def _refuse_frozen_adapters(self) -> None:
        adapter, freeze = section(self.cfg, "adapter").get("name"), self.cfg.mode.get("freeze")
        if adapter not in (None, "none") and freeze not in (None, "none"):
            raise SourceError(
                f"adapter={adapter} freezes the network itself, and mode.freeze is {freeze}; set"
                " mode.freeze=none, or adapter=none."
            )

    def _is_installed(self, task: str) -> bool:
        try:
            self.get_struct(task)
        except TaskError:
            return False
        return True

    def _try_start(self, source: ModelStorage | None, pretrained: str, tasks: Sequence[str]) -> None:
        """Start a model of each kind from the source, or from what the source will be trained from."""
        from mml_core.learning.factory import create_model, pipeline_of
        from mml_core.learning.transferring import Source

        if source is None:
            struct = self.get_struct(pretrained)
            pipeline = pipeline_of(self._cfg_of(struct), struct)
            given = Source.untrained(pretrained, pipeline, self.plugins)
        else:
            given = Source.load(source.task, source.pipeline, source.weights)
        tried: list[Any] = []
        for task in tasks:
            structs = [self.get_struct(name) for name in (task, *self._co_tasks(task))]
            cfg = self._cfg_of(structs[0])
            pipeline = pipeline_of(cfg, *structs)
            widths = [output.width for output in pipeline.outputs]
            kind = (pipeline.architecture, pipeline.in_channels, pipeline.image_size, widths)
            if kind not in tried:
                tried.append(kind)
                model = create_model(cfg, structs[0], self.plugins, *structs[1:])
                self._start(model, pipeline, given)

    def _check_pretraining(
        self, struct: TaskStruct, folds: Sequence[int], held_out: Mapping[str, Sequence[Holdout]]
    ) -> None:
        if struct.name.partition("+")[0] in {task.partition("+")[0] for task in held_out}:
            raise SourceError(
                f"mode.pretrain_task={struct.name} is among the tasks to be trained afterwards, whose"
                " validation samples it would have seen; leave it out of the task list, or pretrain on"
                " another."
            )
        cfg = self._cfg_of(struct)
        check_model(cfg, struct, self.plugins)
        if self._run_dir is None:
            return
        from mml_core.learning.checks import check_training
        from mml_core.learning.outputs import TaskOutput
        from mml_core.learning.selection import logged_names, require_logged

        check_training(cfg, [struct], self.plugins)
        rule = SourceRule.from_config(self.cfg.mode)
        if rule.select == PERFORMANCE:
            names = logged_names([TaskOutput.of(struct)], section(cfg, "metrics"))
            require_logged("mode.select_metric", rule.monitor, names)
        for fold in folds:
            self._check_data(cfg, [struct], Holdout(fold=fold))

    def _pretrain_folds(self, rule: SourceRule) -> list[int]:
        """The folds of the pretrain task to train on first: none where there is a model."""
        if rule.model is not None:
            return []
        struct = self.get_struct(str(rule.task))
        return [] if struct.models else chosen_folds(self.cfg.mode.get("pretrain_folds", 1), struct)

    # -- steps

    def pretrain_fold(self, task: str, fold: int) -> dict[str, Any]:
        """Train on the pretrain task as the mode ``train`` does; its weights are random at first."""
        return super().train_fold(task, fold)

    def choose_source(self, draw: float = 0.0) -> dict[str, Any]:
        """Choose one of the models of the pretrain task, once for all tasks and folds.

        Args:
            draw: From 0 to below 1, drawn when the run was planned: which one, where the choice is random.
        """
        rule = SourceRule.from_config(self.cfg.mode)
        chosen, candidates = self._choose(rule, draw)
        found = describe(chosen, rule, candidates)
        log.info("Starts from the model of task %s, fold %d: %s", chosen.task, chosen.fold, found["chosen"])
        return found

    def name_source(self, model: str, sha256: str) -> dict[str, Any]:
        """Take the model that the config names, for all tasks and folds.

        Args:
            model: Its JSON file, relative to the folder of all projects where it lies there.
            sha256: What its content was when the run was planned.

        Raises:
            SourceError: It is another one now.
        """
        place = self.fm.project_path.parent / model
        if _digest(place) != sha256:
            raise SourceError(f"The stored model '{place}' is another one than when the run was planned.")
        return describe(load_stored_model(place), SourceRule.from_config(self.cfg.mode), 1)

    def record_of_training(self, training: Training) -> dict[str, Any]:
        """Return what the model took from the source."""
        origin = training.model.started_from
        return {"transfer": origin} if origin else {}

    def _new_joint_model(self, cfg: Any, struct: TaskStruct, *co_tasks: TaskStruct) -> MMLModule:
        from mml_core.learning.factory import pipeline_of
        from mml_core.learning.transferring import Source

        model = super()._new_joint_model(cfg, struct, *co_tasks)
        chosen_before = (self.results.by_method(name) for name in ("choose_source", "name_source"))
        for chosen in chain.from_iterable(chosen_before):  # none, where this is the pretraining
            source = Source.load(chosen["task"], Path(chosen["pipeline"]), Path(chosen["weights"]))
            taken = self._start(model, pipeline_of(cfg, struct, *co_tasks), source)
            log.log(logging.INFO if taken.fits else logging.WARNING, "%s: %s", struct.name, taken)
            model.started_from = {"source": chosen, **taken.to_json()}
        return model

    def _start(self, model: MMLModule, own: Pipeline, source: Source) -> Transferred:
        """Give a new model the weights of the source, and freeze what is to be frozen."""
        from mml_core.learning.freezing import FreezeRule
        from mml_core.learning.transferring import TransferError, TransferRule, transfer

        rule = TransferRule.from_config(self.cfg.mode)
        frozen = FreezeRule.from_config(self.cfg.mode).frozen_layers(model.network)
        taken = transfer(source, model, own, self.plugins, task=own.outputs[0].task, rule=rule)
        lost = [name for name in taken.not_taken if any(layer.holds(name) for layer in frozen)]
        if lost:
            raise TransferError(
                f"mode.freeze={self.cfg.mode.freeze} would freeze random weights, as the source has none that"
                f" fit {', '.join(lost)}; freeze fewer layers, or choose another source."
            )
        if frozen:
            model.freeze_layers(frozen)
        return taken

    def _draw(self) -> float:
        return random.Random(f"source of a transfer, seed {self.cfg.seed}").random()

    def _choose(self, rule: SourceRule, draw: float) -> tuple[ModelStorage, int]:
        """Return the source and the number of candidates."""
        if rule.model is not None:
            return self._named_model(rule)[1], 1
        candidates = self.get_struct(str(rule.task)).models
        return rule.choose(candidates, draw), len(candidates)

    def _named_model(self, rule: SourceRule) -> tuple[Path, ModelStorage]:
        path = find_stored_model(str(rule.model), self.fm.project_path.parent, rule.task)
        return path, load_stored_model(path)


def _digest(path: Path) -> str:
    from mml_core.storage.hashing import sha256_file

    return sha256_file(path)
