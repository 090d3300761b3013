"""Leases: at most one process holds a path, and a dead holder is replaced without anyone's help.

A lease is a chain of small files. The first lies at the lease's path; whoever takes over from the holder
with token ``t`` links its own file to ``<path>.<t>``. Taking, taking over and giving back are each decided
by one exclusive ``link()``, so there is no moment at which two processes can both believe that they won,
and none at which a crash leaves a lease that nobody can take. The last file of the chain is the holder's.
A file is put in place with its content, so none is ever seen empty. Where a full disk leaves no room for the
file that giving back takes, the holder says in its own file that it is done, and counts as dead from then on.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import msgspec

from mml_core.errors import LiveOwnerError
from mml_core.storage import heartbeats
from mml_core.storage.atomic import create_file, make_dirs
from mml_core.storage.errors import WriteFailedError, named_failures
from mml_core.storage.hashing import sha256_bytes
from mml_core.storage.links import link_exclusive
from mml_core.storage.owners import Liveness, Owner

_POLLS_PER_TTL = 20
_log = logging.getLogger(__name__)


class LeaseHeldError(LiveOwnerError):
    """A live process holds the lease.

    Attributes:
        path: The lease.
        owner: Who holds it; None where its file cannot be read.
    """

    def __init__(self, path: Path, owner: Owner | None) -> None:
        self.path = path
        self.owner = owner
        who = owner.describe() if owner else "a process that cannot be told (its lease file is damaged)"
        super().__init__(f"'{path}' is held by {who}; wait for it to end, or stop it, and try again.")


class _Node(msgspec.Struct, frozen=True):
    """One file of the chain as it was read."""

    path: Path
    token: str
    owner: Owner | None
    content: bytes


class Lease:
    """A held lease; made by `acquire`, given back by `release` or at the end of a ``with`` block."""

    def __init__(self, root: Path, path: Path, owner: Owner, descriptor: int) -> None:
        self.root = root
        self.path = path
        self.owner = owner
        self.ttl = 0.0
        self._descriptor: int | None = descriptor
        self._beating = False

    @classmethod
    def acquire(
        cls, path: Path, *, ttl: float | None = None, heartbeat: bool = True, wait: bool = True
    ) -> Lease:
        """Take a lease that is free, given back, or whose holder is dead.

        A holder on this machine is judged at once. One elsewhere is watched: while its heartbeat changes
        the file it lives; when the content has not changed for ``ttl`` on our own clock it is dead.

        Args:
            path: Where the lease lies; folders are made.
            ttl: Seconds without a heartbeat after which a holder elsewhere is taken to be dead; by default
                ``MML_LEASE_TTL``, or a minute.
            heartbeat: Whether to beat for others to see; off only for leases shorter than ``ttl``.
            wait: Whether to watch a holder elsewhere here and now. Without it the call returns at once,
                and what it saw counts for the next call of this process.

        Returns:
            The held lease.

        Raises:
            LeaseHeldError: A live process holds it; the message names it.
            LeaseTTLError: ``MML_LEASE_TTL`` is no number of seconds.
            WriteFailedError: The disk is full, broken or read-only.
        """
        ttl = heartbeats.usual_ttl() if ttl is None else ttl
        while True:
            chain = _walk(path)
            if chain and not _is_dead(chain[-1], ttl=ttl, wait=wait):
                raise LeaseHeldError(path, chain[-1].owner)
            target = _successor(path, chain[-1].token) if chain else path
            lease = cls._link(path, target)
            if lease is not None:
                break
        lease.ttl = ttl
        if heartbeat:
            lease._beating = True
            heartbeats.start(lease, interval=ttl / 4)
        return lease

    @classmethod
    def _link(cls, root: Path, target: Path) -> Lease | None:
        owner = Owner.current(token=secrets.token_hex(8))
        content = heartbeats.with_beat(msgspec.json.encode(owner))
        private = root.with_name(f".{root.name}.{owner.token}")
        with named_failures(root):
            try:
                create_file(private, content)
            except FileNotFoundError:
                make_dirs(root.parent)
                create_file(private, content)
            try:
                won = link_exclusive(private, target)
                descriptor = os.open(private, os.O_RDWR) if won else -1
            finally:
                with suppress(FileNotFoundError):
                    private.unlink()
        if not won:
            return None
        lease = cls(root, target, owner, descriptor)
        if target != root and not lease._in_chain():
            # The holder gave the lease back while we judged it: what we linked to is no longer part of it.
            lease._drop()
            return None
        return lease

    def _in_chain(self) -> bool:
        return any(node.token == self.owner.token for node in _walk(self.root))

    @property
    def lost(self) -> bool:
        """Whether somebody else took over, or the lease was given back or removed by hand."""
        if self._descriptor is None or os.path.lexists(_successor(self.root, self.owner.token)):
            return True
        try:
            # Opened, as a network file system answers lstat from what it remembers.
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError:
            return True
        try:
            return not os.path.sameopenfile(descriptor, self._descriptor)
        finally:
            os.close(descriptor)

    def beat(self) -> None:
        """Show others that we live: change our own file in place, which no successor's can be hit by."""
        descriptor = self._descriptor
        if descriptor is not None:
            heartbeats.write_beat(descriptor)

    def release(self) -> None:
        """Give the lease back; a second call, a lost lease and a forked child's copy do nothing.

        Raises:
            OSError: The disk is broken or read-only, so that the lease is held until this process ends.
        """
        if self._descriptor is None or os.getpid() != self.owner.pid:
            return
        if self._beating:
            heartbeats.stop(self)
        try:
            if not self.lost:
                try:
                    self._remove_chain()
                except (OSError, WriteFailedError):
                    heartbeats.write_given_back(self._descriptor)
        finally:
            self._close()

    def _remove_chain(self) -> None:
        # Taking over from ourselves shuts everyone else out; only then may the files go, first the one at
        # the lease's path. A successor's name goes after the file it succeeds, so nobody can link to it.
        chain = _walk(self.root)
        if not chain or chain[-1].token != self.owner.token:
            return
        seal = self._link(self.root, _successor(self.root, self.owner.token))
        if seal is None:
            return
        for node in chain:
            with suppress(FileNotFoundError):
                node.path.unlink()
        seal._drop()

    def _drop(self) -> None:
        with suppress(FileNotFoundError):
            self.path.unlink()
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.release()
        except OSError as failure:  # what the block did is done, or its own error tells more
            _log.warning("'%s' cannot be given back before this process ends: %s", self.root, failure)


