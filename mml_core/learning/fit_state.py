"""What a fit has to know to go on after any batch, bit for bit, beyond what Lightning's checkpoints hold."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.fabric.utilities.types import _Stateful
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.connectors.logger_connector.result import _Metadata, _ResultMetric, _Sync
from torch import Tensor, nn
from torchmetrics import Metric

_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "mean": torch.mean,
    "max": torch.max,
    "min": torch.min,
    "sum": torch.sum,
    "builtin sum": sum,
}
_PLAIN_METADATA = (
    "fx",
    "name",
    "prog_bar",
    "logger",
    "on_step",
    "on_epoch",
    "enable_graph",
    "add_dataloader_idx",
    "dataloader_idx",
    "metric_attribute",
)


def capture(trainer: Trainer) -> dict[str, Any]:
    """Return the state after a batch (and the validation that followed it), as tensors and plain values.

    It refers to the fit's own tensors: write it before the fit goes on.
    """
    module = trainer.lightning_module
    return {
        "random": _random_state(trainer.strategy.root_device),
        "logged": _logged(trainer),
        "loaders": [loader.state_dict() for loader in _loaders(trainer) if isinstance(loader, _Stateful)],
        "loggers": {
            type(logger).__name__: logger.state_dict()
            for logger in trainer.loggers
            if isinstance(logger, _Stateful)
        },
        "generators": [generator.get_state() for generator in _generators(trainer)],
        "buffers": dict(_unsaved_buffers(module)),
        "metrics": {
            name: {"state": metric.metric_state, "updates": metric._update_count}
            for name, metric in _metrics(module)
        },
        "gradients": _needed_gradients(trainer),
        "should_stop": trainer.should_stop,
    }


def restore_loaders(trainer: Trainer, state: dict[str, Any]) -> None:
    """Put the loaders of training batches where they were; what iterates over them has to be made anew."""
    stateful = [loader for loader in _loaders(trainer) if isinstance(loader, _Stateful)]
    for loader, saved in zip(stateful, state["loaders"], strict=True):
        loader.load_state_dict(saved)


def restore(trainer: Trainer, state: dict[str, Any]) -> None:
    """Set all but the loaders to what it was; the random generators last, as the rest may draw from them."""
    module = trainer.lightning_module
    state = {**move_data_to_device(state, module.device), "random": state["random"]}
    trainer.should_stop = state["should_stop"]
    _restore_logged(trainer, state["logged"])
    with torch.no_grad():
        for name, buffer in _unsaved_buffers(module):
            buffer.copy_(state["buffers"][name])
    for name, metric in _metrics(module):
        saved = state["metrics"][name]
        for attribute, value in saved["state"].items():
            setattr(metric, attribute, value)
        metric._update_count, metric._computed = saved["updates"], None
    for logger in trainer.loggers:
        saved = state["loggers"].get(
            type(logger).__name__
        )  # another run of the command may have other loggers
        if saved is not None and isinstance(logger, _Stateful):
            logger.load_state_dict(saved)
    parameters = dict(module.named_parameters())
    for name, gradient in state["gradients"].items():
        parameters[name].grad = gradient
    for generator, saved in zip(_generators(trainer), state["generators"], strict=True):
        generator.set_state(saved.cpu())
    _restore_random_state(state["random"])


def loaders_store_their_place(trainer: Trainer) -> bool:
    """Whether every loader of training batches can store its place in an epoch."""
    return all(isinstance(loader, _Stateful) for loader in _loaders(trainer))


def _random_state(device: torch.device) -> dict[str, Any]:
    name, key, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": [name, torch.from_numpy(np.asarray(key, dtype=np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if device.type == "cuda" else [],
    }


def _restore_random_state(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    name, key, *rest = state["numpy"]
    np.random.set_state((name, key.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])


def _loaders(trainer: Trainer) -> list[Any]:
    combined = trainer.fit_loop._combined_loader
    return list(combined.flattened) if combined is not None else []


def _generators(trainer: Trainer) -> Iterator[torch.Generator]:
    for loader in _loaders(trainer):
        generator = getattr(loader, "generator", None)
        if isinstance(generator, torch.Generator):
            yield generator


def _unsaved_buffers(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for prefix, part in module.named_modules():
        for name in sorted(part._non_persistent_buffers_set):
            buffer = part._buffers[name]
            if buffer is not None:
                yield f"{prefix}.{name}", buffer


def _metrics(module: nn.Module) -> Iterator[tuple[str, Metric]]:
    return ((name, part) for name, part in module.named_modules() if isinstance(part, Metric))


def _needed_gradients(trainer: Trainer) -> dict[str, Tensor]:
    module = trainer.lightning_module
    if module.automatic_optimization and not trainer.fit_loop._should_accumulate():
        return {}  # the next batch begins by clearing them
    return {name: each.grad for name, each in module.named_parameters() if each.grad is not None}


def _logged(trainer: Trainer) -> dict[str, Any]:
    connector = trainer._logger_connector
    return {
        "results": {key: _result(metric) for key, metric in trainer.fit_loop.epoch_loop._results.items()},
        "callback": connector._callback_metrics,
        "logged": connector._logged_metrics,
        "progress_bar": connector._progress_bar_metrics,
        "fx": connector._current_fx,
        "first": connector._first_loop_iter,
    }


def _restore_logged(trainer: Trainer, state: dict[str, Any]) -> None:
    connector = trainer._logger_connector
    connector._callback_metrics = state["callback"]
    connector._logged_metrics = state["logged"]
    connector._progress_bar_metrics = state["progress_bar"]
    connector._current_fx = state["fx"]
    connector._first_loop_iter = state["first"]
    results = trainer.fit_loop.epoch_loop._results
    results.clear()
    for key, saved in state["results"].items():
        results[key] = _restored_result(saved, trainer.lightning_module, trainer.strategy.reduce)


def _result(metric: _ResultMetric) -> dict[str, Any]:
    meta = metric.meta
    state = {
        "meta": {name: getattr(meta, name) for name in _PLAIN_METADATA},
        "reduction": next(name for name, fx in _REDUCTIONS.items() if fx is meta.reduce_fx),
        "sync": {"_should": meta.sync.should, "rank_zero_only": meta.sync.rank_zero_only},
        "has_reset": metric.has_reset,
        "updates": metric._update_count,
        "step_value": metric._forward_cache,
    }
    if metric.is_tensor:
        state["sums"] = metric.metric_state
    return state


def _restored_result(
    state: dict[str, Any], module: LightningModule, reduce: Callable[..., Any]
) -> _ResultMetric:
    meta = _Metadata(**state["meta"], reduce_fx=_REDUCTIONS[state["reduction"]])
    meta.sync = _Sync(fn=reduce, **state["sync"])
    metric = _ResultMetric(meta, "sums" in state)
    for name, value in state.get("sums", {}).items():
        setattr(metric, name, value)
    if meta.metric_attribute is not None:
        metric.value = module.get_submodule(meta.metric_attribute)
    metric.has_reset, metric._update_count = state["has_reset"], state["updates"]
    metric._forward_cache = state["step_value"]
    return metric
