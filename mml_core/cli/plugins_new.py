"""Write a new plugin: a whole repository with a worked example, whose own tests pass.

Without an option it gets a mode and a kind of file. Then `pip install -e .`, `pytest`, `mml plugins check .`
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mml_core.plugins.authoring.names import PluginName


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    from mml_core.plugins.authoring.parts import PARTS

    parser.add_argument("name", metavar="NAME", help="what follows 'mml-plugin-', such as blood-cells")
    for part in PARTS:
        parser.add_argument(
            f"--{part.name}", dest="parts", action="append_const", const=part.name, help=part.summary
        )
    parser.add_argument(
        "--dir", type=Path, metavar="FOLDER", help="an empty or new folder (default: mml-plugin-NAME)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the repository and say what to do with it.

    Raises:
        PluginNameError: The name is none, or taken.
        TargetError: The folder is not empty.
    """
    from mml_core.plugins.authoring.names import PluginName
    from mml_core.plugins.authoring.parts import DEFAULT
    from mml_core.plugins.authoring.skeleton import skeleton, write

    name = PluginName.of(args.name)
    parts = args.parts or list(DEFAULT)
    _refuse_taken(name, parts, args)
    target = args.dir or Path(name.distribution)
    files = skeleton(name, parts)
    write(files, target)
    print(f"Wrote {len(files)} files of {name.distribution} to {target}. Next:")
    for line in (f"cd {target}", "pip install -e '.[dev]'", "pytest", "mml plugins check ."):
        print(f"  {line}")
    return 0


def _refuse_taken(name: PluginName, parts: list[str], args: argparse.Namespace) -> None:
    """Refuse a name that an installed distribution, package, command or contribution has."""
    from contextlib import suppress
    from importlib.metadata import PackageNotFoundError, version
    from importlib.util import find_spec

    from mml_core.cli.environment import inspect_plugins
    from mml_core.cli.main import COMMANDS, plugin_commands
    from mml_core.plugins.authoring.names import PluginNameError
    from mml_core.plugins.authoring.parts import PARTS

    def refuse(what: str) -> None:
        raise PluginNameError(f"The name '{name.name}' is taken: {what}. Choose another one.")

    with suppress(PackageNotFoundError):
        refuse(f"{name.distribution} {version(name.distribution)} is installed")
    if find_spec(name.package) is not None:
        refuse(f"there is a package {name.package} already")
    if "command" in parts and name.name in {*COMMANDS, *plugin_commands()}:
        refuse(f"there is a command `mml {name.name}` already")
    plugins = inspect_plugins(args)
    for kind in (kind for part in PARTS if part.name in parts for kind in part.kinds):
        wanted = name.camel if kind == "architectures" else name.slug
        for entry in getattr(plugins, kind).claims(wanted):
            refuse(f"{entry.provider} contributes the {entry.record.noun} '{wanted}'")
