"""Publication: committed files move to their final names, from the record alone, however often begun."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mml_core.files.artefacts import Artefact, ArtefactRecord, ArtefactStore, damage
from mml_core.files.errors import DamagedArtefactError, TakenPathError
from mml_core.files.folders import fingerprint
from mml_core.files.layout import Layout
from mml_core.storage.atomic import fsync_dir, make_dirs, replace
from mml_core.storage.errors import WriteFailedError, named_failures
from mml_core.storage.hashing import sha256_bytes
from mml_core.storage.leases import Lease, LeaseHeldError
from mml_core.storage.links import link_exclusive

_RETRY_SECONDS = 0.01


@dataclass(frozen=True)
class Publication:
    """The artefacts of one commit record on their way to their final names.

    Attributes:
        layout: The folders of the run.
        attempt: The folder of the attempt that was committed.
        run: The run that made them.
        step: The step of the run.
        extra: Provenance the runner knows: config read, inputs, versions, seed.
        untouched: Fingerprints of files this process sealed itself, whose hash need not be taken again.
    """

    layout: Layout
    attempt: Path
    run: str
    step: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    untouched: Mapping[Path, tuple[int, int, int]] = field(default_factory=dict)

    def publish(self, artefacts: Sequence[Artefact]) -> None:
        """Move what is not yet in place, and record it."""
        store = ArtefactStore(self.layout.project)
        for artefact in artefacts:
            if self.layout.is_temporary(artefact.path):
                self._publish_temporary(artefact)
            elif store.is_recorded(artefact):
                continue
            elif artefact.number is not None:
                self._publish_numbered(artefact, store)
            else:
                self._publish_replacing(artefact, store)

    def _record(self, artefact: Artefact) -> ArtefactRecord:
        return ArtefactRecord(artefact=artefact, run=self.run, step=self.step, extra=dict(self.extra))

    def _source(self, artefact: Artefact) -> Path:
        return self.attempt / artefact.source

    def _final(self, artefact: Artefact) -> Path:
        return self.layout.project / artefact.path

    def _publish_temporary(self, artefact: Artefact) -> None:
        # Without a source it was published before; a later step may have replaced it, or clean-up removed it.
        if self._has_sound_source(artefact):
            final = self._final(artefact)
            with named_failures(final):
                make_dirs(final.parent)
                with suppress(FileNotFoundError):
                    replace(self._source(artefact), final)

    def _publish_numbered(self, artefact: Artefact, store: ArtefactStore) -> None:
        source, final = self._source(artefact), self._final(artefact)
        if self._has_sound_source(artefact):
            with named_failures(final), _same_file_system(final):
                make_dirs(final.parent)
                with suppress(FileNotFoundError):  # somebody else finishes the same record
                    if not link_exclusive(source, final) and damage(final, artefact):
                        raise TakenPathError(
                            f"'{final}' exists but is not from mml, which gave that name to a file of step "
                            f"{self.step}; move it away and continue the run."
                        )
                    fsync_dir(final.parent)
                    source.unlink()
        self._check_final(artefact)
        store.add(self._record(artefact))

    def _publish_replacing(self, artefact: Artefact, store: ArtefactStore) -> None:
        record = self._record(artefact)
        with replacing(self.layout, artefact):
            others = [
                other
                for other in store.newest_first(artefact.key, artefact.task, tail=artefact.tail)
                if other.artefact.record_name != artefact.record_name
            ]
            newer = [other for other in others if other.artefact.created > artefact.created]
            if newer:
                store.retire(record, state="superseded", superseded_by=newer[0].artefact.record_name)
                return
            final, waiting = self._final(artefact), self._has_sound_source(artefact)
            if waiting:
                with named_failures(final), _same_file_system(final):
                    make_dirs(final.parent)
                    with suppress(FileNotFoundError):
                        replace(self._source(artefact), final)
            self._check_final(artefact)
            if not waiting:
                fsync_dir(final.parent)  # whoever renamed it may have died before it was safe
            store.add(record)
            for other in others:
                store.retire(other, state="superseded", superseded_by=artefact.record_name)

    def _has_sound_source(self, artefact: Artefact) -> bool:
        source = self._source(artefact)
        try:
            found = source.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        if self.untouched.get(source) == fingerprint(found):
            return True
        if problem := damage(source, artefact):
            raise DamagedArtefactError(
                f"'{source}', committed by step {self.step} of run {self.run} as '{artefact.path}', "
                f"{problem}; restore it, or start the run anew."
            )
        return True

    def _check_final(self, artefact: Artefact) -> None:
        final = self._final(artefact)
        known = self.untouched.get(self._source(artefact))
        with suppress(FileNotFoundError):
            if known is not None and known == fingerprint(final.lstat()):
                return
        if problem := damage(final, artefact):
            raise DamagedArtefactError(
                f"'{final}', committed by step {self.step} of run {self.run}, {problem}; "
                "restore it, or start the run anew."
            )


@contextmanager
def replacing(layout: Layout, artefact: Artefact) -> Iterator[None]:
    """Hold the one right to change a file that is replaced rather than numbered, and its records."""
    path = layout.locks / sha256_bytes(artefact.path.encode())[:32]
    while True:
        try:
            lease = Lease.acquire(path, heartbeat=False, wait=False)
        except LeaseHeldError:
            time.sleep(_RETRY_SECONDS)
        else:
            with lease:
                yield
            return


@contextmanager
def _same_file_system(final: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        advice = "all of a project must lie on one file system: remove the link or mount in it"
        raise WriteFailedError(final, error, advice=advice) from error
