"""Run a mode over tasks, show its plan, or go on with an unfinished run.

What stands behind the options is Hydra: `mml run --mode=train seed=1`, `mml run mode=train seed=1,2 -m`,
`mml run mode=train --cfg job`. `mml config show GROUP` documents what can be overridden.
"""

from __future__ import annotations

import argparse
import gc
from pathlib import Path
from typing import TYPE_CHECKING

from mml_core.cli.parsing import UsageError

if TYPE_CHECKING:
    from mml_core.config.compose import Root
    from mml_core.plugins import PluginManager

INTERMIXED = True
"""Overrides and options may stand in any order."""

_FLAGS = ("resolve", "multirun", "hydra_help", "shell_completion")
_VALUES = ("cfg", "package", "info", "config_path", "config_name", "config_dir")
_ANSWERS = ("cfg", "info", "hydra_help", "shell_completion")
"""Options that Hydra answers without starting a job."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options, Hydra's among them."""
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="overrides of the config")
    parser.add_argument("--mode", help="the mode, same as mode=MODE; `mml modes` lists them")
    parser.add_argument("--tasks", metavar="A,B", help="tasks of the run, same as task_list=[A,B]")
    parser.add_argument("--proj", help="project that takes the run (default: default)")
    parser.add_argument("--executor", help="how steps are run, same as executor=EXECUTOR")
    parser.add_argument(
        "--continue",
        dest="continue_run",
        nargs="?",
        const="",
        metavar="RUN",
        help="go on with the project's newest unfinished run, or the one named",
    )
    parser.add_argument(
        "--accept-changes",
        action="store_true",
        help="with --continue: go on though mml, torch or a plugin is of another version now",
    )
    parser.add_argument("--plan", action="store_true", help="print the steps and what is there; run nothing")
    parser.add_argument("--json", action="store_true", help="with --plan: print JSON")
    hydra = parser.add_argument_group("options of Hydra")
    hydra.add_argument("--cfg", "-c", choices=("job", "hydra", "all"), help="print the config; run nothing")
    hydra.add_argument("--resolve", action="store_true", help="with --cfg: resolve interpolations")
    hydra.add_argument("--package", "-p", help="with --cfg: print this package of it")
    hydra.add_argument("--multirun", "-m", action="store_true", help="run a job for each value of a=1,2")
    hydra.add_argument(
        "--info",
        "-i",
        nargs="?",
        const="all",
        choices=("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
        help="print how the config comes about; run nothing",
    )
    hydra.add_argument("--hydra-help", action="store_true", help="print Hydra's own help")
    hydra.add_argument(
        "--shell-completion",
        "-sc",
        action="store_true",
        help='completion: eval "$(mml run -sc install=bash)", or zsh, fish',
    )
    hydra.add_argument("--config-path", "-cp", help="replace the folder of the root config")
    hydra.add_argument("--config-name", "-cn", help="replace the root config")
    hydra.add_argument("--config-dir", "-cd", help="add a folder to the search path")


def run(args: argparse.Namespace) -> int:
    """Run, show or continue what the options say."""
    # Nothing that a start makes becomes garbage, so looking for it takes a tenth of the start for nothing; it
    # is looked for again as soon as a run begins.
    gc.disable()
    try:
        return _run(args)
    finally:
        gc.enable()
        gc.unfreeze()  # what the run has frozen may be garbage now, where this process goes on


def _run(args: argparse.Namespace) -> int:
    from mml_core.cli.environment import discover_plugins, project_of

    _sort_out(args)
    _find_folders(args)
    options = hydra_options(args)
    answered = any(getattr(args, name) for name in _ANSWERS)
    plugins = discover_plugins(args)
    project = project_of(args)
    if project is not None and not answered:
        from mml_core.plugins.requiring import check_required

        check_required(project, plugins)  # before a mode is missed that such a plugin brings
    if args.continue_run is not None:
        from mml_core.cli.continuing import go_on

        code: int | None = go_on(args, plugins)
        if code is not None:
            return code
    if not answered and not _names_mode(args):
        return _show_modes(plugins)
    if args.plan:
        from mml_core.cli.planning import show_plan

        return show_plan(job_overrides(args), plugins, _root(args), as_json=args.json, reasons=args.debug)
    from mml_core.cli.job import run_jobs

    return run_jobs(options, job_overrides(args), plugins, args)


def job_overrides(args: argparse.Namespace) -> list[str]:
    """Return the overrides with those that the options stand for in front."""
    from mml_core.config.overrides import quote, task_list

    made = []
    if args.mode:
        made.append(f"mode={_choice(args.mode)}")
    if args.tasks is not None:
        made.append(task_list(name.strip() for name in args.tasks.split(",") if name.strip()))
    if args.proj:
        made.append(f"proj={quote(args.proj)}")
    if args.executor:
        made.append(f"executor={_choice(args.executor)}")
    return [*made, *args.overrides]


def _choice(option: str) -> str:
    """Quote an option, so that `inf` is a name and no number; a sweep over `a,b` stays one."""
    from mml_core.config.overrides import quote

    return option if set(option) & set(",'\"()[]{}") else quote(option)


def hydra_options(args: argparse.Namespace) -> list[str]:
    """Return Hydra's options as Hydra spells them."""
    options = [f"--{name.replace('_', '-')}" for name in _FLAGS if getattr(args, name)]
    for name in _VALUES:
        value = getattr(args, name)
        if value is not None:
            options += [f"--{name.replace('_', '-')}", value]
    return options


def _root(args: argparse.Namespace) -> Root:
    """Return where the options of Hydra say that the root config is."""
    from mml_core.config.compose import CONFIG_NAME, Root
    from mml_core.config.folders import CORE_CONF

    return Root(
        folder=Path(args.config_path or CORE_CONF),
        name=args.config_name or CONFIG_NAME,
        further=Path(args.config_dir) if args.config_dir else None,
    )


def _find_folders(args: argparse.Namespace) -> None:
    """Take folders of configs from where the command is typed: Hydra would look beside its own caller.

    Raises:
        UsageError: There is no such folder.
    """
    for name in ("config_path", "config_dir"):
        given = getattr(args, name)
        if given is None or "://" in given:
            continue
        folder = Path(given).absolute()
        if not folder.is_dir():
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} is {given!r}, but there is no folder {folder}; give one with configs."
            )
        setattr(args, name, str(folder))


