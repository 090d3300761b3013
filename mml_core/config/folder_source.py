"""A Hydra config source for the config folders of mml and its plugins, quicker than Hydra's own."""

from __future__ import annotations

import os
from functools import cache
from typing import Any, NamedTuple

import yaml
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader
from omegaconf.errors import OmegaConfBaseException

from mml_core.errors import MMLError

_HEADER_LENGTH = 512
"""How many characters of a file Hydra looks through for ``# @package``."""


class ConfigFileError(MMLError):
    """A config file cannot be read, or holds something else than keys and values."""


class _Parsed(NamedTuple):
    content: Any
    header: dict[str, str | None]


class FolderSource(ConfigSource):
    """Reads YAML as Hydra's source for ``file://`` does, by libyaml where there is one; each file once."""

    _parsed: dict[tuple[str, int, int], _Parsed] = {}  # one for the process

    @staticmethod
    def scheme() -> str:
        """Return the scheme that search path elements of this source begin with."""
        return "mml-folder"

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the content of a file below the folder."""
        path = self._file(config_path)
        try:
            status = os.stat(path)  # noqa: PTH116  # some dozens of files are looked at in every start
        except OSError as error:
            raise ConfigLoadError(f"Config not found : {path}") from error
        key = (path, status.st_mtime_ns, status.st_size)
        try:
            if key not in self._parsed:
                self._parsed[key] = _parse(path)
            found = self._parsed[key]
            config = OmegaConf.create(found.content)
        except (OSError, UnicodeDecodeError, yaml.YAMLError, OmegaConfBaseException, TypeError) as error:
            raise ConfigFileError(
                f"The config file {path} of {self.provider} cannot be used ({_reason(error)}): repair it, or "
                "choose another option."
            ) from error
        return ConfigResult(
            provider=self.provider,
            path=f"{self.scheme()}://{self.path}",
            config=config,
            header=dict(found.header),
        )

    def available(self) -> bool:
        """Tell whether the folder exists."""
        return self.is_group("")

    def is_group(self, config_path: str) -> bool:
        """Tell a group, which is a folder."""
        return os.path.isdir(f"{self.path}/{config_path}")  # noqa: PTH112  # as above

    def is_config(self, config_path: str) -> bool:
        """Tell an option, which is a file."""
        return os.path.isfile(self._file(config_path))  # noqa: PTH113  # as above

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """List what is in a group."""
        found: list[str] = []
        for name in os.listdir(f"{self.path}/{config_path}"):  # noqa: PTH208  # as above
            self._list_add_result(found, os.path.join(config_path, name), name, results_filter)  # noqa: PTH118
        return sorted(set(found))

    def _file(self, config_path: str) -> str:
        return os.path.realpath(f"{self.path}/{self._normalize_file_name(config_path)}")


def _parse(path: str) -> _Parsed:
    with open(path, encoding="utf-8") as stream:  # noqa: PTH123  # as above
        text = stream.read()
    content = yaml.load(text, Loader=_loader())  # a safe loader
    if content is not None and not isinstance(content, dict):
        raise TypeError(f"it holds a {type(content).__name__}, must hold keys and values")
    return _Parsed(content or {}, ConfigSource._get_header_dict(text[:_HEADER_LENGTH]))


def _reason(error: Exception) -> str:
    """Return what is wrong with a file in one line, with the number of the line where that is known."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(reason.split())


@cache
def _loader() -> Any:
    """Return OmegaConf's loader, so that numbers, dates and double keys are read alike, upon libyaml."""
    return _upon_libyaml(get_yaml_loader())


def _upon_libyaml(loader: Any) -> Any:
    if not yaml.__with_libyaml__:
        return loader

    # PyYAML's stubs leave the C parser out; both classes are known at run time only.
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class QuickLoader(CParser, loader):  # type: ignore[misc]
        def __init__(self, stream: Any) -> None:
            CParser.__init__(self, stream)
            yaml.constructor.SafeConstructor.__init__(self)
            yaml.resolver.Resolver.__init__(self)

    return QuickLoader
