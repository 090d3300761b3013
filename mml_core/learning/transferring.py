"""Giving a new model the weights of a stored one: backbone, first convolution, and rows of known classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mml_core.errors import MMLError
from mml_core.learning.class_rows import ClassRows, differs_only_in
from mml_core.learning.heads import head_key
from mml_core.learning.network_shapes import NetworkShapes
from mml_core.learning.options import OptionError, plain
from mml_core.learning.pipeline import load_pipeline
from mml_core.learning.weights import WeightsMismatchError, read_weights

if TYPE_CHECKING:
    from mml_core.learning.module import MMLModule
    from mml_core.learning.pipeline import Pipeline
    from mml_core.plugins import PluginManager

NETWORK = "network."


class TransferError(MMLError):
    """A stored model cannot be what a new one starts from."""


@dataclass(frozen=True, kw_only=True)
class TransferRule:
    """What may differ between a stored model and the one that takes its weights.

    Attributes:
        strict: Whether network and file have to have the same tensors, of the same shapes; else what does not
            fit stays as it was initialised.
        input_channels: ``refuse`` images of another number of channels, or ``adapt`` the first convolution.
        heads: ``remap``: rows of classes that both tasks have, by name, are kept; ``new``: none are.
    """

    strict: bool = True
    input_channels: str = "refuse"
    heads: str = "remap"

    @classmethod
    def from_config(cls, mode: Mapping[str, Any]) -> TransferRule:
        """Read the keys of these names of a mode.

        Raises:
            OptionError: A value is impossible.
        """
        given = {each.name: plain(mode[each.name]) for each in fields(cls) if mode.get(each.name) is not None}
        rule = cls(**given)
        for name, values in (
            ("strict", (True, False)),
            ("input_channels", ("refuse", "adapt")),
            ("heads", ("remap", "new")),
        ):
            if getattr(rule, name) not in values:
                listed = " or ".join(str(value).lower() for value in values)
                raise OptionError(f"mode.{name} is {getattr(rule, name)!r}; write {listed}.")
        return rule


@dataclass(frozen=True, kw_only=True)
class Transferred:
    """What a model took from a stored one.

    Attributes:
        loaded: Number of tensors that were taken as they are.
        adapted: Tensors that were made to fit another number of channels.
        kept_classes: Classes whose rows of the head were taken.
        new_classes: Classes whose rows are new.
        missing: Tensors that the file lacks.
        unexpected: Tensors of the file that the network lacks.
        shapes: Name → [shape in the file, shape in the network] where they differ.
    """

    loaded: int = 0
    adapted: list[str] = field(default_factory=list)
    kept_classes: list[str] = field(default_factory=list)
    new_classes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    shapes: dict[str, list[list[int]]] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        """Whether nothing was left over on either side."""
        return not (self.missing or self.unexpected or self.shapes)

    @property
    def not_taken(self) -> list[str]:
        """Tensors of the network that keep their random values."""
        return [*self.missing, *self.shapes]

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for the record of a step."""
        return asdict(self)

    def __str__(self) -> str:
        parts = [f"{self.loaded} tensors loaded"]
        if self.adapted:
            parts.append(f"made to fit the channels: {', '.join(self.adapted)}")
        if self.kept_classes:
            parts.append(f"classes kept: {', '.join(self.kept_classes)}")
        if self.new_classes:
            parts.append(f"new classes: {', '.join(self.new_classes)}")
        for what in ("missing", "unexpected", "shapes"):
            names = list(getattr(self, what))
            if names:
                label = {"shapes": "of other shape"}.get(what, what)
                parts.append(f"{label}: {', '.join(names)}")
        return "; ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A model whose weights another one takes.

    Attributes:
        task: The task that it was trained on.
        pipeline: Describes it.
        weights: Name → tensor.
        place: The file of the weights, for messages.
    """

    task: str
    pipeline: Pipeline
    weights: Mapping[str, Tensor]
    place: Path

    @classmethod
    def load(cls, task: str, pipeline: Path, weights: Path) -> Source:
        """Read a stored model.

        Raises:
            PipelineError: Its pipeline cannot be read.
            WeightsError: Its weights cannot be read.
        """
        return cls(task=task, pipeline=load_pipeline(pipeline), weights=read_weights(weights), place=weights)

    @classmethod
    def untrained(cls, task: str, pipeline: Pipeline, plugins: PluginManager) -> Source:
        """Make what a training of ``task`` will begin with, to see whether it will fit."""
        with torch.random.fork_rng(devices=[]):
            weights = pipeline.build(plugins).state_dict()
        return cls(task=task, pipeline=pipeline, weights=weights, place=Path(f"model of task {task}"))


def transfer(
    source: Source, model: MMLModule, own: Pipeline, plugins: PluginManager, *, task: str, rule: TransferRule
) -> Transferred:
    """Give ``model`` the weights of another one; nothing is changed where this raises.

    Args:
        source: The other one.
        model: Freshly made; what is not taken keeps its initialisation.
        own: Describes ``model``.
        plugins: Where architectures are registered.
        task: The task whose head may take rows.
        rule: What may differ.

    Raises:
        TransferError: The architecture is another one, or the images have other channels, and ``rule`` does
            not allow that.
        WeightsMismatchError: Tensors do not fit, and ``rule`` is strict; each is listed.
    """
    check_architecture(own, source.pipeline, rule)
    check_channels(own, source.pipeline, rule)
    stored = source.weights
    classes = ClassRows.of(own, source.pipeline, task, source.task, remap=rule.heads == "remap")
    within = classes.shifted(_outputs_before(own, task), _outputs_before(source.pipeline, source.task))
    headless = getattr(model.network, "feature_dim", None) is None
    shapes = NetworkShapes(own, plugins)
    from_input = shapes.that_follow("in_channels") if own.in_channels != source.pipeline.in_channels else {}
    from_classes = shapes.that_follow("out_channels") if headless else {}

    found = {name[len(NETWORK) :]: tensor for name, tensor in stored.items() if name.startswith(NETWORK)}
    state = dict(model.network.state_dict())
    taken: dict[str, Tensor] = {}
    adapted: list[str] = []
    wrong: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    for name in state.keys() & found.keys():
        mine, theirs = state[name], found[name]
        if name in from_classes:
            taken[name] = within.with_rows(mine, theirs, from_classes[name])
        elif mine.shape == theirs.shape:
            taken[name] = theirs
        elif from_input.get(name) == (1,) and differs_only_in((1,), mine, theirs):
            taken[name] = with_channels(theirs, mine.shape[1])
            adapted.append(name)
        else:
            wrong[name] = (tuple(theirs.shape), tuple(mine.shape))
    missing = sorted(state.keys() - found.keys())
    unexpected = sorted(found.keys() - state.keys())
    if rule.strict and (missing or unexpected or wrong):
        raise WeightsMismatchError(
            source.place,
            missing,
            unexpected,
            dict(sorted(wrong.items())),
            advice="Choose the architecture that the stored model has, or set mode.strict=false to leave what"
            " does not fit as it is initialised.",
        )
    head = model.heads[head_key(task)]
    rows = {
        name: classes.with_rows(mine, stored[f"heads.{head_key(source.task)}.{name}"], (0,))
        for name, mine in head.state_dict().items()
        if not headless and classes.pairs
    }
    with torch.no_grad():
        model.network.load_state_dict({**state, **taken})
        head.load_state_dict({**head.state_dict(), **rows})
    return Transferred(
        loaded=len(taken) - len(adapted) - len(from_classes.keys() & taken.keys()),
        adapted=sorted(adapted),
        kept_classes=classes.kept,
        new_classes=classes.new,
        missing=missing,
        unexpected=unexpected,
        shapes={name: [list(theirs), list(mine)] for name, (theirs, mine) in sorted(wrong.items())},
    )


def _outputs_before(pipeline: Pipeline, task: str) -> int:
    tasks = [output.task for output in pipeline.outputs]
    return sum(output.width for output in pipeline.outputs[: tasks.index(task)])


def check_architecture(own: Pipeline, source: Pipeline, rule: TransferRule) -> None:
    """Refuse another architecture, or one built with other arguments, where ``rule`` is strict.

    Raises:
        TransferError: They differ; it says what to write for the one of the stored model.
    """
    mine, theirs = own.architecture, source.architecture
    if rule.strict and (mine.name, mine.kwargs) != (theirs.name, theirs.kwargs):
        import json

        arguments = json.dumps(theirs.kwargs, separators=(",", ":")).replace('"', "")
        raise TransferError(
            f"The stored model is of the architecture {theirs.name} {theirs.kwargs}, the config asks for"
            f" {mine.name} {mine.kwargs}; set arch.name={theirs.name} 'arch.kwargs={arguments}', or"
            " mode.strict=false to take what fits."
        )


def check_channels(own: Pipeline, source: Pipeline, rule: TransferRule) -> None:
    """Refuse images of another number of channels where ``rule`` does.

    Raises:
        TransferError: The numbers differ.
    """
    if own.in_channels != source.in_channels and rule.input_channels == "refuse":
        raise TransferError(
            f"The stored model was trained on images of {source.in_channels} channels, those of task"
            f" '{own.outputs[0].task}' have {own.in_channels}; set mode.input_channels=adapt to make its"
            " first convolution fit."
        )


def with_channels(weight: Tensor, channels: int) -> Tensor:
    """Make the weight of a first convolution fit another number of channels.

    For one channel the weights of all are summed, so that a grey image has the response of the same image in
    colours; else they are repeated and scaled so that the response keeps its size (as in timm: Wightman,
    PyTorch Image Models, 2019).

    Args:
        weight: (O, C, ...).
        channels: The number of channels that is wanted.
    """
    present = weight.shape[1]
    if channels == 1:
        return weight.sum(1, keepdim=True)
    repeated = torch.arange(channels) % present
    return weight.index_select(1, repeated) * (present / channels)
