"""What can be wrong with a config, each in one line, translated from Hydra's and OmegaConf's exceptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from mml_core.config.overrides import as_typed, key_of
from mml_core.config.records import options_from_records
from mml_core.errors import MMLError, near_matches

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager


_REGISTRIES = {"mode": "schedulers", "executor": "executors", "arch": "architectures"}


class ConfigError(MMLError):
    """The config cannot be composed, or one of its values is not what its key takes."""


class UnknownKeyError(ConfigError):
    """An override names a key or group that the config does not have."""


class UnknownOptionError(ConfigError):
    """An override chooses an option that its group does not have."""


class UnknownModeError(UnknownOptionError):
    """There is no such mode, neither as a config file nor as a scheduler record."""


class OverrideSyntaxError(ConfigError):
    """An override is not written as Hydra reads them."""


@contextmanager
def translated_errors(overrides: Sequence[str], plugins: PluginManager) -> Iterator[None]:
    """Turn what Hydra and OmegaConf raise inside the block into one-line errors with near matches."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        inner = _cause(error, MMLError)
        if inner is not None:
            raise inner from error
        raise _translate(error, overrides, plugins) from error


def _translate(error: Exception, overrides: Sequence[str], plugins: PluginManager) -> MMLError:
    if isinstance(error, OverrideParseException):
        typed = as_typed(error.override or "")
        return OverrideSyntaxError(
            f"The override {typed!r} cannot be read ({_reason(error)}); write key=value, and quote a value "
            "with special characters: \"key='a,b'\"."
        )
    if isinstance(error, MissingConfigException):
        return _missing_option(error, plugins)
    if isinstance(error, ConfigCompositionException):
        return _bad_override(error, overrides)
    if isinstance(error, YAMLError):
        return ConfigError(f"A config file cannot be read: {_line(str(error))}.")
    if isinstance(error, OmegaConfBaseException):
        key = f" (at {error.full_key})" if error.full_key else ""
        return ConfigError(f"The config is not usable: {_line(str(error))}{key}.")
    text = _line(str(error))
    if text.startswith("Config group override must be"):
        return _no_option(text, overrides, plugins)
    culprits = [override for override in overrides if override and override in text]
    if "token recognition error" in text or culprits:
        named = f"override {as_typed(culprits[0])!r}" if culprits else "overrides"
        return OverrideSyntaxError(f"The {named} cannot be read ({text}); quote the value: \"key='value'\".")
    return ConfigError(f"The config cannot be composed: {text}.")


def _missing_option(error: MissingConfigException, plugins: PluginManager) -> MMLError:
    group, _, option = (error.missing_cfg_file or "").removesuffix(".yaml").rpartition("/")
    options = sorted(error.options or _options_of(group, plugins))
    if group in _REGISTRIES:
        getattr(plugins, _REGISTRIES[group]).find(option)  # raises for a name that several plugins own
    if group == "mode":
        return UnknownModeError(
            f"There is no mode '{option}'.{near_matches(option, options)} Modes: {', '.join(options)}."
            f"{plugins.not_loaded()}"
        )
    if not group:
        return ConfigError(f"There is no config '{option}' in the search path; see `mml config sources`.")
    available = f"Options: {', '.join(options)}." if options else "No plugin brings an option of that group."
    return UnknownOptionError(
        f"There is no option '{option}' of the group '{group}'.{near_matches(option, options)} {available}"
        f"{plugins.not_loaded()}"
    )


def _no_option(text: str, overrides: Sequence[str], plugins: PluginManager) -> MMLError:
    """Say which override gives a group something that names no option."""
    groups = {option.rpartition("/")[0] for option in plugins.config_files()}
    for parsed in OverridesParser.create().parse_overrides(list(overrides)):
        group = parsed.key_or_group
        plain = not (parsed.is_delete() or parsed.is_sweep_override())
        if group in groups and plain and not isinstance(parsed.value(), (str, list, dict)):
            typed = as_typed(str(parsed.input_line))
            if not group:
                return OverrideSyntaxError(f"The override {typed!r} has no key; write key=value.")
            return UnknownOptionError(
                f"The override {typed!r} names no option of the group '{group}'; `mml config show {group}` "
                "lists them."
            )
    return ConfigError(f"The config cannot be composed: {text}.")


