"""Compiling the network that is trained, by ``torch.compile``, as ``arch.compile`` says."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

from mml_core.learning.options import OptionError, choose, plain, section

if TYPE_CHECKING:
    from torch import nn

# What arch.compile may be: how torch.compile is called. The first are modes of its own compiler.
MODES: dict[str, dict[str, Any]] = {
    "default": {"mode": "default"},
    "reduce-overhead": {"mode": "reduce-overhead"},
    "max-autotune": {"mode": "max-autotune"},
    "max-autotune-no-cudagraphs": {"mode": "max-autotune-no-cudagraphs"},
    "aot_eager": {"backend": "aot_eager"},
    "eager": {"backend": "eager"},
}
TIMED = ("max-autotune", "max-autotune-no-cudagraphs")


def compile_mode(arch: Any) -> str | None:
    """Read ``compile`` of the group ``arch``; None where nothing is compiled.

    Raises:
        OptionError: There is no such mode.
    """
    asked = (plain(arch) or {}).get("compile")
    if asked in (None, False):
        return None
    choose("arch.compile", asked, MODES)
    return str(asked)


def check_compiling(cfg: Any) -> None:
    """Refuse to compile where there is no compiler, or where results would depend on how fast kernels are.

    Raises:
        OptionError: It says what is missing.
    """
    mode = compile_mode(cfg.get("arch"))
    trainer = section(cfg, "trainer")
    if mode in TIMED and trainer.get("deterministic") in (True, "warn"):
        raise OptionError(
            f"arch.compile={mode} chooses kernels by how fast they are, so that results differ between runs"
            " and machines; choose arch.compile=default, or set trainer.deterministic=false."
        )
    if mode is None or "mode" not in MODES[mode]:
        return
    if on_gpu(trainer):
        if importlib.util.find_spec("triton") is None:
            raise OptionError(
                f"arch.compile={mode} needs triton on a GPU, which is not installed; install it, or set"
                " arch.compile=null."
            )
        return
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise OptionError(
            f"arch.compile={mode} needs a C++ compiler, and there is no '{compiler}' on the path; install"
            " one, name it by the environment variable CXX, or set arch.compile=null."
        )


def compile_network(network: nn.Module, mode: str) -> None:
    """Compile a network in place: names of its parameters stay what they are, and copies are not compiled.

    Each size of a batch is compiled for itself: torch would otherwise choose kernels by the sizes seen
    before, which are others when a fit is gone on with.

    Args:
        network: Called from now on in its compiled form, made at the first call.
        mode: One of ``MODES``.

    Raises:
        OptionError: It is a bare container of torch, whose calls are never compiled.
    """
    if type(network).forward.__module__.startswith("torch.nn."):
        raise OptionError(
            f"arch.compile={mode} has no effect on a bare {type(network).__name__}, which torch does not"
            " compile; let the architecture return a module of its own around it, or set arch.compile=null."
        )
    network.compile(dynamic=False, **MODES[mode])


def on_gpu(trainer: dict[str, Any]) -> bool:
    """Say whether the group ``trainer`` has it train on a GPU that is there."""
    import torch

    return trainer.get("accelerator") not in ("cpu", "mps") and torch.cuda.is_available()
