"""The ``mml`` command: runs the command's module and turns errors into one line and an exit code."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError, near_matches

if TYPE_CHECKING:
    from types import ModuleType

    from mml_core.plugins.discovery import ModuleEntryPoint
    from mml_core.plugins.tracing import Tracer

COMMANDS = {
    "run": ("mml_core.cli.run", "run a mode over tasks, or go on with a run"),
    "work": ("mml_core.cli.work", "do steps of a run that another process drives"),
    "modes": ("mml_core.cli.modes", "list the modes that `run` knows"),
    "tasks": ("mml_core.cli.tasks", "list, show and add tasks"),
    "runs": ("mml_core.cli.runs", "list and show the runs of a project"),
    "files": ("mml_core.cli.files", "list and explain the files of a project"),
    "compare": ("mml_core.cli.compare", "compare two models on the same samples"),
    "models": ("mml_core.cli.models", "list stored models, show one or an architecture in numbers"),
    "predict": ("mml_core.cli.predict", "predict new images with a stored model"),
    "plugins": ("mml_core.cli.plugins", "list, inspect and check plugins"),
    "config": ("mml_core.cli.config", "show config groups and where values come from"),
    "doctor": ("mml_core.cli.doctor", "print what holds on this machine, and why"),
}
SUBCOMMANDS = {
    ("tasks", "add"): "mml_core.cli.tasks_add",
    ("tasks", "leakage"): "mml_core.cli.tasks_leakage",
    ("plugins", "new"): "mml_core.cli.plugins_new",
    ("plugins", "check"): "mml_core.cli.plugins_check",
    ("plugins", "trace"): "mml_core.cli.plugins_trace",
}
"""Words after a command that have a module of their own."""

_PLACES = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.EDQUOT,
)
"""Errors of the system that are about the place mml was told to work in."""

BROKEN_PIPE = 141
INTERRUPTED = 130
TERMINATED = 143
CHECKPOINTED = 75


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``mml`` with ``argv``.

    Args:
        argv: The arguments without the program's name; by default those of the process.

    Returns:
        The exit code: 0 done, 1 a step failed or mml itself did, 2 misuse, 3 held by a live owner.
    """
    _open_closed_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    if argv is None and {"run", "work"} & set(arguments):
        _heed_signals()
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except MMLError as error:
        if debug:
            raise
        _say(str(error))
        return error.exit_code
    except BrokenPipeError:
        # Whoever read standard output is gone; what Python flushes at exit must not raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        _say("interrupted.")
        return INTERRUPTED
    except SystemExit as exit_:
        if exit_.code is None or isinstance(exit_.code, int):
            return exit_.code or 0
        _say(str(exit_.code))
        return 1
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.filename is not None and error.errno in _PLACES:
            _say(f"'{error.filename}' cannot be used: {error.strerror}; repair it or choose another place.")
            return 2
        _say(f"unexpected {type(error).__name__}: {error}. Run it again with --debug for the traceback.")
        return 1
    finally:
        if argv is None:
            gc.freeze()  # the process ends: a last look for garbage among torch's objects takes a second


def _heed_signals() -> None:
    """Until a run handles signals itself it has nothing to lose: exit at once, with the code it would use."""
    import signal

    for signum, code in ((signal.SIGTERM, TERMINATED), (signal.SIGUSR1, CHECKPOINTED)):
        signal.signal(signum, lambda *_, code=code: os._exit(code))


