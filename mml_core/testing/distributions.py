"""Distributions for tests, on disk as an installer would write them: metadata, entry points, files."""

from __future__ import annotations

import hashlib
import importlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class FakeDistribution:
    """A distribution that :meth:`write` installs into a folder; put the folder on ``sys.path`` to use it.

    Attributes:
        name: The distribution's name, such as ``"mml-plugin-x"``.
        version: Its version.
        entry_points: Group to entry points, e.g. ``{"mml.plugins": {"x": "mml_x.plugin"}}``.
        requires: Its requirements, one ``Requires-Dist`` each.
        files: Path below the folder to text, e.g. ``{"mml_x/plugin.py": "MML_PLUGIN_API = 1"}``. Packages get
            an empty ``__init__.py`` where none is given.
        summary: Its summary.
    """

    name: str
    version: str = "1.0"
    entry_points: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    requires: Sequence[str] = ("mml-core>=2,<3",)
    files: Mapping[str, str] = field(default_factory=dict)
    summary: str = "A distribution for tests."

    @classmethod
    def plugin(
        cls,
        name: str,
        source: str,
        *,
        files: Mapping[str, str] | None = None,
        version: str = "1.0",
        requires: Sequence[str] = ("mml-core>=2,<3",),
    ) -> FakeDistribution:
        """Make ``mml-plugin-<name>`` with the package ``mml_<name>`` and its hook module.

        Args:
            name: What follows ``mml-plugin-``.
            source: Text of ``mml_<name>/plugin.py``.
            files: Further files, relative to the package's folder.
            version: Its version.
            requires: Its requirements.
        """
        package = f"mml_{name.replace('-', '_')}"
        inner = {f"{package}/{path}": text for path, text in (files or {}).items()}
        return cls(
            name=f"mml-plugin-{name}",
            version=version,
            requires=requires,
            entry_points={"mml.plugins": {name: f"{package}.plugin"}},
            files={f"{package}/plugin.py": source, **inner},
        )

    def write(self, folder: Path) -> Path:
        """Install into a folder.

        Args:
            folder: Made if need be; several distributions may share it.

        Returns:
            The ``.dist-info`` folder.
        """
        stem = self.name.replace("-", "_").replace(".", "_")
        info = f"{stem}-{self.version}.dist-info"
        texts = {**self._packages(), **self.files}
        texts[f"{info}/METADATA"] = self._metadata()
        texts[f"{info}/INSTALLER"] = "mml_core.testing\n"
        texts[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        if self.entry_points:
            texts[f"{info}/entry_points.txt"] = self._entry_points()
        record = []
        for path, text in texts.items():
            data = text.encode()
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            digest = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(data)}\n")
        (folder / info / "RECORD").write_text("".join([*record, f"{info}/RECORD,,\n"]))
        importlib.invalidate_caches()  # a folder listed in the same tick would hide the new modules
        return folder / info

    def _packages(self) -> dict[str, str]:
        folders = {parent for path in self.files if path.endswith(".py") for parent in Path(path).parents}
        return {f"{folder.as_posix()}/__init__.py": "" for folder in folders if folder != Path()}

    def _metadata(self) -> str:
        lines = ["Metadata-Version: 2.1", f"Name: {self.name}", f"Version: {self.version}"]
        lines += [f"Summary: {self.summary}", *(f"Requires-Dist: {each}" for each in self.requires)]
        return "\n".join([*lines, "", f"# {self.name}", ""])

    def _entry_points(self) -> str:
        lines = []
        for group, points in self.entry_points.items():
            lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items()), ""]
        return "\n".join(lines)
