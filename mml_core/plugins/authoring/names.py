"""The names that a new plugin goes by: one word makes its distribution, package and classes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mml_core.plugins.errors import PluginError
from mml_core.plugins.names import CORE, PREFIX, normalise

_FORM = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40


class PluginNameError(PluginError):
    """A new plugin cannot be called so."""


@dataclass(frozen=True, kw_only=True)
class PluginName:
    """What a plugin is called where.

    Attributes:
        name: What follows ``mml-plugin-``, e.g. ``"blood-cells"``; a command is called so.
    """

    name: str

    @classmethod
    def of(cls, text: str) -> PluginName:
        """Read a name as someone typed it, with or without ``mml-plugin-``.

        Raises:
            PluginNameError: It is no name for a distribution and a package.
        """
        normal = normalise(text)
        name = normal.removeprefix(PREFIX)
        if not _FORM.fullmatch(name) or len(name) > _LONGEST or normal == CORE:
            raise PluginNameError(
                f"A plugin cannot be called {text!r}: write letters, digits and dashes, beginning with a"
                f" letter, at most {_LONGEST}, such as 'blood-cells'; it becomes {PREFIX}blood-cells."
            )
        return cls(name=name)

    @property
    def distribution(self) -> str:
        """The distribution, e.g. ``"mml-plugin-blood-cells"``."""
        return f"{PREFIX}{self.name}"

    @property
    def slug(self) -> str:
        """The mode, the tag, the path key, e.g. ``"blood_cells"``."""
        return self.name.replace("-", "_")

    @property
    def package(self) -> str:
        """The package, e.g. ``"mml_blood_cells"``."""
        return f"mml_{self.slug}"

    @property
    def camel(self) -> str:
        """What classes begin with, e.g. ``"BloodCells"``."""
        return "".join(word.capitalize() for word in self.name.split("-"))
