"""Installing distributions and plugins for one test: for its process and those that it starts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.testing.distributions import FakeDistribution

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager


@dataclass
class FakeDistributions:
    """Installs distributions; they are there for this process and those it starts.

    Attributes:
        site: Where they are installed.
    """

    site: Path
    _packages: set[str] = field(default_factory=set)

    def __call__(self, name: str, **fields: Any) -> Path:
        """Install a distribution and return its ``.dist-info`` folder.

        Args:
            name: Its name.
            **fields: What it consists of; see :class:`~mml_core.testing.distributions.FakeDistribution`.
        """
        return self.install(FakeDistribution(name=name, **fields))

    def install(self, distribution: FakeDistribution) -> Path:
        """Install one that was made, and return its ``.dist-info`` folder."""
        info = distribution.write(self.site)
        self._packages |= {path.partition("/")[0].removesuffix(".py") for path in distribution.files}
        self.forget()
        return info

    def forget(self) -> None:
        """Let the modules of the distributions be imported anew."""
        import importlib

        importlib.invalidate_caches()
        for module in list(sys.modules):
            if module.partition(".")[0] in self._packages:
                del sys.modules[module]


@dataclass(frozen=True)
class InlinePlugins:
    """Installs plugins from text; they are there for this process and those it starts.

    Attributes:
        distributions: What installs them.
    """

    distributions: FakeDistributions

    def __call__(self, name: str, source: str, files: Mapping[str, str] | None = None) -> PluginManager:
        """Install ``mml-plugin-<name>`` and return a manager that has found it.

        Args:
            name: What follows ``mml-plugin-``; the package is ``mml_<name>``.
            source: Text of its hook module ``mml_<name>/plugin.py``.
            files: Further files: path in the package → text.
        """
        from mml_core.plugins import PluginManager

        self.distributions.install(FakeDistribution.plugin(name, source, files=files))
        return PluginManager.discover()
