"""The first choice of backend: a small C library, preloaded into every process of the command."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from mml_core.testing.crash.barriers import Barrier, Injury, Victim, Watch, read_log

_NATIVE = Path(__file__).parent / "native"
_SOURCES = ("barriers.c", "opening.h", "writing.h", "naming.h", "streams.h")
_COUNTER_BYTES = 4096


class PreloadBackend:
    """Sees what Python, C, C++ and Rust code does, by standing between it and the C library."""

    name = "preloaded library"
    sees = (
        "all writes through the C library; not memory maps, io_uring, direct system calls, nor statically "
        "linked programs"
    )
    has_data = True
    has_hosts = True

    @staticmethod
    def is_available() -> bool:
        """Whether the library can be compiled and preloaded here."""
        return library() is not None

    def command(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        folder: Path,
        watch: Watch,
        injury: Injury | None,
    ) -> tuple[list[str], dict[str, str]]:
        """Return the command and the environment variables with which it is watched.

        Args:
            command: What is started.
            env: All its environment variables.
            folder: Empty, private to this start; the log is kept in it.
            watch: What is watched.
            injury: What happens to it.
        """
        (folder / "counter").write_bytes(bytes(_COUNTER_BYTES))
        (folder / "log").touch()
        loaded = [str(library()), *filter(None, [env.get("LD_PRELOAD")])]
        return list(command), {**env, "LD_PRELOAD": ":".join(loaded), **variables(folder, watch, injury)}

    def barriers(self, folder: Path) -> list[Barrier]:
        """Return what the command did that was started with ``folder``."""
        return read_log(folder / "log")


def variables(folder: Path, watch: Watch, injury: Injury | None) -> dict[str, str]:
    """Return the environment variables that the library and the hook for Python read."""
    found = {
        "MML_CRASH_DIR": str(folder),
        "MML_CRASH_ROOTS": "\n".join(map(str, watch.roots)),
        "MML_CRASH_IGNORE": "\n".join(watch.ignored),
        "MML_CRASH_DATA": "1" if watch.with_data else "0",
        "MML_CRASH_OUTSIDE": "1",
    }
    if watch.host:
        found["MML_CRASH_HOST"] = watch.host
    if injury is not None:
        action = "fail" if injury.errno else "kill" if injury.signal == signal.SIGKILL else "signal"
        found |= {
            "MML_CRASH_AT": str(injury.at),
            "MML_CRASH_ACTION": action,
            "MML_CRASH_NUMBER": str(injury.errno or int(injury.signal)),
            "MML_CRASH_TEAR": str(int(injury.torn)),
            "MML_CRASH_LASTING": str(int(injury.lasting)),
            "MML_CRASH_PROCESS_ONLY": str(int(injury.victim is Victim.PROCESS)),
        }
    return found


@cache
def library() -> Path | None:
    """Return the compiled library, which is made once per version; None where that cannot be done."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if platform.system() != "Linux" or compiler is None:
        return None
    digest = hashlib.sha256(platform.machine().encode())
    for name in _SOURCES:
        digest.update((_NATIVE / name).read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    made = Path(home) / "mml" / "crash" / f"barriers-{digest.hexdigest()[:16]}.so"
    if not made.exists() and not _compile(compiler, made):
        made = Path(_temporary_folder().name) / made.name
        if not _compile(compiler, made):
            return None
    return made if _loads(made) else None


@cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder that goes with this process, for where there is no home to keep the library in."""
    return tempfile.TemporaryDirectory(prefix="mml-crash-")


def _compile(compiler: str, made: Path) -> bool:
    try:
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent) as folder:
            private = Path(folder) / made.name
            command = [compiler, "-shared", "-fPIC", "-O2", "-U_FORTIFY_SOURCE", "-w", "-o", str(private)]
            subprocess.run([*command, str(_NATIVE / _SOURCES[0]), "-ldl"], check=True, capture_output=True)
            private.replace(made)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _loads(made: Path) -> bool:
    """Tell whether a process gets the library; the loader only warns where it cannot."""
    tried = subprocess.run(
        ["true"], env={**os.environ, "LD_PRELOAD": str(made)}, capture_output=True, check=False
    )
    return tried.returncode == 0 and not tried.stderr
