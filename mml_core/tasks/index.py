"""The tasks that are installed in a data folder, and their preprocessed variants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mml_core.errors import near_matches
from mml_core.tasks.description import RAW, TaskDescription, TaskHeader
from mml_core.tasks.errors import DamagedTaskError, UnknownTaskError
from mml_core.tasks.headers import HeaderFolder
from mml_core.tasks.tags import apply_tags, parse_task_name, task_to_create

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager


class TaskIndex:
    """Finds installed tasks by name.

    Start-up costs one stat per header, whatever the headers hold: see `HeaderFolder`. Nothing is read
    before it is asked for, and a data folder that does not exist is one without tasks.

    Args:
        data: The data folder.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self._raw = HeaderFolder(data / "tasks", data / "cache" / "tasks.index")
        self._preprocessed: dict[str, HeaderFolder] = {}

    def names(self) -> list[str]:
        """The names of the installed tasks, sorted."""
        return self._raw.names()

    def headers(self) -> dict[str, TaskHeader]:
        """The header of every installed task that can be read; see `problems` for the others."""
        return {name: found for name, found in self._raw.headers() if isinstance(found, TaskHeader)}

    def problems(self) -> dict[str, DamagedTaskError]:
        """For every installed task whose header cannot be read, what is wrong with it."""
        return {name: found for name, found in self._raw.headers() if not isinstance(found, TaskHeader)}

    def preprocessings(self) -> list[str]:
        """The ids of all preprocessings that some task is stored in, sorted."""
        folder = self.data / "preprocessed"
        if not folder.is_dir():
            return []
        return sorted(path.name for path in folder.iterdir() if path.name[0] != "." and path.is_dir())

    def variants(self, name: str) -> list[str]:
        """The ids of the preprocessings an installed task is stored in, sorted."""
        base, _ = parse_task_name(name)
        return [found for found in self.preprocessings() if self._folder(found).get(base) is not None]

    def __contains__(self, name: str) -> bool:
        return self._raw.get(parse_task_name(name)[0]) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def get(
        self,
        name: str,
        preprocessing: str | None = None,
        plugins: PluginManager | None = None,
        seed: int = 0,
    ) -> TaskDescription:
        """Return a task by name, as its tags make it.

        Args:
            name: An installed task, with tags or without.
            preprocessing: The id of the preprocessing it must be stored in; None for the raw images.
            plugins: Where tags are looked up, and what could be created instead of an unknown task.
            seed: What tags that choose at random choose by.

        Raises:
            UnknownTaskError: No such task is installed, or not in that preprocessing; the message names what
                is near, what can be created, and how.
            DamagedTaskError: Its header cannot be read.
        """
        base, tags = parse_task_name(name)
        folder = self._raw if preprocessing in (None, RAW) else self._folder(str(preprocessing))
        header = folder.get(base)
        if header is None:
            raise self._unknown(task_to_create(name), base, preprocessing, plugins)
        description = TaskDescription(header, folder.folder / base, self.data)
        if not tags:
            return description
        if plugins is None:
            from mml_core.plugins import PluginManager

            plugins = PluginManager(builtin=True)
        return apply_tags(description, tags, plugins, seed)

    def refresh(self) -> None:
        """Look at the data folder again, after tasks were added or removed."""
        self._raw.refresh()
        self._preprocessed.clear()

    def _folder(self, preprocessing: str) -> HeaderFolder:
        if preprocessing not in self._preprocessed:
            self._preprocessed[preprocessing] = HeaderFolder(
                self.data / "preprocessed" / preprocessing,
                self.data / "cache" / f"preprocessed.{preprocessing}.index",
            )
        return self._preprocessed[preprocessing]

    def _unknown(
        self, name: str, base: str, preprocessing: str | None, plugins: PluginManager | None
    ) -> UnknownTaskError:
        installed = self.names()
        if base in installed:
            found = ", ".join(self.variants(base)) or "none"
            return UnknownTaskError(
                f"Task '{base}' is not stored in preprocessing '{preprocessing}' (it is in: {found}): run "
                f"`mml run --mode=preprocess --tasks {base}`."
            )
        creatable = plugins.tasks.names() if plugins is not None else []
        if plugins is not None and plugins.find_task(name) is not None:
            return UnknownTaskError(
                f"Task '{name}' is not installed in {self.data}, but can be: run "
                f"`mml run --mode=create --tasks {name}`."
            )
        near = near_matches(name, {*installed, *creatable})
        where = f"{self.data} has {len(installed)} tasks, plugins can create {len(creatable)}"
        failed = plugins.not_loaded() if plugins is not None else ""
        return UnknownTaskError(f"No task '{name}': {where}.{near} `mml tasks` lists them.{failed}")
