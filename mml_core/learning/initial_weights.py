"""Which file the first weights of a network come from, as the config says; without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mml_core.learning.options import OptionError, choose, plain

HUB = "hub"
NETWORK, ALL, ANY = "network", "all", "any"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
"""Of files with weights, in order of preference."""


class NoWeightsError(OptionError):
    """``arch.weights`` names no file with weights."""


@dataclass(frozen=True, kw_only=True)
class InitialWeights:
    """First weights of a network.

    Attributes:
        source: A file, a folder with one, a stored model (its ``model.json``, or project#number), or ``hub``.
        match: ``network``: each tensor of the network has to be in the file, further ones are left; ``all``:
            the other way round, too; ``any``: what fits is taken.
    """

    source: str
    match: str = NETWORK

    @classmethod
    def from_config(cls, arch: Any) -> InitialWeights | None:
        """Read ``weights`` and ``weights_match`` of the group ``arch``; None where weights are random.

        Raises:
            OptionError: A value is impossible.
        """
        given: Mapping[str, Any] = plain(arch) or {}
        source, match = given.get("weights"), given.get("weights_match") or NETWORK
        choose("arch.weights_match", match, dict.fromkeys((NETWORK, ALL, ANY)))
        if source is None:
            return None
        if not isinstance(source, str) or not source:
            raise OptionError(f"arch.weights is {source!r}; write a path, 'hub', or null for random weights.")
        return cls(source=source, match=match)


def initial_file(cfg: Any) -> Path | None:
    """Return the file that ``arch.weights`` names; None where it names none on this machine.

    Raises:
        NoWeightsError: It is not there.
    """
    wanted = InitialWeights.from_config(cfg.get("arch"))
    return None if wanted is None or wanted.source == HUB else locate(wanted.source, results_of(cfg))


def results_of(cfg: Any) -> Path | None:
    """Return the folder of all projects, where the config says it."""
    folder = (plain(cfg.get("paths")) or {}).get("results")
    return Path(folder) if folder else None


def locate(source: str, results: Path | None = None) -> Path:
    """Return the file with the weights.

    Args:
        source: A file, a folder, or a stored model.
        results: The folder of all projects, for stored models by number.

    Raises:
        NoWeightsError: It is not there, a folder holds none or several, or it is none of a known kind.
        ReuseError: There is no such stored model.
        DamagedArtefactError: The stored model is not what was committed.
    """
    path = Path(source).expanduser()
    if path.suffix == ".json" or (results is not None and "#" in source and not path.exists()):
        from mml_core.files.stored_models import find_stored_model, load_stored_model

        return load_stored_model(find_stored_model(str(path), results or Path())).weights
    path = path.absolute()
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():
        raise NoWeightsError(
            f"arch.weights: there is no file or folder {path}; give its path, project#number of a stored"
            " model, or 'hub'."
        )
    if path.suffix not in SUFFIXES:
        raise NoWeightsError(
            f"arch.weights: {path} has none of the endings {', '.join(SUFFIXES)}, so mml does not read it;"
            " give the file of the weights, best as safetensors."
        )
    return path


def _in_folder(folder: Path) -> Path:
    for suffix in SUFFIXES:
        found = sorted(each for each in folder.iterdir() if each.suffix == suffix and each.is_file())
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(each.name for each in found[:6])
            raise NoWeightsError(f"arch.weights: {folder} holds several files, {names}; name one of them.")
    raise NoWeightsError(
        f"arch.weights: {folder} holds no file ending in {', '.join(SUFFIXES)}; give another folder."
    )