def value_of(key: str, overrides: list[str]) -> str | None:
    """Return the value that the last override of ``key`` gives, without quotes; None where there is none."""
    found = None
    for override in overrides:
        name, equals, value = override.lstrip("+").partition("=")
        if equals and name == key:
            found = value.strip("'\"")
    return found


def _sort_out(args: argparse.Namespace) -> None:
    """Settle what argparse cannot: an override after ``--continue``, ``continue=…``, exclusive options."""
    word = args.continue_run
    if word and ("=" in word or word[0] in "+~"):
        args.overrides.insert(0, word)
        args.continue_run = ""
    wanted = value_of("continue", args.overrides)
    if wanted is not None:
        args.overrides = [each for each in args.overrides if each.lstrip("+").partition("=")[0] != "continue"]
        if args.continue_run is None and wanted.lower() not in ("false", "null", ""):
            args.continue_run = "" if wanted.lower() == "true" else wanted
    exclusive = [name for name in ("plan", "multirun", *_ANSWERS) if getattr(args, name)]
    chosen = [f"--{name.replace('_', '-')}" for name in exclusive]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} exclude each other; give one.")
    if args.continue_run is not None and chosen and chosen != ["--plan"]:
        raise UsageError(f"--continue takes up one stored run; it does not go with {chosen[0]}.")
    if args.accept_changes and args.continue_run is None:
        raise UsageError("--accept-changes goes with --continue.")
    if (args.resolve or args.package) and not args.cfg:
        raise UsageError("--resolve and --package say how --cfg prints; add --cfg job.")
    if args.json and not args.plan:
        raise UsageError("--json goes with --plan; `mml runs show RUN --json` prints what a run made.")


def _names_mode(args: argparse.Namespace) -> bool:
    """Tell whether a mode may be given: on the command line, or in a root config of the user's own."""
    given = bool(args.mode or args.config_name or args.config_path or args.config_dir)
    return given or value_of("mode", args.overrides) is not None


def _show_modes(plugins: PluginManager) -> int:
    from mml_core.cli.modes import show_modes

    show_modes(plugins)
    raise UsageError("No mode is given; add --mode=NAME with one of the modes above.")