def read_owner(path: Path) -> Owner | None:
    """Return who holds (or, dead, last held) a lease; None if nobody does or its file is damaged."""
    chain = _walk(path)
    return chain[-1].owner if chain else None


def is_alive(path: Path, *, ttl: float | None = None) -> bool:
    """Tell, without waiting, whether a lease is held by someone not known to be dead.

    Args:
        path: The lease.
        ttl: As for `Lease.acquire`; a holder elsewhere counts as alive until this process, over repeated
            calls, has seen no change for so long.
    """
    chain = _walk(path)
    return bool(chain) and not _is_dead(
        chain[-1], ttl=heartbeats.usual_ttl() if ttl is None else ttl, wait=False
    )


def _successor(root: Path, token: str) -> Path:
    return root.with_name(f"{root.name}.{token}")


def _walk(root: Path) -> list[_Node]:
    chain: list[_Node] = []
    path = root
    while True:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return chain
        node = _decode(path, content)
        chain.append(node)
        path = _successor(root, node.token)


def _decode(path: Path, content: bytes) -> _Node:
    try:
        owner = msgspec.json.decode(content, type=Owner)
    except (msgspec.DecodeError, UnicodeDecodeError):
        owner = None
    if owner is None or not owner.token.isalnum():
        return _Node(path, sha256_bytes(content)[:16], None, content)
    return _Node(path, owner.token, owner, content)


_seen: dict[Path, tuple[bytes, float]] = {}


def _is_dead(node: _Node, *, ttl: float, wait: bool) -> bool:
    if heartbeats.is_given_back(node.content):
        return True
    liveness = node.owner.liveness() if node.owner else Liveness.UNKNOWN
    if liveness is not Liveness.UNKNOWN:
        return liveness is Liveness.DEAD
    if node.path not in _seen or _seen[node.path][0] != node.content:
        _seen[node.path] = (node.content, time.monotonic())
    first = _seen[node.path][1]
    while time.monotonic() - first < ttl:
        if not wait:
            return False
        time.sleep(ttl / _POLLS_PER_TTL)
        try:
            if node.path.read_bytes() != node.content:
                return False
        except FileNotFoundError:
            return True  # given back; whoever links to it finds out that it is gone
    return True
