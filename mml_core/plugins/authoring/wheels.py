"""The wheel of a plugin: built from its source, opened, and looked at."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mml_core.plugins.authoring.findings import Finding
from mml_core.plugins.discovery import parse_entry_points, parse_headers
from mml_core.plugins.errors import PluginError
from mml_core.plugins.names import CORE, normalise

_LEFT_OUT = ("__pycache__", "*.egg-info", ".venv", "build", "dist", "*.pyc", ".*_cache")
_STRAY = re.compile(
    r"(^|/)(tests?|__pycache__|\.git|\.venv|\.[a-z]+_cache|\.DS_Store)(/|$)|\.pyc$|(^|/)conftest\.py$"
)
_OPTIONS = (".yaml", ".yml")


class WheelError(PluginError):
    """A folder is no source of a plugin, or no wheel can be built from it."""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a distribution says of itself.

    Attributes:
        text: Its ``METADATA`` file.
    """

    text: str

    def all(self, field: str) -> list[str]:
        """Return all values of a field."""
        return [value for key, value in parse_headers(self.text) if key == field.lower()]

    @property
    def name(self) -> str:
        """Its normalised name."""
        return normalise(next(iter(self.all("Name")), ""))

    def findings(self) -> Iterator[Finding]:
        """Check what it says."""
        yield Finding.of("it says which mml-core it needs", *_pin(self.all("Requires-Dist")))
        body = self.text.partition("\n\n")[2].strip() or " ".join(self.all("Description")).strip()
        lacks = [] if body else ["it has no long description: name the README.md as readme in pyproject.toml"]
        yield Finding.of("its README comes with it", lacks)
        licences = [*self.all("License-Expression"), *self.all("License"), *self.all("License-File")]
        lacks = [] if licences else ['say under which licence it is: license = "MIT" in pyproject.toml']
        yield Finding.of("it has a licence", lacks, ", ".join(licences[:1]))


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel that was built and unpacked.

    Attributes:
        site: Where it is unpacked, as an installer would.
        source: The folder it was built from.
        names: The names of its files.
    """

    site: Path
    source: Path
    names: tuple[str, ...]

    @property
    def metadata(self) -> Metadata:
        """What it says of itself."""
        (path,) = self.site.glob("*.dist-info/METADATA")
        return Metadata(text=path.read_text(encoding="utf-8"))

    @property
    def packages(self) -> list[str]:
        """What can be imported from it."""
        tops = {name.partition("/")[0] for name in self.names}
        return sorted(top.removesuffix(".py") for top in tops if not top.endswith((".dist-info", ".data")))

    def findings(self) -> Iterator[Finding]:
        """Check what is in it."""
        stray = [name for name in self.names if _STRAY.search(name)]
        faults = [f"leave out {name}" for name in stray[:3]]
        own = {value.partition(":")[0].partition(".")[0] for value in self._entry_points()}
        faults += [
            f"it installs a package {each!r}, of no entry point" for each in self.packages if each not in own
        ]
        yield Finding.of("its wheel holds its package and nothing else", faults, f"{len(self.names)} files")
        missing = [name for name in self._options() if name not in self.names]
        yield Finding.of(
            "its wheel holds its config files",
            [
                f"{name} is not in it: let the build include {'*' + name[name.rindex('.') :]}"
                for name in missing
            ],
        )

    def _entry_points(self) -> list[str]:
        (info,) = self.site.glob("*.dist-info")
        path = info / "entry_points.txt"
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        return [value for group, _, value in parse_entry_points(text) if group.startswith("mml.")]

    def _options(self) -> list[str]:
        """Return the YAML files of its packages in the source, as a wheel would name them."""
        found = []
        for root in (self.source / "src", self.source):
            for package in self.packages:
                files = sorted((root / package).rglob("*"))
                found += [path.relative_to(root).as_posix() for path in files if path.suffix in _OPTIONS]
        return list(dict.fromkeys(found))


@contextmanager
def built(source: Path) -> Iterator[Wheel]:
    """Build the wheel of a source tree from a copy of it, and unpack it; both are gone at the end.

    Args:
        source: A folder with a ``pyproject.toml``.

    Raises:
        WheelError: It has none, or pip cannot build it.
    """
    if not (source / "pyproject.toml").is_file():
        raise WheelError(f"There is no pyproject.toml in '{source}': name the folder of a plugin's source.")
    with tempfile.TemporaryDirectory(prefix="mml-wheel-") as scratch:
        copy, out, site = (Path(scratch) / name for name in ("source", "wheel", "site"))
        shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        _build(copy, out, source)
        (path,) = out.glob("*.whl")
        with zipfile.ZipFile(path) as archive:
            archive.extractall(site)
            names = tuple(name for name in archive.namelist() if not name.endswith("/"))
        yield Wheel(site=site, source=copy, names=names)


def _build(source: Path, out: Path, named: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps"]
    ended = subprocess.run(
        [*command, "-w", str(out), str(source)], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        said = [line.strip() for line in (ended.stderr or ended.stdout).splitlines() if line.strip()]
        errors = [line for line in said if "error" in line.lower()] or said
        raise WheelError(
            f"No wheel can be built from '{named}': {' '.join(errors[:2])} `pip wheel .` says more."
        )


def _pin(requirements: list[str]) -> tuple[list[str], str]:
    """Return what is wrong with the requirement of mml-core, and the requirement."""
    from packaging.requirements import Requirement

    ours = [each for each in map(Requirement, requirements) if normalise(each.name) == CORE]
    if not ours:
        return [f'add "{CORE}>=2,<3" to its dependencies'], ""
    signs = {specifier.operator for each in ours for specifier in each.specifier}
    if not signs & {">=", ">", "~=", "=="}:
        return [f'{ours[0]} takes mml-core 1, another program: write "{CORE}>=2,<3"'], ""
    if not signs & {"<", "<=", "~=", "=="}:
        return [f'{ours[0]} takes an mml-core that may break it: write "{CORE}>=2,<3"'], ""
    return [], str(ours[0])


def is_source(text: str) -> bool:
    """Tell whether what someone typed means a folder and no installed distribution."""
    return "/" in text or text.startswith(".") or (Path(text) / "pyproject.toml").is_file()
