"""The last choice of backend: Python's own functions, replaced in every Python process of the command."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mml_core.testing.crash.barriers import Barrier, Injury, Watch, read_log
from mml_core.testing.crash.preload import variables

_HOOK = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("_mml_crash_hook", {hook!r})
hook = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hook)
hook.install()
sys.path.remove({folder!r})
del sys.modules["sitecustomize"]
try:
    import sitecustomize  # the one that this one hides
except ImportError:
    pass
"""


class PythonBackend:
    """Sees what Python code does; works wherever Python does."""

    name = "Python's own functions"
    sees = "Python's writes only, not those of C and Rust code"
    has_data = False
    has_hosts = False

    @staticmethod
    def is_available() -> bool:
        """Whether it works on this machine: it always does."""
        return True

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
        site = folder / "site"
        site.mkdir()
        for name in ("counter", "log"):
            (folder / name).touch()
        hook = Path(__file__).with_name("hook.py")
        (site / "sitecustomize.py").write_text(_HOOK.format(hook=str(hook), folder=str(site)))
        path = os.pathsep.join([str(site), *filter(None, [env.get("PYTHONPATH")])])
        return list(command), {**env, **variables(folder, watch, injury), "PYTHONPATH": path}

    def barriers(self, folder: Path) -> list[Barrier]:
        """Return what the command did that was started with ``folder``."""
        return read_log(folder / "log")
