"""What a scheduler is started with: plugins, places, and the run it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.config.locations import Locations, resolve_locations

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager


@dataclass
class RunContext:
    """The surroundings of a run.

    Attributes:
        plugins: The plugins of this process.
        locations: The data and the results folder.
        run_dir: The run's directory; None where it is still to be made, or where nothing is written.
        writes: Whether the run may write at all; None: as the mode's SchedulerSpec says.
        command: What the user typed, for the run's record.
    """

    plugins: PluginManager
    locations: Locations
    run_dir: Path | None = None
    writes: bool | None = None
    command: tuple[str, ...] = field(default=())

    @property
    def run_id(self) -> str | None:
        """The run's id, the name of its directory."""
        return self.run_dir.name if self.run_dir is not None else None

    @classmethod
    def of(cls, cfg: Mapping[str, Any]) -> RunContext:
        """Return the context of a scheduler that is constructed without one."""
        from mml_core.plugins import PluginManager

        paths = cfg.get("paths") or {}
        return cls(plugins=PluginManager.discover(), locations=resolve_locations(dict(paths)))
