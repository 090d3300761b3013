"""Show config groups with their documentation, and where configs and values come from."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError, near_matches

if TYPE_CHECKING:
    from mml_core.plugins import ArchitectureSpec, ExecutorSpec, PluginManager, Registry, SchedulerSpec


@dataclass(frozen=True)
class _Made:
    """An option without a file of its own, made from a record."""

    record: SchedulerSpec | ExecutorSpec | ArchitectureSpec
    content: Mapping[str, Any]


_Options = dict[str, list[tuple[str, Path | _Made]]]
"""Option → what brings it: provider with a file, or with what its record stands for."""


class UnknownGroupError(MMLError):
    """There is no config group, or no option of it, of that name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print the documented YAML of a group or an option")
    show.add_argument("name", nargs="?", metavar="GROUP[/OPTION]", help="without it, the groups are listed")
    show.add_argument("--json", action="store_true", help="print JSON")
    sources = actions.add_parser("sources", help="print the search path and where each value comes from")
    sources.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="overrides as for `mml run`")
    sources.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print what was asked for."""
    from mml_core.cli.environment import discover_plugins

    plugins = discover_plugins(args)
    if args.action == "sources":
        from mml_core.cli.config_sources import show_sources

        return show_sources(args.overrides, plugins, as_json=args.json)
    if args.name is None:
        _list_groups(plugins, as_json=args.json)
    elif args.name in ("config", "root"):
        from mml_core.config.folders import CORE_CONF, CORE_PROVIDER

        _print({"config": [(CORE_PROVIDER, CORE_CONF / "config.yaml")]}, as_json=args.json)
    else:
        _show(args.name.strip("/"), plugins, as_json=args.json)
    return 0


def _options(plugins: PluginManager) -> _Options:
    """Return what brings each ``group/option``."""
    from mml_core.config.folders import config_folders, options_in
    from mml_core.config.records import options_from_records

    found: _Options = {}
    for provider, folder in config_folders(plugins):
        for option in options_in(folder):
            found.setdefault(option, []).append((provider, folder / f"{option}.yaml"))
    made = options_from_records(plugins)
    registries: dict[str, Registry[Any]] = {
        "mode": plugins.schedulers,
        "executor": plugins.executors,
        "arch": plugins.architectures,
    }
    for group, registry in registries.items():
        for item in registry.items():
            name = registry.label(item)
            content = _Made(item.record, made[group][name])
            found.setdefault(f"{group}/{name}", []).append((item.provider, content))
    return {option: found[option] for option in sorted(found) if not option.startswith("hydra/")}


def _list_groups(plugins: PluginManager, *, as_json: bool) -> None:
    from mml_core.schedulers.tables import show

    groups: dict[str, list[str]] = {}
    for option in _options(plugins):
        group, _, name = option.rpartition("/")
        groups.setdefault(group, []).append(name)
    rows = [{"group": group, "options": names} for group, names in groups.items()]
    show(rows, ("group", "options"), as_json=as_json)


def _show(name: str, plugins: PluginManager, *, as_json: bool) -> None:
    options = _options(plugins)
    wanted = {option: brought for option, brought in options.items() if option == name}
    wanted = wanted or {o: brought for o, brought in options.items() if o.startswith(f"{name}/")}
    if not wanted:
        groups = sorted({option.rpartition("/")[0] for option in options})
        raise UnknownGroupError(
            f"There is no config group or option '{name}'.{near_matches(name, [*groups, *options])} "
            f"Groups: {', '.join(groups)}.{plugins.not_loaded()}"
        )
    _print(wanted, as_json=as_json)


def _print(options: _Options, *, as_json: bool) -> None:
    if as_json:
        import json

        rows = [
            {
                "option": option,
                "provider": provider,
                "file": content if isinstance(content, Path) else None,
                "summary": content.record.summary if isinstance(content, _Made) else None,
            }
            for option, brought in options.items()
            for provider, content in brought
        ]
        print(json.dumps(rows, indent=2, default=str))
        return
    blocks = []
    for option, brought in options.items():
        # A record stands behind every file, so it is what holds only where it is alone.
        shown = brought if len(brought) == 1 else [each for each in brought if isinstance(each[1], Path)]
        blocks += [_block(option, provider, content) for provider, content in shown]
    print("\n\n".join(blocks))


def _block(option: str, provider: str, content: Path | _Made) -> str:
    if isinstance(content, Path):
        return f"# ── {option}  ({provider}: {content})\n{content.read_text(encoding='utf-8').rstrip()}"
    from omegaconf import OmegaConf

    record = content.record
    lines = [f"# ── {option}  (made from a record of {provider})"]
    if record.summary:
        lines.append(f"# {record.summary[0].upper()}{record.summary[1:].rstrip('.')}.")
    task_types = getattr(record, "task_types", ())
    if task_types:
        lines.append(f"# For {', '.join(task_types)}; kwargs are those of {record.target}.")
    return "\n".join([*lines, OmegaConf.to_yaml(OmegaConf.create(dict(content.content))).rstrip()])
