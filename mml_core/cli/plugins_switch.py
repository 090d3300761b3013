"""`mml plugins enable|disable`: plugins that a user, or a project, does without until told otherwise."""

from __future__ import annotations

import argparse
from pathlib import Path


def switch(args: argparse.Namespace, *, disabled: bool) -> int:
    """Write what is asked for, and say what holds now.

    Args:
        args: With ``name``, and with ``proj`` where it is for one project.
        disabled: Whether the plugin shall be disabled.

    Raises:
        UnknownPluginError: There is no such plugin; one that was disabled and is gone can be enabled.
        UnknownProjectError: There is no such project.
        SettingsError: The file cannot be read.
    """
    from mml_core.cli.environment import inspect_plugins, project_folder
    from mml_core.config.locations import resolve_locations
    from mml_core.plugins.names import aliases, normalise
    from mml_core.plugins.settings import project_file, read_settings, set_disabled, user_file

    project: Path | None = None
    if args.proj is not None:
        project = project_folder(resolve_locations().results, args.proj)
    path = user_file() if project is None else project_file(project)
    where = "for you" if project is None else f"in the project '{args.proj}'"
    known = [normalise(each) for each in read_settings(path)["disabled"]]
    gone = next((each for each in known if normalise(args.name) in aliases(each)), None)
    name = gone if gone is not None and not disabled else inspect_plugins(args).plugin(args.name).name
    _refuse_core(name)
    state = "disabled" if disabled else "enabled"
    changed = set_disabled(path, name, disabled=disabled)
    print(f"{name} is {state} {where}{'' if changed else ' already'} ({path}).")
    why = None if disabled else _still(name, project)
    if why is not None:
        print(f"It is still {why}.")
    return 0


def _refuse_core(name: str) -> None:
    from mml_core.cli.parsing import UsageError
    from mml_core.plugins.names import CORE

    if name == CORE:
        raise UsageError(f"{CORE} is no plugin; name one that `mml plugins list` shows.")


def _still(name: str, project: Path | None) -> str | None:
    from mml_core.plugins.blocking import Blocking

    return Blocking.from_environment(project=project).why(name)
