"""The class that every scheduler extends: what it plans, and what its steps can use."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from omegaconf import DictConfig, OmegaConf, open_dict

from mml_core.config.reads import WHOLE
from mml_core.errors import MMLError, near_matches
from mml_core.files.layout import Layout
from mml_core.files.manager import MMLFileManager
from mml_core.scheduling import values
from mml_core.scheduling.changes import copy_of, freeze
from mml_core.scheduling.context import RunContext
from mml_core.scheduling.notes import Notes
from mml_core.scheduling.results import Results
from mml_core.scheduling.routine import Routine, StepHandle
from mml_core.scheduling.scope import StepScope
from mml_core.scheduling.task_list import resolve_pivot, resolve_task_list
from mml_core.tasks.models import ModelStorage

if TYPE_CHECKING:
    from mml_core.data.datamodule import MMLDataModule
    from mml_core.learning.module import MMLModule
    from mml_core.learning.resuming import StepTrainer
    from mml_core.plugins import PluginManager
    from mml_core.scheduling.environments import Environment
    from mml_core.tasks.struct import TaskStruct

log = logging.getLogger(__name__)


class SubroutineError(MMLError):
    """``mode.subroutines`` names something the scheduler does not have."""


class OutsideStepError(MMLError):
    """Something that only a running step has was asked for outside of one."""


class AbstractBaseScheduler:
    """Determines the single, atomic steps of an experiment, and keeps track of them.

    A subclass calls ``super().__init__(cfg, available_subroutines=[...])``, extends ``self.commands`` and
    ``self.params`` (or calls ``add_step``) in ``create_routine``, and has one method per kind of step.
    ``__init__`` and ``after_preparation_hook`` run in every process and make no files; ``create_routine``
    runs once per run. What a step leaves for others is its returned value, ``self.return_value``, the files
    it saves under ``fm.construct_saving_path``, and ``paths`` and ``models`` of the structs it takes: nothing
    else of this object survives a crash.

    Args:
        cfg: The composed config.
        available_subroutines: What ``mode.subroutines`` may name.

    Attributes:
        reuse_safe: Whether ``reuse.auto`` may take steps over from other runs: where they do nothing but
            compute, from the config they read in their own process, the structs they take by ``get_struct``,
            ``results``, ``return_value``, ``fm.global_path`` and their seed. A subclass declares it anew.
        cfg: The config, with tags applied to ``task_list``; not to be changed. What a step reads of it is
            noted with the step; what ``__init__``, hooks and ``create_routine`` read, and structs they take,
            with all of them (see ``choosing_steps``).
        fm: The file manager.
        plugins: The plugins of this process.
        return_value: What the run returns.
    """

    reuse_safe: ClassVar[bool] = False
    _context: RunContext | None = None
    _given_cfg: DictConfig
    _notes: Notes

    def __init__(self, cfg: DictConfig | Mapping[str, Any], available_subroutines: Sequence[str]) -> None:
        attributes_before = set(vars(self)) - {"_context", "_given_cfg", "_notes"}
        given = cfg if isinstance(cfg, DictConfig) else OmegaConf.create(dict(cfg))
        if not hasattr(self, "_notes"):  # constructed directly
            self._given_cfg, self._notes = copy.deepcopy(given), Notes()
            self._notes.read(WHOLE)  # what a subclass reads of the object that it was given is not seen
        with self._notes.forgetting():
            self._plan_cfg: Any = copy.deepcopy(given)
        if self._context is None:
            self._context = RunContext.of(self._plan_cfg)
        self.plugins: PluginManager = self._context.plugins
        with open_dict(self._plan_cfg):
            tasks = resolve_task_list(self._plan_cfg)
            self._pivot = resolve_pivot(self._plan_cfg, tasks)
            self._plan_cfg.task_list = tasks
        self.available_subroutines: tuple[str, ...] = tuple(available_subroutines)
        self._subroutines = _chosen(self._plan_cfg, self.available_subroutines)
        self.return_value: Any = None
        self._return_value_before_steps = b"null"
        self._routine = Routine(self)
        self._prepared = False
        self._scope: StepScope | None = None
        self._structs: dict[str, TaskStruct] = {}
        self._frozen = False
        self._reuse_of_plan: dict[str, Any] = {}
        locations = self._context.locations
        paths = self._plan_cfg.get("paths") or {}
        self.fm: MMLFileManager = MMLFileManager(
            data=Path(paths.get("data") or locations.data),
            results=Path(paths.get("results") or locations.results),
            project=str(self._plan_cfg.get("proj") or "default"),
            plugins=self.plugins,
            reuse=_plain(self._plan_cfg.get("reuse")),
            run=self._context.run_id,
        )
        self.cfg: Any = copy.deepcopy(self._plan_cfg)
        self._notes.track(self.cfg)
        self._own_attributes = {*vars(self), "_own_attributes"} - attributes_before

    @classmethod
    def prepare(cls, cfg: DictConfig, context: RunContext) -> AbstractBaseScheduler:
        """Make a scheduler for a run: construct it in its context, tell plugins, and let it prepare.

        Whatever goes wrong, the file manager is closed again.
        """
        scheduler = cls.__new__(cls)
        scheduler._context, scheduler._given_cfg, scheduler._notes = context, cfg, Notes()
        given = copy.deepcopy(cfg)
        scheduler._notes.track(given)
        try:
            scheduler.__init__(given)  # type: ignore[misc]
            if not hasattr(scheduler, "_routine"):
                raise MMLError(
                    f"{cls.__name__}.__init__ does not call super().__init__(cfg, available_subroutines)."
                )
            scheduler._prepare()
        except BaseException:
            if hasattr(scheduler, "fm"):
                scheduler.fm.close()
            raise
        return scheduler

    # -- what subclasses write

    def after_preparation_hook(self) -> None:
        """Do what every process needs before any step; make no files here."""

    def create_routine(self) -> None:
        """Plan the steps: extend ``self.commands`` and ``self.params``, or call ``add_step``."""
        raise NotImplementedError(f"{type(self).__name__} has to implement create_routine().")

    def before_finishing_hook(self) -> None:
        """Do what is left after all steps, seeing what each of them did; it runs as the last step itself."""

    # -- planning

    @property
    def commands(self) -> list[Any]:
        """Names of the methods to call, one per step."""
        return self._routine.commands

    @commands.setter
    def commands(self, names: Iterable[Any]) -> None:
        self._routine.commands[:] = names

    @property
    def params(self) -> list[Any]:
        """The methods' arguments: per step a list, or a dict by name."""
        return self._routine.params

    @params.setter
    def params(self, arguments: Iterable[Any]) -> None:
        self._routine.params[:] = arguments

    def add_step(
        self,
        method: str | Callable[..., Any],
        *params: Any,
        after: StepHandle | Iterable[StepHandle] | None = None,
        resources: dict[str, float] | None = None,
    ) -> StepHandle:
        """Plan a step.

        Args:
            method: The method of this scheduler that does the work, or its name.
            *params: Its arguments, JSON values.
            after: Handles of the steps it waits for; by default all steps before it; ``()``: none.
            resources: What it needs: ``cpus``, ``gpus`` (where it says nothing, one of those that are there),
                ``memory`` in GiB, ``threads``.

        Returns:
            A handle for the ``after`` of later steps; its ``id`` is the step's key in ``results``.

        Raises:
            PlanError: There is no such method, it cannot be called so, params are not JSON, a handle is
            unknown.
        """
        return self._routine.add(method, params, after, resources)

    def choosing_steps(self) -> AbstractContextManager[None]:
        """Read the config and take structs, in a ``with`` block, only to choose which steps there are.

        Checks belong there, too. What ``create_routine`` reads and takes counts as used by every step; what
        it does in such a block does not.
        """
        return self._notes.forgetting()

    def notice(self, line: str) -> None:
        """Warn, in ``create_routine``, of what a reader of the run has to know; ``mml runs show`` tells it.

        Args:
            line: What was found, in one line.
        """
        log.warning("%s", line)
        self._notes.notices.append(line)

    def run(self) -> Any:
        """Run all steps and return ``return_value``; a scheduler runs once.

        Raises:
            StepFailedError: A step failed; the message names it and the command that continues the run.
            MMLError: It has run already.
        """
        from mml_core.scheduling.runner import run_scheduler

        return run_scheduler(self).raise_unless_done().value

    # -- what steps use

    @property
    def subroutines(self) -> list[str]:
        """Those of the available subroutines that were asked for, in their own order."""
        if self._scope is not None:
            self._notes.read("mode.subroutines")
        return self._subroutines

    @property
    def pivot(self) -> TaskStruct | None:
        """The prominent task of the run (``pivot.name`` with ``pivot.tags``), as ``get_struct`` gives it."""
        self._notes.read("pivot", "tagging")
        return self.get_struct(self._pivot) if self._pivot is not None else None

    @property
    def results(self) -> Results:
        """What the steps before this one returned, by step id."""
        return self._running("results").results

    @property
    def step_seed(self) -> int:
        """Seed of the running step, 0 to 2**63 - 1; outside of a step the run's seed."""
        return self._scope.seed if self._scope is not None else int(self._plan_cfg.get("seed", 42))

    @property
    def step_id(self) -> str:
        """Id of the running step, the key of its value in ``results`` of later ones."""
        return self._running("step_id").step.id

    @property
    def checkpoint_path(self) -> Path:
        """Folder for the checkpoints of the running step, private to this attempt at it."""
        return _folder_of(self._running("checkpoint_path")) / "checkpoints"

    @property
    def earlier_checkpoint_paths(self) -> tuple[Path, ...]:
        """Checkpoint folders that earlier attempts at the running step left, newest first."""
        return self._running("earlier_checkpoint_paths").checkpoints

    def get_struct(self, name: str) -> TaskStruct:
        """Return the struct of an installed task, tags included.

        In a step it shows what the steps before have attached; what the step itself changes of ``paths`` and
        ``models`` is recorded with it.

        Args:
            name: Name of the task; it need not be in ``task_list``.
        """
        if self._scope is not None:
            return self._scope.struct(name)
        self._notes.take(name)
        return self._struct_before_steps(name)

    def create_model(self, task_struct: TaskStruct, *co_tasks: TaskStruct) -> MMLModule:
        """Return a model for a task, as ``arch``, ``loss``, ``optimizer``, … of the config say.

        Args:
            task_struct: The task.
            *co_tasks: Further tasks, each with a head of its own on the same backbone.
        """
        from mml_core.learning.factory import create_model

        return create_model(self.cfg, task_struct, self.plugins, *co_tasks)

    def create_datamodule(
        self, task_struct: TaskStruct, fold: int | None = 0, **kwargs: Any
    ) -> MMLDataModule:
        """Return a datamodule for a task whose fold ``fold`` validates.

        Args:
            task_struct: The task.
            fold: The fold.
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

        scope = self._running("create_trainer")
        disabled = (self.cfg.get("callbacks") or {}).get("disabled_plugins") or ()
        contributed = self.plugins.trainer_callbacks(self, task_struct, disabled=disabled)
        for provider, callback in contributed:
            log.info("Plugin %s adds the callback %s.", provider, type(callback).__name__)
        if scope.fits is None:
            scope.fits = StepFits(self.checkpoint_path, self.earlier_checkpoint_paths, scope.guard)
        return create_trainer(
            self.cfg,
            default_root_dir=_folder_of(scope),
            callbacks=[*callbacks, *(callback for _, callback in contributed)],
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

    # -- what the runner uses

    @classmethod
    def declares_reuse_safe(cls) -> bool:
        """Whether this very class says that its steps can be taken over; a base class cannot know."""
        return bool(vars(cls).get("reuse_safe", False))

    def _prepare(self) -> None:
        self._prepared = True
        self.plugins.notify("mml_scheduler_created", scheduler=self)
        self.after_preparation_hook()
        given = values.to_json_value(self.return_value, "The return_value before any step")
        self._return_value_before_steps = values.encode(given)
        for struct in self._structs.values():
            freeze(struct)
        self._frozen = True
        self._notes.end_preparation()
        for cfg in (self.cfg, self._plan_cfg):
            OmegaConf.set_readonly(cfg, True)

    def _enter(self, context: RunContext) -> AbstractBaseScheduler:
        """Join a run, where the scheduler was constructed before there was one."""
        self._context = context
        if context.run_id is not None:
            self.fm.layout = Layout(self.fm.project_path, context.run_id)
        self._prepare()
        return self

    def _kept(self) -> dict[str, Any]:
        """Return what the methods of a subclass keep on this object."""
        return {name: value for name, value in vars(self).items() if name not in self._own_attributes}

    def _runs_with(self) -> Environment:
        """Return what steps run with in this process."""
        from mml_core.scheduling.environments import environment_of

        if self._notes.environment is None:
            self._notes.environment = environment_of(self._given_cfg, self.plugins, type(self))
        return self._notes.environment

    def _struct_before_steps(self, name: str) -> TaskStruct:
        if name not in self._structs:
            struct = self.fm.load_struct(name, seed=int(self._plan_cfg.get("seed", 42)))
            if self._frozen:
                freeze(struct)
            self._structs[name] = struct
        return self._structs[name]

    def _struct_before_step(self, name: str) -> TaskStruct:
        struct = copy_of(self._struct_before_steps(name), self.fm.project_path)
        reused = self._reuse_of_plan.get(name)
        if reused is not None:  # what reuse finds now may be newer than what the run began with
            project = self.fm.project_path
            struct.paths.update({key: project / path for key, path in reused["paths"].items()})
            struct.models[:] = [ModelStorage.from_json(model, project) for model in reused["models"]]
        return struct

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


def _chosen(cfg: Any, available: tuple[str, ...]) -> list[str]:
    mode = cfg.get("mode") or {}
    asked = mode.get("subroutines")
    names = ["all"] if asked is None else [asked] if isinstance(asked, str) else list(asked)
    if "all" in names:
        return list(available)
    for name in names:
        if name not in available:
            raise SubroutineError(
                f"Mode '{mode.get('name')}' has no subroutine '{name}'.{near_matches(str(name), available)} "
                f"It has: {', '.join(available) or 'none'}."
            )
    return [name for name in available if name in names]


def _plain(node: Any) -> dict[str, Any]:
    return OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else dict(node or {})  # type: ignore[return-value]
