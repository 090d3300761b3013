"""What a training run would fail by, found before there is a run that would have to be continued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mml_core.learning.class_maps import Labelling, map_classes
from mml_core.learning.factory import check_model, input_of, pipeline_of
from mml_core.learning.options import OptionError, section
from mml_core.schedulers.co_tasks import CoTaskError
from mml_core.schedulers.holdouts import Holdout
from mml_core.schedulers.train_choices import NoModelError, newest_model, require_predictions
from mml_core.schedulers.train_selection import GROUPS, refuse_leak, selected_by, selectors

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager
    from mml_core.tasks.struct import TaskStruct


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a run does with one task.

    Attributes:
        cfg: The config, with what a blueprint replaces.
        struct: The task.
        co_tasks: Tasks that are learnt together with it.
        eval_on: Further tasks that its models are evaluated on.
        holdouts: What each training holds out.
        subroutines: What is done.
        class_maps: Task → its class → class of the model.
    """

    cfg: Any
    struct: TaskStruct
    co_tasks: Sequence[TaskStruct]
    eval_on: Sequence[TaskStruct]
    holdouts: Sequence[Holdout]
    subroutines: Sequence[str]
    class_maps: Mapping[str, Any]

    @property
    def structs(self) -> list[TaskStruct]:
        """The task and its co-tasks."""
        return [self.struct, *self.co_tasks]

    def check(self, plugins: PluginManager) -> None:
        """Refuse what can be seen without importing torch.

        Raises:
            MMLError: Folds, models, predictions, co-tasks or tasks to evaluate on are not as they have to be,
                or the fold that is reported would choose.
        """
        train, predict, test = (name in self.subroutines for name in ("train", "predict", "test"))
        if train:
            check_model(self.cfg, self.struct, plugins, *self.co_tasks)
            self._check_folds()
        chosen_by = selected_by(selectors(self.cfg)) if train else []
        for holdout in self.holdouts:
            if predict and not train:
                chosen_by = newest_model(self.struct, holdout).selected_by
            if test:
                refuse_leak(chosen_by, self.struct, holdout)
        if test and not predict:
            require_predictions(self.struct, self.holdouts)
        if predict:
            for other in self.eval_on:
                self._check_other(other)

    def check_by_trying(self, plugins: PluginManager) -> None:
        """Refuse what can be seen by making model, optimiser and trainer.

        Raises:
            MMLError: An option is unknown or impossible, or does not fit the task.
        """
        from mml_core.learning.checks import check_training, check_use
        from mml_core.learning.fit_checks import require_validation
        from mml_core.learning.selection import logged_names, require_logged

        check_use(self.cfg, [*self.structs, *self.eval_on], plugins)
        if "train" not in self.subroutines:
            return
        pipeline = pipeline_of(self.cfg, *self.structs)
        names = logged_names(pipeline.outputs, section(self.cfg, "metrics"))
        chosen_by = selectors(self.cfg)
        require_validation(selected_by(chosen_by), section(self.cfg, "trainer"))
        for setting, monitor in chosen_by.items():
            require_logged(GROUPS[setting], monitor, names)
        check_training(self.cfg, self.structs, plugins)
        if self.co_tasks:
            pipeline.build(plugins)

    def _check_folds(self) -> None:
        for other in self.co_tasks:
            for holdout in self.holdouts:
                for fold in (holdout.fold, holdout.outer):
                    if fold is not None and fold >= other.num_folds:
                        raise CoTaskError(
                            f"The co-task '{other.name}' has {other.num_folds} folds, and fold {fold} is to"
                            f" be held out as of '{self.struct.name}'; create it with as many folds, or"
                            " choose mode.folds."
                        )

    def _check_other(self, other: TaskStruct) -> None:
        map_classes(Labelling.of(self.struct), Labelling.of(other), self.class_maps.get(other.name))
        counts = other.num_samples
        if not (counts.get("test") or counts.get("unlabelled") or other.num_folds):
            raise NoModelError(f"mode.eval_on: task '{other.name}' has no samples to evaluate on.")
        if "train" in self.subroutines:
            own, found = (input_of(self.cfg, struct)[0] for struct in (self.struct, other))
            if own != found:
                raise OptionError(
                    f"mode.eval_on: images of task '{other.name}' have {found} channels, those that the model"
                    f" of '{self.struct.name}' takes {own}; leave it out, or set preprocessing.channels."
                )
