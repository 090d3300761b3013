"""A trial: fresh folders, and the real command run in them under a backend."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mml_core.testing.crash.backends import Backend
from mml_core.testing.crash.barriers import Barrier, Injury, Watch

COMMAND = "import sys; from mml_core.cli.main import main; sys.exit(main())"
IGNORED = ("*/runs/*/log.txt", "*/__pycache__/*", "*/.lease.* (deleted)", "/dev/*", "/proc/*", "/sys/*")
"""What is written whenever it likes and read by nobody: logs, bytecode, the heartbeats of leases."""

_POLL_SECONDS = 0.005


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Its exit code; negative: the signal that ended it; None: it did not end in time.
        out: What it wrote to standard output.
        err: What it wrote to standard error.
        barriers: What it did to the disk.
    """

    code: int | None
    out: str
    err: str
    barriers: list[Barrier]

    def message(self) -> str:
        """Return the last thing it said, one line."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1].strip() if lines else "it said nothing"


class Running:
    """A command that was started.

    Args:
        process: Its process, leader of a group and session of its own.
        folder: Where its output and its log are.
        backend: What watches it.
    """

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, backend: Backend) -> None:
        self._process = process
        self._folder = folder
        self._backend = backend

    def ended(self, timeout: float) -> Ended:
        """Wait for the end; after ``timeout`` seconds the command is killed."""
        in_time = self._wait(timeout)
        # While its leader is not reaped, the number of the session is nobody else's: workers may outlive it.
        self._signal(signal.SIGKILL)
        code = self._process.wait()
        out, err = ((self._folder / name).read_text(errors="replace") for name in ("out", "err"))
        return Ended(code if in_time else None, out, err, self._backend.barriers(self._folder))

    def _wait(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while os.waitid(os.P_PID, self._process.pid, options) is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def wait_until_stopped(self, timeout: float) -> bool:
        """Wait until the command is stopped by SIGSTOP; False if it ended, or went on for ``timeout``."""
        deadline = time.monotonic() + timeout
        while (state := _state_of(self._process.pid)) not in "TZ" and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return state == "T"

    def go_on(self) -> None:
        """Let a stopped command go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, signum: signal.Signals) -> None:
        """Signal all processes of the command: its own group, and workers, which lead groups of their own."""
        os.killpg(self._process.pid, signum)
        for pid in [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]:
            with suppress(ProcessLookupError, PermissionError):
                if os.getsid(pid) == self._process.pid:
                    os.kill(pid, signum)


def _state_of(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "Z"
    return text[text.rindex(")") + 2]


@dataclass
class Trial:
    """Data, results and a working directory of their own, as a copy of what was prepared.

    All trials of one kit have roots of the same length, so that a path makes no file longer.

    Attributes:
        root: Holds all three; everything below it is watched.
        backend: What watches the commands.
        env: Environment variables of the commands.
        ignored: Further globs of paths whose changes are no barriers.
    """

    root: Path
    backend: Backend
    env: Mapping[str, str] = field(default_factory=dict)
    ignored: Sequence[str] = ()
    _started: int = 0

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.root / "data"

    @property
    def results(self) -> Path:
        """The folder of all projects."""
        return self.root / "results"

    @property
    def work(self) -> Path:
        """The working directory, in which nothing should be written."""
        return self.root / "work"

    def fill(self, data: Path, results: Path) -> None:
        """Begin with a copy of these folders, and nothing else."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.work.mkdir(parents=True)
        for source, target in ((data, self.data), (results, self.results)):
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True)

    def run(
        self,
        arguments: Sequence[str],
        *,
        timeout: float,
        injury: Injury | None = None,
        with_data: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run ``mml`` with ``arguments`` to its end."""
        return self.start(arguments, injury=injury, with_data=with_data, env=env).ended(timeout)

    def start(
        self,
        arguments: Sequence[str],
        *,
        injury: Injury | None = None,
        with_data: bool = False,
        host: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Running:
        """Start ``mml`` with ``arguments``.

        Args:
            arguments: The command line.
            injury: What happens to it.
            with_data: Whether the log holds what was written.
            host: The name of the machine as the command sees it; empty: the real one.
            env: Further environment variables.
        """
        self._started += 1
        folder = self.root.with_name(f"{self.root.name}.{self._started}")
        shutil.rmtree(folder, ignore_errors=True)
        temporary = folder / "tmp"
        temporary.mkdir(parents=True)
        ignored = (*IGNORED, f"{folder}/*", *self.ignored)
        watch = Watch((self.root,), ignored, with_data=with_data, host=host)
        command = [sys.executable, "-c", COMMAND, *arguments]
        places = {"MML_DATA_PATH": self.data, "MML_RESULTS_PATH": self.results, "TMPDIR": temporary}
        variables = {key: str(path) for key, path in places.items()}
        whole = {**os.environ, **self.env, **variables, **(env or {})}
        command, whole = self.backend.command(command, whole, folder, watch, injury)
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            process = subprocess.Popen(
                command,
                cwd=self.work,
                env=whole,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        return Running(process, folder, self.backend)

    def remove(self) -> None:
        """Remove the folders and the logs."""
        for path in (self.root, *self.root.parent.glob(f"{self.root.name}.*")):
            shutil.rmtree(path, ignore_errors=True)
