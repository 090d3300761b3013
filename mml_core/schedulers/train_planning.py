"""Which steps a training run has, and what is refused before there is a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.learning.options import OptionError, plain, section
from mml_core.schedulers.blueprints import chosen_blueprint, with_blueprint
from mml_core.schedulers.co_tasks import CoTasks, task_weights
from mml_core.schedulers.holdouts import Holdout, holdouts
from mml_core.schedulers.joint_data import create_data
from mml_core.schedulers.leakage_guard import guard_against_leakage
from mml_core.schedulers.train_checks import Work
from mml_core.schedulers.train_choices import chosen_folds
from mml_core.schedulers.training import check_data
from mml_core.scheduling.base import AbstractBaseScheduler

if TYPE_CHECKING:
    from mml_core.data.datamodule import MMLDataModule
    from mml_core.data.joint import JointDataModule
    from mml_core.scheduling.routine import StepHandle
    from mml_core.tasks.struct import TaskStruct


class TrainPlanning(AbstractBaseScheduler):
    """Plans per task an optional search, and per fold training, predictions and tests.

    The steps themselves are methods of the class that extends this one.
    """

    def steps_before_training(self) -> tuple[StepHandle, ...]:
        """Plan what every training waits for; called once, with the plan, where there are trainings."""
        return ()

    def create_routine(self) -> None:
        """Plan the steps: per task an optional search, per fold training, prediction and test."""
        with self.choosing_steps():
            self._choose_steps()

    def _choose_steps(self) -> None:
        from mml_core.learning.tuning import wanted

        train, predict, test = (name in self.subroutines for name in ("train", "predict", "test"))
        tuning = train and wanted(self.cfg)
        nested = bool(self.cfg.mode.get("nested"))
        held_out = {}
        for task in self.cfg.task_list:
            struct = self.get_struct(task)
            folds = chosen_folds(self.cfg.mode.get("folds"), struct)
            held_out[task] = list(holdouts(folds, nested=nested, num_folds=struct.num_folds, task=task))
        self._check(held_out)
        first = self.steps_before_training() if train else ()
        for task, each_holdout in held_out.items():
            co_tasks = self._co_tasks(task)
            tuned: tuple[StepHandle, ...] = ()
            for holdout in each_holdout:
                learning = [holdout.fold, holdout.outer, co_tasks] if co_tasks else holdout.params
                if tuning and (nested or not tuned):  # a search must not see the outer fold either
                    tuned = (self.add_step("tune_task", task, *learning, after=first),)
                trained = tuned or first
                if train:
                    trained = (self.add_step("train_fold", task, *learning, after=trained),)
                own = ("predict_fold", "test_fold")
                self._plan_evaluation(own, [task, *holdout.params], trained, predict=predict, test=test)
                for other in self._evaluated(task) if predict else ():
                    names = ("predict_other", "test_other")
                    self._plan_evaluation(names, [task, other, *holdout.params], trained, test=test)

    def _plan_evaluation(
        self,
        names: tuple[str, str],
        params: Sequence[Any],
        after: tuple[StepHandle, ...],
        *,
        predict: bool = True,
        test: bool,
    ) -> None:
        if predict:
            after = (self.add_step(names[0], *params, after=after),)
        if test:
            self.add_step(names[1], *params, after=after)

    def _check(self, held_out: Mapping[str, Sequence[Holdout]]) -> None:
        """Refuse what the steps would fail by, while there is no run yet that would have to be continued."""
        work = [self._work(task, each) for task, each in held_out.items()]
        for each in work:
            each.check(self.plugins)
        task_weights(self.cfg.mode.get("task_weights"), {one.name for each in work for one in each.structs})
        trained_on: dict[str, set[str]] = {}
        for each in work:
            for struct in each.structs:  # what one of them holds out, the others leave out
                trained_on.setdefault(struct.name, set()).add(struct.name)
            for struct in each.eval_on:
                trained_on.setdefault(struct.name, set()).update(one.name for one in each.structs)
        guard_against_leakage(self, {task: sorted(found) for task, found in trained_on.items()})
        if self._run_dir is None:  # a plan that is only shown does not wait for torch
            return
        for each in work:
            each.check_by_trying(self.plugins)
            if "train" in self.subroutines:
                for holdout in each.holdouts:
                    self._check_data(each.cfg, each.structs, holdout)

    def _check_data(self, cfg: Any, structs: Sequence[TaskStruct], holdout: Holdout) -> None:
        check_data(self._data_of(cfg, structs, holdout), section(cfg, "loss"))

    def _work(self, task: str, each_holdout: Sequence[Holdout]) -> Work:
        struct, co_tasks = self.get_struct(task), self._co_tasks(task)
        class_maps = plain(self.cfg.mode.get("class_maps")) or {}
        others = [name for name in self._evaluated(task) if name not in co_tasks or name in class_maps]
        return Work(
            cfg=self._cfg_of(struct) if "train" in self.subroutines else self.cfg,
            struct=struct,
            co_tasks=[self.get_struct(name) for name in co_tasks],
            eval_on=[self.get_struct(name) for name in others],
            holdouts=each_holdout,
            subroutines=self.subroutines,
            class_maps=class_maps,
        )

    def _co_tasks(self, task: str) -> list[str]:
        """The tasks that are learnt together with a task, as the config says when the run is planned."""
        asked = CoTasks.from_config(self.cfg.mode.get("co_tasks"))
        return asked.of(task, list(self.cfg.task_list), int(self.cfg.get("seed", 42)))

    def _evaluated(self, task: str) -> list[str]:
        """The other tasks that models of a task are evaluated on: its co-tasks, and those of eval_on."""
        asked = plain(self.cfg.mode.get("eval_on")) or []
        if isinstance(asked, str):
            raise OptionError(f"mode.eval_on must be a list, found '{asked}'; write [{asked}].")
        return [name for name in dict.fromkeys([*self._co_tasks(task), *asked]) if name != task]

    def _data_of(
        self, cfg: Mapping[str, Any], structs: Sequence[TaskStruct], holdout: Holdout
    ) -> MMLDataModule | JointDataModule:
        joint = self.cfg.mode.get("joint", "longest") if len(structs) > 1 else None
        return create_data(cfg, structs, holdout, data_root=self.fm.data, seed=self.step_seed, joint=joint)

    def _cfg_of(self, struct: TaskStruct) -> Any:
        """The config, with what a blueprint of the task replaces."""
        return with_blueprint(self.cfg, chosen_blueprint(self.cfg, struct))

    @property
    def _run_dir(self) -> Path | None:
        return self._context.run_dir if self._context is not None else None
