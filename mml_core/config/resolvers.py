"""The OmegaConf resolvers of the root config; importing this module registers them."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from mml_core.config.locations import resolve_locations
from mml_core.config.run_directory import job_directory, run_name, sweep_directory


def _location(key: str) -> str:
    """``${mml.location:data}``: the folder that holds where no override names one."""
    return str(getattr(resolve_locations(), key))


def _run_dir(*, _root_: DictConfig) -> str:
    """``${mml.run_dir:}``: the run directory of the job the config belongs to."""
    return job_directory(_root_)


def _sweep_dir(name: str, *, _root_: DictConfig) -> str:
    """``${mml.sweep_dir:name}``: the folder that describes a sweep."""
    return sweep_directory(_root_, name)


OmegaConf.register_new_resolver("mml.sweep_dir", _sweep_dir, replace=True)
OmegaConf.register_new_resolver("mml.location", _location, replace=True)
OmegaConf.register_new_resolver("mml.run_dir", _run_dir, replace=True)
# Cached, and Hydra copies the cache from a sweep's config to its jobs': one name per sweep.
OmegaConf.register_new_resolver("mml.run_name", run_name, use_cache=True, replace=True)
