"""A Hydra config source that holds the options made from plugin records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from mml_core.config.records import Options

_options: ContextVar[Options] = ContextVar("mml_record_options", default=MappingProxyType({}))


@contextmanager
def providing_options(options: Options) -> Iterator[None]:
    """Let record sources made inside the block hold ``options``."""
    token = _options.set(options)
    try:
        yield
    finally:
        _options.reset(token)


class RecordSource(ConfigSource):
    """A Hydra config source without files; it stands behind all folders, so that a YAML file wins."""

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider=provider, path=path)
        self._content = _options.get()

    @staticmethod
    def scheme() -> str:
        """Return the scheme that search path elements of this source begin with."""
        return "mml-records"

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the option ``group/name``."""
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        if name not in self._content.get(group, {}):
            raise ConfigLoadError(f"Config not found: {config_path}")
        return ConfigResult(
            provider=self.provider,
            path=f"{self.scheme()}://{config_path}",
            config=OmegaConf.create(dict(self._content[group][name])),
            header={"package": None},
        )

    def available(self) -> bool:
        """Say that there is nothing on disk that could be missing."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Tell a group for which there is a record."""
        return bool(self._content.get(config_path.rstrip("/")))

    def is_config(self, config_path: str) -> bool:
        """Tell an option that a record stands for."""
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        return name in self._content.get(group, {})

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """List groups at the top, short option names inside a group."""
        path = config_path.strip("/")
        if not path:
            groups = [group for group, options in self._content.items() if options]
            return sorted(groups) if results_filter in (None, ObjectType.GROUP) else []
        if results_filter == ObjectType.GROUP:
            return []
        return sorted(name for name in self._content.get(path, {}) if ":" not in name)
