"""What every architecture has to do, as tests to subclass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from mml_core.plugins import PluginManager

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mml_core.learning.module import MMLModule

_BATCH, _WIDTH = 4, 2
_SEGMENTATION = "semantic_segmentation"


class ArchitectureContract:
    """Tests of one architecture; subclass it with a name that begins with ``Test``.

    It is built for each of its task types, for grey and for colour images.

    Attributes:
        architecture: Its name, ``provider:name`` where that is ambiguous.
        kwargs: Its keyword arguments, as ``arch.kwargs`` of the config; make it small by them.
        image_size: Height and width of an image, in pixels.
        channels: For how many channels it is built.
        without_gradient: Prefixes of the names of parameters that a training may leave as they are.
    """

    architecture: ClassVar[str]
    kwargs: ClassVar[Mapping[str, Any]] = {}
    image_size: ClassVar[tuple[int, int]] = (32, 32)
    channels: ClassVar[Sequence[int]] = (1, 3)
    without_gradient: ClassVar[Sequence[str]] = ()

    @pytest.fixture(autouse=True)
    def _own_randomness(self) -> Iterator[None]:
        """Leave torch's random numbers to others as they were."""
        import torch

        with torch.random.fork_rng(devices=[]):
            yield

    def test_it_puts_out_what_its_task_type_needs(self) -> None:
        """A backbone gives a vector of ``feature_dim`` numbers, any other net the outputs of the task."""
        for case, task_type, channels in self._cases():
            network = self._build(task_type, channels).eval()
            shape = tuple(self._outputs(network, channels).shape)
            feature_dim = getattr(network, "feature_dim", None)
            expected: tuple[Any, ...]
            assert feature_dim is None or task_type != _SEGMENTATION, (
                f"{case}: it says feature_dim={feature_dim}, and a backbone cannot segment; put out a class"
                " per pixel, without feature_dim."
            )
            if feature_dim is not None:
                expected, what = (_BATCH, feature_dim), f"feature_dim={feature_dim!r} says"
            elif task_type == _SEGMENTATION:
                expected, what = (_BATCH, _WIDTH, *self.image_size), f"{_WIDTH} classes of each pixel need"
            else:
                expected, what = (_BATCH, _WIDTH), f"{_WIDTH} outputs without a feature_dim need"
            assert shape == expected, f"{case}: it puts out {shape}, {what} {expected}."

    def test_its_weights_are_those_of_the_seed(self) -> None:
        """Built twice under one seed it has the same weights: nothing else draws them."""
        import torch

        for case, task_type, channels in self._cases():
            first, second = (self._build(task_type, channels).state_dict() for _ in range(2))
            differ = [name for name, tensor in first.items() if not torch.equal(tensor, second[name])]
            assert not differ, (
                f"{case}: {_listed(differ)} differ between two networks of one seed; draw weights from"
                " torch's own random numbers."
            )

    def test_it_predicts_the_same_each_time(self) -> None:
        """In evaluation nothing is random, and an image is predicted alone as among others."""
        import torch

        for case, task_type, channels in self._cases():
            network = self._build(task_type, channels).eval()
            together = self._outputs(network, channels)
            assert torch.equal(together, self._outputs(network, channels)), (
                f"{case}: in evaluation (network.eval()) it puts out other values each time."
            )
            with torch.inference_mode():
                alone = torch.cat([network(image[None]) for image in self._images(channels)])
            assert torch.allclose(together, alone, rtol=1e-3, atol=1e-4), (
                f"{case}: in evaluation an image's outputs depend on the other images of its batch."
            )

    def test_gradients_reach_every_parameter(self) -> None:
        """What a training leaves as it is costs memory, and stops training on several devices."""
        for case, task_type, channels in self._cases():
            network = self._build(task_type, channels).train()
            loss = network(self._images(channels)).square().sum()
            own_loss = getattr(network, "own_loss", None)
            (loss if own_loss is None else loss + own_loss).backward()
            gradients = {
                name: parameter.grad
                for name, parameter in network.named_parameters()
                if parameter.requires_grad and not name.startswith(tuple(self.without_gradient))
            }
            missing = [name for name, gradient in gradients.items() if gradient is None]
            assert not missing, (
                f"{case}: no gradient reaches {_listed(missing)}; leave out what is not used, or name it in"
                " without_gradient."
            )
            found = {name: gradient for name, gradient in gradients.items() if gradient is not None}
            broken = [name for name, gradient in found.items() if not bool(gradient.isfinite().all())]
            assert not broken, f"{case}: the gradient of {_listed(broken)} is not finite."
            moved = any(bool(gradient.any()) for gradient in found.values())
            assert moved, f"{case}: all gradients are zero; the outputs have to depend on the parameters."

    def test_its_weights_are_all_it_is(self, tmp_path: Path) -> None:
        """Saved, and loaded into a new network, its weights make it predict what it predicted."""
        import torch

        from mml_core.learning.weights import load_weights, save_weights

        for case, task_type, channels in self._cases():
            network = self._build(task_type, channels).train()
            with torch.no_grad():
                network(self._images(channels))  # statistics of normalisations are part of it
            other = self._build(task_type, channels, seed=1)
            save_weights(network, tmp_path / "weights.safetensors")
            load_weights(other, tmp_path / "weights.safetensors")
            before, after = (self._outputs(each.eval(), channels) for each in (network, other))
            assert torch.equal(before, after), (
                f"{case}: with the weights of a network another one puts out other values; keep what it needs"
                " in parameters and buffers."
            )

    def test_a_step_trains_it(self, tmp_path: Path) -> None:
        """The model that the config makes of it takes one step of training and of validation."""
        import torch

        for case, task_type, channels in self._cases():
            model = self._model(task_type, channels, tmp_path)
            trainer = _train(model, self._batch(task_type, channels), tmp_path)
            loss = trainer.callback_metrics["train/loss"]
            assert bool(torch.isfinite(loss)), f"{case}: the loss of a step of training is {float(loss)}."
            broken = [name for name, each in model.named_parameters() if not bool(each.isfinite().all())]
            assert not broken, f"{case}: after a step of training {_listed(broken)} is not finite."

    # -- what the tests use

    def _cases(self) -> Iterator[tuple[str, str, int]]:
        """Yield, for each task type and number of channels, what a message calls it, and both."""
        spec = PluginManager.discover().architectures.get(self.architecture)
        for task_type in spec.task_types:
            for channels in self.channels:
                height, width = self.image_size
                yield f"{spec.name} for {task_type}, {channels}x{height}x{width}", task_type, channels

    def _build(self, task_type: str, channels: int, seed: int = 0) -> nn.Module:
        import torch

        from mml_core.learning.architectures import Architecture, build_network

        torch.manual_seed(seed)
        return build_network(
            Architecture(name=self.architecture, kwargs=dict(self.kwargs)),
            PluginManager.discover(),
            task_type=task_type,
            in_channels=channels,
            out_channels=_WIDTH,
            image_size=self.image_size,
        )

    def _model(self, task_type: str, channels: int, folder: Path) -> MMLModule:
        import torch
        from omegaconf import OmegaConf, open_dict

        from mml_core.config.compose import compose
        from mml_core.learning.factory import create_model
        from mml_core.testing.tiny_tasks import create_tiny_task

        plugins = PluginManager.discover()
        height, width = self.image_size
        size = ["preprocessing.id=contract", f"preprocessing.height={height}", f"preprocessing.width={width}"]
        cfg = compose(["mode=info", *size], plugins)
        with open_dict(cfg):
            cfg.arch = OmegaConf.create({"name": self.architecture, "kwargs": dict(self.kwargs)})
        task = create_tiny_task(folder / "data", task_type, channels=channels)
        torch.manual_seed(0)
        return create_model(cfg, task, plugins)

    def _images(self, channels: int) -> Tensor:
        import torch

        generator = torch.Generator().manual_seed(0)
        return torch.randn(_BATCH, channels, *self.image_size, generator=generator)

    def _outputs(self, network: nn.Module, channels: int) -> Tensor:
        import torch

        with torch.inference_mode():
            outputs: Tensor = network(self._images(channels))
        return outputs

    def _batch(self, task_type: str, channels: int) -> dict[str, Any]:
        import torch

        numbers = torch.arange(_BATCH)
        targets = {
            "classification": numbers % 2,
            "multilabel": torch.stack([numbers % 2, numbers // 2], 1).float(),
            "regression": numbers[:, None].float(),
            _SEGMENTATION: (self._images(1)[:, 0] > 0).long(),
        }
        return {"image": self._images(channels), "target": targets[task_type], "index": numbers}


def _train(model: MMLModule, batch: dict[str, Any], folder: Path) -> Any:
    """Take one step of training and of validation."""
    from lightning.pytorch import Trainer

    from mml_core.learning.quiet import silence_lightning

    silence_lightning()
    trainer = Trainer(
        accelerator="cpu",
        max_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    trainer.fit(model, _Once(batch), _Once(batch))
    return trainer


class _Once:
    """A loader of one batch."""

    def __init__(self, batch: dict[str, Any]) -> None:
        self._batch = batch

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield self._batch

    def __len__(self) -> int:
        return 1


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"
