"""The executor ``processes``: each step in a fresh process of this machine, as many at once as fit."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from mml_core.errors import MMLError
from mml_core.scheduling import workers
from mml_core.scheduling.executors import Event
from mml_core.scheduling.process_groups import SuspendedTogether, kill_left_over
from mml_core.scheduling.resources import Machine, ResourceError, Share, processors

_LOOK_AHEAD = 64
"""Steps that wait for their resources: among them one that fits may be found."""

_POLL_SECONDS = 1.0


class ForkServerError(MMLError):
    """The process that workers are forked from is gone."""


@dataclass
class _Job:
    step_id: str
    needs: Mapping[str, float]
    run_dir: Path
    process: ForkServerProcess | None = None
    share: Share | None = None
    messages: Connection | None = None


class ProcessesExecutor:
    """Starts a worker process per step, each on processors, memory and GPUs of its own.

    Args:
        cfg: The run's config; its node ``executor`` has ``workers``, ``cpus``, ``gpus``, ``memory``,
            ``preload`` and ``grace``.

    Raises:
        ResourceError: A number of these makes no sense.
        ForkServerError: A library that is to be preloaded ends the process that imports it.
    """

    def __init__(self, cfg: Any) -> None:
        options = cfg.executor
        self._slots = _slots(options.get("workers"))
        self.capacity = self._slots + _LOOK_AHEAD
        self._machine = Machine.of(options, self._slots)
        self._preload = [str(name) for name in options.get("preload") or ()]
        self._grace = float(options.get("grace") or 0)
        self._queue: deque[_Job] = deque()
        self._running: list[_Job] = []
        self._context: ForkServerContext | None = None
        self._display = _make_display(cfg)
        self._suspended = SuspendedTogether(self._workers)

    def start(self, run_dir: Path | None, step_id: str, resources: Mapping[str, float]) -> _Job:
        """Queue a step; it begins as soon as what it needs is free."""
        assert run_dir is not None
        job = _Job(step_id, resources, run_dir)
        self._queue.append(job)
        self._launch()
        return job

    def poll(self) -> list[Event]:
        """Return which steps ended; wait for one, up to a second."""
        self._launch()  # not after a step has ended: its failure may stop those that have not begun
        sources: list[Any] = [job.process.sentinel for job in self._running if job.process is not None]
        sources += [job.messages for job in self._running if job.messages is not None]
        wait(sources, _POLL_SECONDS)
        events = []
        for job in list(self._running):
            self._show(job)
            if job.process is not None and not job.process.is_alive():
                events.append(Event(job.step_id, how=_how(job.process.exitcode)))
                self._end(job)
        return events

    def cancel(self, handle: _Job) -> bool:
        """Take back a step that has not begun."""
        if handle not in self._queue:
            return False
        self._queue.remove(handle)
        return True

    def close(self) -> None:
        """Ask all workers to checkpoint and stop; those that have not after ``grace`` seconds are killed.

        So are the programs that a worker has started, unless it has done its step.
        """
        self._queue.clear()
        for job in self._running:
            _signal(job, signal.SIGTERM)
        deadline = time.monotonic() + self._grace
        while self._running and time.monotonic() < deadline:
            wait([job.process.sentinel for job in self._running if job.process is not None], 0.2)
            for job in list(self._running):
                self._show(job)
                if job.process is not None and not job.process.is_alive():
                    self._end(job)
        for job in list(self._running):
            _signal(job, signal.SIGKILL)
            if job.process is not None:
                job.process.join()
            self._end(job)
        self._suspended.end()
        if self._display is not None:
            self._display.close()

    def _launch(self) -> None:
        for job in list(self._queue):
            if len(self._running) >= self._slots:
                return
            share = self._machine.take(job.needs)
            if share is not None:
                self._queue.remove(job)
                self._begin(job, share)

    def _begin(self, job: _Job, share: Share) -> None:
        context = self._context or self._fork_server(job.run_dir)
        environment = dict(os.environ)
        if self._machine.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(share.gpus)
        theirs = None
        if self._display is not None:
            job.messages, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=workers.main, args=(str(job.run_dir), job.step_id, environment, theirs), daemon=False
        )
        try:
            with _main_left_alone():
                process.start()
        except (EOFError, ConnectionError) as error:
            raise ForkServerError(
                "The process that workers are forked from has ended; what it printed says why. Where a "
                f"library of executor.preload=[{','.join(self._preload)}] cannot be imported, leave it out."
            ) from error
        if theirs is not None:
            theirs.close()
        job.process, job.share = process, share
        self._running.append(job)

    def _fork_server(self, run_dir: Path) -> ForkServerContext:
        context = multiprocessing.get_context("forkserver")
        # mml first: it lets libraries find what is missing in a torch for processors alone.
        context.set_forkserver_preload(["mml_core", *self._preload, workers.__name__])
        os.environ[workers.RUN_VARIABLE] = str(run_dir)
        try:
            forkserver.ensure_running()
        finally:
            del os.environ[workers.RUN_VARIABLE]
        self._context = context
        self._suspended.begin()
        return context

    def _workers(self) -> list[int]:
        pids = [job.process.pid for job in self._running if job.process is not None]
        return [pid for pid in pids if pid is not None]

    def _show(self, job: _Job) -> None:
        while job.messages is not None and self._display is not None and job.messages.poll():
            try:
                self._display.show(job.step_id, job.messages.recv())
            except EOFError:
                job.messages = None

    def _end(self, job: _Job) -> None:
        self._running.remove(job)
        if job.share is not None:
            self._machine.give_back(job.share)
        if self._display is not None:
            self._display.end(job.step_id)
        if job.process is not None:
            if job.process.exitcode != 0 and job.process.pid is not None:
                kill_left_over(job.process.pid)
            job.process.close()


@contextmanager
def _main_left_alone() -> Iterator[None]:
    """Keep a worker from running the script again that started the run: it needs nothing of it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _slots(asked: Any) -> int:
    if asked is None:
        return processors()
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
        raise ResourceError(f"executor.workers is {asked!r}; give a whole number from 1, or null.")
    return asked


def _signal(job: _Job, signum: signal.Signals) -> None:
    if job.process is not None and job.process.pid is not None and job.process.is_alive():
        os.kill(job.process.pid, signum)


def _how(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        return f"was killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"
    return f"ended with exit code {exitcode}"


def _make_display(cfg: Any) -> Any:
    if not sys.stderr.isatty():
        return None
    from mml_core.scheduling.display import Display

    return Display()
