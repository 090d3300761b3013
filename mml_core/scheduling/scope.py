"""What one step sees of its run, which is what its transitive ancestors left, and what it changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.files.artefacts import Artefact
from mml_core.scheduling import values
from mml_core.scheduling.changes import StructChange, StructState, stored_path
from mml_core.scheduling.conflicts import among, check_order
from mml_core.scheduling.inputs import ALL, Asked, Contents, Hashes, Inputs, files_in, task_input
from mml_core.scheduling.ledger import Ledger
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.results import Results
from mml_core.scheduling.signals import SignalGuard
from mml_core.storage.hashing import digest
from mml_core.tasks.struct import TaskStruct

if TYPE_CHECKING:
    from mml_core.learning.resuming import StepFits
    from mml_core.plugins import MetricsView


class StepScope:
    """The state a scheduler shows while one step runs.

    Args:
        plan: The run's plan.
        ledger: The run's ledger.
        position: Of the step in the plan.
        project: The project's folder.
        load: Gives a fresh struct of a task as it was before any step.
        contents: Tells what the files are that the step uses.
        seed: Seed of the step.
        threads: Threads of the step.
        attempt: The attempt's folder; None where nothing is written.
        checkpoints: Checkpoint folders that earlier attempts at the step left, newest first.
        return_value: What the scheduler's ``return_value`` was before any step, JSON text.

    Attributes:
        guard: What asks the step to stop; None where nothing does.
        fits: The trainings of the step, once there is one.
        show_metrics: Shows observers what a training logs; None where nobody looks.
        trainers: How many trainers the step has made.
        searches: How many searches for a learning rate or batch size the step has begun.
    """

    guard: SignalGuard | None = None
    fits: StepFits | None = None
    show_metrics: Callable[[MetricsView], None] | None = None
    trainers = 0
    searches = 0

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        position: int,
        *,
        project: Path,
        load: Callable[[str], TaskStruct],
        contents: Contents,
        seed: int,
        threads: int,
        attempt: Path | None = None,
        checkpoints: Sequence[Path] = (),
        return_value: bytes = b"null",
    ) -> None:
        self.step = plan.steps[position]
        self.position = position
        self.seed = seed
        self.threads = threads
        self.attempt = attempt
        self.checkpoints = tuple(checkpoints)
        self._plan = plan
        self._ledger = ledger
        self._project = project
        self._load = load
        self._contents = contents
        self._asked = Asked()
        self._structs: dict[str, tuple[TaskStruct, StructState]] = {}
        self._inherited = return_value

    @property
    def run(self) -> str:
        """Id of the run."""
        return self._plan.run

    @property
    def results(self) -> Results:
        """The results this step sees."""
        ancestors = self._plan.ancestors(self.position)
        return Results(self._plan, self._ledger, ancestors, self._asked, self._check_files)

    def global_path(self, key: str, path: Path) -> Path:
        """Note that the step took the reused file of a global key, and return it."""
        self._asked.global_files[key] = stored_path(path, self._project)
        return path

    def inputs(self) -> Inputs:
        """What the step has used so far."""
        hashes = Hashes(self._contents, self._project)
        ancestors = self._plan.ancestors(self.position)
        setters = self._ledger.return_value_setters & ancestors
        for path in self._asked.global_files.values():
            hashes.of_file(path)
        return Inputs(
            tasks={
                name: task_input(struct.description, hashes.of_state(before))
                for name, (struct, before) in self._structs.items()
            },
            results={step: self._result_hash(step, hashes) for step in sorted(self._asked.results)},
            listings={
                method: digest([s.id for s in self._plan.steps_of(ancestors) if method in (ALL, s.method)])
                for method in sorted(self._asked.listings)
            },
            return_value=hashes.of_value(self._inherited) if setters else "",
            global_files=self._asked.global_files,
            files=hashes.files,
        )

    def use_again(self, inputs: Inputs, global_path: Callable[[str], Path]) -> Inputs:
        """Use what the same step of another run has used, and return what that is here.

        Args:
            inputs: What it was there.
            global_path: Gives the reused file of a global key.

        Raises:
            MMLError: A task or a file is not there.
        """
        for name in inputs.tasks:
            self.struct(name)
        self._asked.results.update(inputs.results)
        self._asked.listings.update(inputs.listings)
        for key in inputs.global_files:
            self.global_path(key, global_path(key))
        self.inherited_return_value()
        return self.inputs()

    def _result_hash(self, step: str, hashes: Hashes) -> str:
        position = self._plan.position(step)
        if position is None or not self._plan.ancestors(self.position) >> position & 1:
            return ""
        record = self._ledger.look_up(position)
        return hashes.of_value(record.value) if record is not None else ""

    def struct(self, name: str) -> TaskStruct:
        """Return the struct of a task with what the step's ancestors changed; the same object every time."""
        if name not in self._structs:
            ancestors = self._plan.ancestors(self.position)
            description, state = self._ledger.structs.seen(name, ancestors, self._load, self._project)
            if self.attempt is not None:
                for stored in state.files(self._project):
                    self._contents.check(stored)
            self._structs[name] = (state.struct(description, self._project), state)
        return self._structs[name][0]

    def changed(self, rewrite: Callable[[Any], Any]) -> dict[str, StructChange]:
        """Return what the step changed of the structs it took, by task.

        Args:
            rewrite: Turns paths in the attempt's folder into those the files will have.
        """
        found = {}
        for name, (struct, before) in self._structs.items():
            final = TaskStruct(struct.description, rewrite(struct.paths), rewrite(struct.models))
            change = before.change_to(StructState.of(final, self._project, self.step.name))
            if change:
                found[name] = change
        return found

    def inherited_return_value(self) -> Any:
        """What the last ancestor that set ``return_value`` set it to, or what it was before any step."""
        setters = self._ledger.return_value_setters & self._plan.ancestors(self.position)
        if setters:
            last = setters.bit_length() - 1
            unordered = setters & ~self._plan.ancestors(last) & ~(1 << last)
            if unordered:
                check_order(self._plan, "return_value", (unordered.bit_length() - 1, last))
            record = self._ledger.record(last)
            assert record is not None
            self._inherited = bytes(record.return_value)
        value = values.decode(self._inherited)
        self._check_files(value)
        return value

    def check_conflicts(self) -> None:
        """Raise ConflictError where any two unordered steps that this one sees wrote one thing."""
        self._ledger.structs.check(self._plan.ancestors(self.position))
        for path, positions in self._ledger.replaced_files().items():
            check_order(self._plan, f"the file {path}", positions)

    def check_own(self, structs: Mapping[str, StructChange], artefacts: Sequence[Artefact]) -> None:
        """Raise ConflictError where a step that is not ordered before this one has written the same thing."""
        for task, change in structs.items():
            self._ledger.structs.check_new(task, change, self.position)
        replaced = self._ledger.replaced_files()
        for artefact in artefacts:
            if artefact.number is None:
                around = among(replaced.get(artefact.path, ()), self.position)
                check_order(self._plan, f"the file {artefact.path}", around)

    def new_return_value(self, value: Any) -> bytes | None:
        """Return ``value`` as JSON text where it is not what the step began with, else None."""
        encoded = values.encode(values.to_json_value(value, f"The return_value after {self.step.name}"))
        return None if encoded == self._inherited else encoded

    def _check_files(self, value: Any) -> None:
        if self.attempt is not None:
            for stored in files_in(value, self._project):
                self._contents.check(stored)
