"""Who holds a lease: which process on which boot of which machine, and whether it still lives."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import sys
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path

import msgspec

_JOB_VARIABLES = ("SLURM_JOB_ID", "LSB_JOBID", "PBS_JOBID", "JOB_ID")


class Liveness(Enum):
    """What one process can know of another: it lives, it is dead, or only time can tell."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A process, told apart from every other that had or will have its pid.

    Attributes:
        host: The machine's name.
        boot_id: Changes with every boot of the machine.
        pid: The process.
        start_time: When the process started, as the operating system counts it.
        job_id: The cluster job it runs in, if any.
        machine: Tells machines of one name apart.
        pid_namespace: Pids compare only within one; containers have their own.
        since: When it took what it owns, for people.
        token: Unique to one taking.
    """

    host: str
    boot_id: str
    pid: int
    start_time: str
    job_id: str = ""
    machine: str = ""
    pid_namespace: str = ""
    since: str = ""
    token: str = ""

    @classmethod
    def current(cls, *, token: str = "") -> Owner:
        """Return this process as an owner from now on."""
        pid = os.getpid()
        return cls(
            host=socket.gethostname(),
            boot_id=_boot_id(),
            pid=pid,
            start_time=_own_start_time(pid),
            job_id=next((os.environ[name] for name in _JOB_VARIABLES if os.environ.get(name)), ""),
            machine=_machine(),
            pid_namespace=_pid_namespace(),
            since=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            token=token,
        )

    def describe(self) -> str:
        """Return one phrase for an error message: which process, where, since when."""
        job = f" (job {self.job_id})" if self.job_id else ""
        return f"pid {self.pid} on host {self.host}{job} since {self.since}"

    def liveness(self) -> Liveness:
        """Judge, without waiting, whether this owner still lives."""
        if (self.host, self.machine) != (socket.gethostname(), _machine()):
            return Liveness.UNKNOWN
        if self.boot_id != _boot_id():
            return Liveness.DEAD
        if self.pid_namespace != _pid_namespace():
            return Liveness.UNKNOWN
        started = process_start_time(self.pid)
        return Liveness.ALIVE if started is not None and started == self.start_time else Liveness.DEAD


def process_start_time(pid: int) -> str | None:
    """Return when a process of this machine started, or None if it is gone or a zombie.

    Args:
        pid: The process.
    """
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat[stat.rindex(")") + 2 :].split()  # the command before it may hold blanks and brackets
        state, started = fields[0], fields[19]
        return None if state in "ZXx" else started
    listed = subprocess.run(
        ["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return None if len(listed) < 2 or listed[0].startswith("Z") else listed[1].strip()


@functools.lru_cache(maxsize=2)
def _own_start_time(pid: int) -> str:
    return process_start_time(pid) or ""


@functools.lru_cache(maxsize=1)
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        asked = subprocess.run(
            ["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, check=False
        )
        return asked.stdout.strip()


@functools.lru_cache(maxsize=1)
def _machine() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
