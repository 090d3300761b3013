"""The ledger of a run: one commit record per finished step, which is done if its record is there."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mml_core.files.artefacts import Artefact
from mml_core.scheduling import sealed
from mml_core.scheduling.changes import StructChange
from mml_core.scheduling.inputs import FileInput, Inputs
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.structs import StructHistory
from mml_core.storage.atomic import fsync_dir
from mml_core.storage.links import commit_record

_SUFFIX = ".json"
_RECORD = "record.json"


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """That a step was not run: what another run had done was taken over.

    Attributes:
        project: The project of the run that did the step.
        run: That run.
        step: Id of the step, the same there.
        files: The files it made, which stay where they are: path in this project, or absolute, to the hash.
    """

    project: str
    run: str
    step: str
    files: dict[str, str] = {}

    @property
    def origin(self) -> str:
        """The run that did the step, as ``project/run``."""
        return f"{self.project}/{self.run}"


class StepRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a finished step left behind.

    Attributes:
        run: Id of the run.
        step: Id of the step.
        method: The scheduler's method.
        params: What it was called with, JSON text.
        attempt: Which attempt at the step it was, from 1.
        host: Where it ran.
        pid: The process it ran in.
        started: Unix time.
        seconds: Duration.
        seed: What the step's random generators were seeded with.
        threads: Threads the step was given.
        value: What the method returned, JSON text.
        sets_return_value: Whether the step set ``self.return_value``.
        return_value: What it set that to, JSON text.
        artefacts: The files it made.
        structs: What it changed of TaskStructs, by task.
        inputs: What it used: tasks, results of other steps, files.
        reads: Keys of the config that it read; what all steps have in common stands in the plan.
        environment: Name of the record of the code it ran with.
        taken: Where it was taken over from; None where it was run.
    """

    run: str
    step: str
    method: str
    params: msgspec.Raw
    attempt: int
    host: str
    pid: int
    started: float
    seconds: float
    seed: int
    threads: int
    value: msgspec.Raw
    sets_return_value: bool = False
    return_value: msgspec.Raw = msgspec.Raw(b"null")
    artefacts: list[Artefact] = []
    structs: dict[str, StructChange] = {}
    inputs: Inputs = Inputs()
    reads: list[str] = []
    environment: str = ""
    taken: Taken | None = None

    def files(self) -> dict[str, FileInput]:
        """The files that the step stands for: those it made, or those that it took over with another's."""
        made = {each.path: FileInput(sha256=each.sha256, step=self.step) for each in self.artefacts}
        if self.taken is None:
            return made
        origin = {"project": self.taken.project, "run": self.taken.run, "step": self.taken.step}
        return {path: FileInput(sha256=sha256, **origin) for path, sha256 in self.taken.files.items()}


class Ledger:
    """The records of a run on disk, and those known in this process.

    Args:
        plan: The run's plan.
        folder: Where the records are; None keeps them in memory, for a mode that writes nothing.

    Attributes:
        return_value_setters: Which steps set ``return_value``, a bit mask over positions in the plan.
        structs: What they changed of TaskStructs.
    """

    def __init__(self, plan: Plan, folder: Path | None) -> None:
        self.folder = folder
        self._plan = plan
        self._records: dict[int, StepRecord] = {}
        self._replaced: dict[str, list[int]] = {}
        self._files: dict[str, tuple[int, FileInput]] = {}
        self.return_value_setters = 0
        self.structs = StructHistory(plan)
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(StepRecord)

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, position: int) -> bool:
        return position in self._records

    def record(self, position: int) -> StepRecord | None:
        """The record of the step at a position of the plan; None while it is not known to be done."""
        return self._records.get(position)

    def records(self) -> Iterator[tuple[int, StepRecord]]:
        """All known records in plan order."""
        for position in sorted(self._records):
            yield position, self._records[position]

    def refresh(self) -> list[int]:
        """Read the records that others have committed since; return the positions of the new ones.

        Raises:
            DamagedRecordError: A record is damaged, or stands under the name of another step.
        """
        if self.folder is None:
            return []
        found = []
        for path in sorted(self.folder.iterdir()):
            position = self._plan.position(path.stem) if path.suffix == _SUFFIX else None
            if position is None or position in self._records:
                continue
            self._remember(position, self._read(path, position))
            found.append(position)
        return found

    def load(self, positions: int) -> None:
        """Read the records of some steps that others may have committed.

        Args:
            positions: The steps, a bit mask over positions in the plan.
        """
        while positions:
            position = positions.bit_length() - 1
            self.look_up(position)
            positions ^= 1 << position

    def commit(self, position: int, record: StepRecord, attempt: Path | None) -> bool:
        """Make a step done.

        Args:
            position: Of the step in the plan.
            record: What it left behind.
            attempt: The attempt's folder, where the record is written before it is linked.

        Returns:
            Whether this record is the one; False when another attempt had committed first.

        Raises:
            FileNotFoundError: The attempt's folder was taken over by another owner.
        """
        body = self._encoder.encode(record)
        if self.folder is None or attempt is None:
            self._remember(position, self._decoder.decode(body))
            return True
        final = self.folder / f"{record.step}{_SUFFIX}"
        if commit_record(sealed.seal(body), attempt / _RECORD, final):
            self._remember(position, self._decoder.decode(body))
            return True
        self._remember(position, self._read(final, position))
        return False

    def make_safe(self) -> None:
        """Force to the disk what another process committed and was killed before it had done that."""
        if self.folder is not None:
            fsync_dir(self.folder)

    def look_up(self, position: int) -> StepRecord | None:
        """Read the record of one step from the disk, where another owner may have committed it."""
        if position not in self._records and self.folder is not None:
            path = self.folder / f"{self._plan.steps[position].id}{_SUFFIX}"
            try:
                self._remember(position, self._read(path, position))
            except FileNotFoundError:
                return None
        return self._records.get(position)

    def replaced_files(self) -> dict[str, list[int]]:
        """Files that are replaced, not numbered: path to the steps that wrote it, ascending."""
        return self._replaced

    def file(self, path: str) -> FileInput | None:
        """A file that a step made or took over, as the last such step left it.

        Args:
            path: Its path in the project, or absolute.
        """
        return self._files[path][1] if path in self._files else None

    def artefact(self, path: str) -> Artefact | None:
        """The artefact that the last step of this run to make one at a path left there.

        Args:
            path: Its path in the project.
        """
        if path not in self._files:
            return None
        record = self._records[self._files[path][0]]
        return next((each for each in record.artefacts if each.path == path), None)

    def _read(self, path: Path, position: int) -> StepRecord:
        remedy = f"Delete it to run the step again: rm '{path}'"
        body = sealed.read_sealed(path, remedy)
        try:
            record = self._decoder.decode(body)
        except msgspec.DecodeError as error:
            raise sealed.DamagedRecordError(f"The record {path} cannot be read: {error}. {remedy}") from error
        step = self._plan.steps[position]
        if (record.run, record.step) != (self._plan.run, step.id):
            raise sealed.DamagedRecordError(
                f"The record {path} is that of step {record.step} of run {record.run}. {remedy}"
            )
        return record

    def _remember(self, position: int, record: StepRecord) -> None:
        self._records[position] = record
        self.structs.add(position, record.structs)
        for artefact in record.artefacts:
            if artefact.number is None:
                insort(self._replaced.setdefault(artefact.path, []), position)
        for made, file in record.files().items():
            if self._files.get(made, (-1,))[0] < position:
                self._files[made] = (position, file)
        if record.sets_return_value:
            self.return_value_setters |= 1 << position