def _open_closed_streams() -> None:
    """Let a closed standard stream lead nowhere, before a file takes its number and what is printed to it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 (it stays; pathlib takes ms)


def _dispatch(arguments: list[str]) -> int:
    while arguments[:1] == ["--debug"]:
        arguments = [*arguments[1:], "--debug"] if len(arguments) > 1 else []
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        from mml_core import __version__

        print(f"mml {__version__}")
        return 0
    if arguments[0] in ("-sc", "--shell-completion"):
        return _complete(arguments)
    name, rest = arguments[0], arguments[1:]
    if (name, *rest[:1]) in SUBCOMMANDS:
        return run_command(f"{name} {rest[0]}", import_module(SUBCOMMANDS[name, rest[0]]), rest[1:])
    if name in COMMANDS:
        return run_command(name, import_module(COMMANDS[name][0]), rest)
    return _run_from_plugin(name, rest)


def run_command(name: str, module: ModuleType, arguments: list[str], *, tracer: Tracer | None = None) -> int:
    """Run one of mml's own commands and return its exit code.

    Args:
        name: What is typed for it behind ``mml``.
        module: The command's module.
        arguments: What is typed behind its name.
        tracer: Watches what the plugins do.
    """
    from mml_core.cli.parsing import command_parser

    parser = command_parser(name, module)
    # Overrides may stand between options: `mml run seed=1 --mode train trainer.max_epochs=2`.
    parse: Any = parser.parse_intermixed_args if getattr(module, "INTERMIXED", False) else parser.parse_args
    args = parse(arguments)
    args.command_line = ["mml", *name.split(), *arguments]
    args.tracer = tracer
    code: int = module.run(args)
    return code


def _run_from_plugin(name: str, arguments: list[str]) -> int:
    """Run a command that a plugin brings; nothing of it is imported before it is asked for by name."""
    from mml_core.cli.entry_points import entry_points
    from mml_core.cli.parsing import Parser, UsageError
    from mml_core.plugins.discovery import COMMAND_GROUP

    found = entry_points(COMMAND_GROUP).find(name)
    if found is None:
        from mml_core.plugins import Blocking

        blocked = entry_points(COMMAND_GROUP, Blocking()).find(name)
        if blocked is not None:
            why = Blocking.from_environment().why(blocked.distribution)
            raise UsageError(f"The command '{name}' is of {blocked.distribution}: {why}.")
        commands = [*COMMANDS, *plugin_commands()]
        what = "option" if name.startswith("-") else "command"
        raise UsageError(f"There is no {what} '{name}'.{near_matches(name, commands)} See `mml --help`.")
    module: Any = found.load()
    parser = Parser(prog=f"mml {name}", description=module.__doc__, allow_abbrev=False)
    module.add_arguments(parser)
    if "--debug" not in parser._option_string_actions:
        parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return int(module.run(parser.parse_args(arguments)) or 0)


def plugin_commands() -> dict[str, ModuleEntryPoint]:
    """Return the commands of plugins, from metadata alone, by their names or, where taken, with provider."""
    from mml_core.plugins.discovery import command_entry_points

    points = command_entry_points()
    taken = [*COMMANDS, *(point.name for point in points)]
    return {
        point.name if taken.count(point.name) == 1 else f"{point.distribution}:{point.name}": point
        for point in points
    }


def _help() -> str:
    rows = [(name, summary) for name, (_, summary) in COMMANDS.items()]
    commands = sorted(plugin_commands().items())
    plugin_rows = [(name, found.summary or f"from {found.distribution}") for name, found in commands]
    width = max(len(name) for name, _ in [*rows, *plugin_rows]) + 2
    lines = [
        "usage: mml COMMAND …",
        "",
        "Deep-learning experiments over many image tasks, resumable at every step.",
        "",
        "commands:",
        *(f"  {name:{width}}{summary}" for name, summary in rows),
    ]
    if plugin_rows:
        lines += ["", "commands of plugins:"]
        lines += [f"  {name:{width}}{summary}" for name, summary in plugin_rows]
    lines += [
        "",
        "options:",
        f"  {'-h, --help':{width + 6}}this text; `mml COMMAND --help` for a command's own",
        f"  {'-V, --version':{width + 6}}the version",
        f"  {'--debug':{width + 6}}show the traceback of an error",
    ]
    return "\n".join(lines)


def _complete(arguments: list[str]) -> int:
    """Answer the shell, or let Hydra print what makes it ask."""
    shells = [each.partition("=")[2] for each in arguments if each.startswith("query=")]
    if not shells:
        return run_command("run", import_module(COMMANDS["run"][0]), arguments)
    from mml_core.cli.completion import candidates

    print(("\n" if shells[0] == "fish" else " ").join(candidates(os.environ.get("COMP_LINE", "mml "))))
    return 0


def _say(message: str) -> None:
    print(f"mml: {' '.join(message.split())}", file=sys.stderr)