def _bad_override(error: ConfigCompositionException, overrides: Sequence[str]) -> MMLError:
    text = str(error)
    culprit = next((o for o in overrides if f"'{o}'" in text or f"'{key_of(o)}'" in text), None)
    if culprit is None:
        culprit = next((o for o in overrides if key_of(o).split(".")[0] in text), None)
    if culprit is None or ("not in" not in f"{text} {error.__cause__}" and "No match" not in text):
        cause = f": {_line(str(error.__cause__))}" if error.__cause__ else ""
        return ConfigError(f"{_line(text)}{cause}".rstrip(".") + ".")
    key = key_of(culprit)
    return unknown_key(
        key, [o for o in overrides if "." not in key_of(o) and o != culprit], f"; +{key}=… adds one"
    )


def _options_of(group: str, plugins: PluginManager) -> list[str]:
    """Return the options of a group that files of mml and plugins, and records, bring."""
    files = (option.removesuffix(".yaml").rpartition("/") for option in plugins.config_files())
    records = options_from_records(plugins).get(group, {})
    return sorted(
        {name for place, _, name in files if place == group} | {name for name in records if ":" not in name}
    )


def unknown_key(key: str, overrides: Sequence[str], advice: str = "") -> UnknownKeyError:
    """Return the error for a key that the config does not have, with near matches.

    Args:
        key: The key, dotted.
        overrides: Choices of groups, and whatever else decides which keys there are.
        advice: What else to do than to look at the keys.
    """
    near = _near_key(key, known_keys(overrides))
    return UnknownKeyError(
        f"The config has no key '{key}'.{near} `mml run --cfg job` shows all keys{advice}."
    )


def _near_key(key: str, known: Sequence[str]) -> str:
    near = near_matches(key, known)
    if near or "." not in key:
        return near
    parent, _, leaf = key.rpartition(".")
    leaves = {name.rpartition(".")[2]: name for name in reversed(known)}
    siblings = [name for name in known if name.rpartition(".")[0] == parent]
    if near_matches(leaf, leaves):
        from difflib import get_close_matches

        found = [leaves[match] for match in get_close_matches(leaf, leaves, n=3)]
        return f" Did you mean {' or '.join(repr(name) for name in found)}?"
    return f" '{parent}' has: {', '.join(name.rpartition('.')[2] for name in siblings)}." if siblings else ""


def known_keys(overrides: Sequence[str] = ()) -> list[str]:
    """Return every dotted key of the config that ``overrides`` (of groups) lead to, groups included."""
    from mml_core.config.compose import compose_with_hydra

    try:
        cfg = compose_with_hydra(overrides)
    except (HydraException, OmegaConfBaseException):
        cfg = compose_with_hydra([])
    keys: list[str] = []
    _collect(cfg, "", keys)
    return keys


def _collect(node: object, prefix: str, keys: list[str]) -> None:
    from omegaconf import DictConfig

    if not isinstance(node, DictConfig) or node._is_none() or node._is_missing():
        return
    for name in node:
        if not prefix and name == "hydra":
            continue
        dotted = f"{prefix}{name!s}"
        keys.append(dotted)
        _collect(node._get_node(name), f"{dotted}.", keys)


def _cause(error: BaseException, kind: type[MMLError]) -> MMLError | None:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, kind):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _reason(error: OverrideParseException) -> str:
    """Return what Hydra's parser minds, without its grammar's class names and its link."""
    lines = [line.strip() for line in error.message.splitlines()[1:]]
    kept = [line for line in lines if line and not line.startswith(("See http", "^"))]
    reason = _line(kept[0]) if kept else "not an override"
    return "a quote or bracket is not closed" if "Exception" in reason else reason


def _line(text: str) -> str:
    """Return the first paragraph of ``text`` as one line, without a final stop and OmegaConf's own terms."""
    first = text.strip().split("\n\n")[0].splitlines()
    kept = [
        line
        for line in first
        if not line.strip().startswith(("full_key:", "object_type=", "reference_type="))
    ]
    return " ".join(" ".join(kept).split()).rstrip(".")
