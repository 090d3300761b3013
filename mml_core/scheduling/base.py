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
from mml_core.errors import MMLError
from mml_core.files.layout import Layout
from mml_core.files.manager import MMLFileManager
from mml_core.scheduling import values
from mml_core.scheduling.amendments import amended
from mml_core.scheduling.context import RunContext
from mml_core.scheduling.initial_structs import InitialStructs
from mml_core.scheduling.notes import Notes
from mml_core.scheduling.results import Results
from mml_core.scheduling.routine import Routine, StepHandle
from mml_core.scheduling.scope import StepScope
from mml_core.scheduling.subroutines import SubroutineError as SubroutineError
from mml_core.scheduling.subroutines import chosen_subroutines
from mml_core.scheduling.task_list import resolve_pivot, resolve_task_list
from mml_core.scheduling.training_tools import OutsideStepError as OutsideStepError
from mml_core.scheduling.training_tools import TrainingTools

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager
    from mml_core.scheduling.environments import Environment
    from mml_core.tasks.struct import TaskStruct

log = logging.getLogger(__name__)


class AbstractBaseScheduler(TrainingTools):
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
        self._subroutines = chosen_subroutines(self._plan_cfg, self.available_subroutines)
        self.return_value: Any = None
        self._return_value_before_steps = b"null"
        self._run_seed = int(self._plan_cfg.get("seed", 42))
        self._routine = Routine(self)
        self._prepared = False
        self._scope: StepScope | None = None
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
        self._structs = InitialStructs(self._load_struct, self.fm.project_path)
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
    def step_id(self) -> str:
        """Id of the running step, the key of its value in ``results`` of later ones."""
        return self._running("step_id").step.id

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
        return self._structs.get(name)

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
        self._structs.freeze()
        self._notes.end_preparation()
        for cfg in (self.cfg, self._plan_cfg):
            OmegaConf.set_readonly(cfg, True)

    def _load_struct(self, name: str) -> TaskStruct:
        struct = self.fm.load_struct(name, seed=self._run_seed)
        if struct.models:
            struct.models[:] = amended(struct.models, self.fm.project_path.parent)
            self.fm.check_models(struct.models)
        return struct

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


def _plain(node: Any) -> dict[str, Any]:
    return OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else dict(node or {})  # type: ignore[return-value]
