"""Where data and results lie on this machine, and which setting says so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mml_core.errors import MMLError

ENV_FILE = "mml.env"
VARIABLES = {"data": "MML_DATA_PATH", "results": "MML_RESULTS_PATH"}


class EnvFileError(MMLError):
    """A line of an ``mml.env`` file is not ``KEY=VALUE``."""


@dataclass(frozen=True, kw_only=True)
class Locations:
    """The two folders mml works with.

    Attributes:
        data: Datasets, tasks and preprocessed variants.
        results: One folder per project.
        why: For ``data`` and ``results``: the setting that decided, as a reader would name it.
    """

    data: Path
    results: Path
    why: Mapping[str, str] = field(default_factory=dict)


def resolve_locations(overrides: Mapping[str, str | Path | None] | None = None) -> Locations:
    """Find the data and the results folder; neither is created.

    The first that names a folder wins: an override, the environment variable, the nearest ``mml.env`` file
    in the working directory or above it, ``~/mml/mml.env``, the default below ``~/mml``. Relative paths in an
    ``mml.env`` file start at that file's folder, all others at the working directory.

    Args:
        overrides: ``data`` and ``results`` as given on the command line; absent or None where not given.

    Raises:
        EnvFileError: An ``mml.env`` file that had to be read is malformed.
    """
    given = overrides or {}
    found: dict[str, Path] = {}
    why: dict[str, str] = {}
    files: list[tuple[Path, dict[str, str]]] | None = None
    for key, variable in VARIABLES.items():
        override = given.get(key)
        if override is not None:
            found[key], why[key] = _absolute(override, Path.cwd()), f"override paths.{key}"
            continue
        if os.environ.get(variable):
            found[key], why[key] = (
                _absolute(os.environ[variable], Path.cwd()),
                f"environment variable {variable}",
            )
            continue
        if files is None:
            files = [(path, read_env_file(path)) for path in env_files()]
        for path, values in files:
            if values.get(variable):
                found[key], why[key] = _absolute(values[variable], path.parent), f"{variable} in {path}"
                break
        else:
            found[key], why[key] = Path.home() / "mml" / key, "default"
    return Locations(data=found["data"], results=found["results"], why=why)


def env_files() -> list[Path]:
    """Return the ``mml.env`` files that exist, the one that decides first."""
    cwd = Path.cwd()
    candidates = [folder / ENV_FILE for folder in (cwd, *cwd.parents)]
    candidates.append(Path.home() / "mml" / ENV_FILE)
    return [path for path in dict.fromkeys(candidates) if path.is_file()]


def read_env_file(path: Path) -> dict[str, str]:
    """Read ``KEY=VALUE`` lines; blank lines, ``#`` comments, ``export`` and quoted values are allowed.

    Raises:
        EnvFileError: A line is neither blank, nor a comment, nor an assignment; it is named with its number.
    """
    values: dict[str, str] = {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EnvFileError(f"{path} cannot be read ({error}); repair or remove it.") from error
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, value = stripped.removeprefix("export ").partition("=")
        if not equals or not key.strip().isidentifier():
            raise EnvFileError(f"Line {number} of {path} reads {stripped!r}; write KEY=VALUE.")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[key.strip()] = value
    return values


def _absolute(path: str | Path, base: Path) -> Path:
    return Path(os.path.normpath(base / Path(os.path.expandvars(path)).expanduser()))
