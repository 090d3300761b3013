"""The pipeline file: what rebuilds a model and its preprocessing, without weights and without code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError
from mml_core.learning.architectures import Architecture, build_network
from mml_core.learning.outputs import TaskOutput

if TYPE_CHECKING:
    from mml_core.learning.module import MMLModule, Recipe
    from mml_core.plugins import PluginManager

VERSION = 1
KEYS = (
    "version",
    "architecture",
    "in_channels",
    "image_size",
    "outputs",
    "normalisation",
    "trained_on",
    "preprocessing",
)


class PipelineError(MMLError):
    """A pipeline file cannot be read or does not describe a model."""


class OutdatedModelError(MMLError):
    """A model is to be applied to a task that has changed since the model was trained on it."""


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """What rebuilds a model.

    Attributes:
        architecture: Registered name and its arguments.
        in_channels: Channels of an image.
        image_size: Height and width the network was built for, in pixels.
        outputs: The heads.
        normalisation: Task → ``{"means": […], "stds": […]}`` per channel on the 0..1 scale: what its images
            are normalised by, whatever becomes of the task.
        trained_on: Task → digests of the sample table and the dataset the model was trained on.
        preprocessing: The config group ``preprocessing`` the images went through.
        training: The remaining groups the model was trained with, for the record only.
        classes: Task → names of its classes in the order of the outputs; empty for values.
        initial_weights: The file the training began with: ``{source, path, sha256, …}``; empty where weights
            were random.
    """

    architecture: Architecture
    in_channels: int
    image_size: tuple[int, int]
    outputs: tuple[TaskOutput, ...]
    normalisation: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    trained_on: dict[str, dict[str, str]] = field(default_factory=dict)
    preprocessing: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    classes: dict[str, list[str]] = field(default_factory=dict)
    initial_weights: dict[str, Any] = field(default_factory=dict)

    def build(self, plugins: PluginManager, recipe: Recipe | None = None) -> MMLModule:
        """Build the model, freshly initialised; the architecture must be registered."""
        from mml_core.learning.module import MMLModule

        network = build_network(
            self.architecture,
            plugins,
            task_type=self.outputs[0].task_type,
            in_channels=self.in_channels,
            out_channels=sum(output.width for output in self.outputs),  # a backbone ignores it
            image_size=self.image_size,
        )
        return MMLModule(network, self.outputs, recipe)

    def check_task(self, task: str, found: Mapping[str, str]) -> None:
        """Refuse a task whose samples are not those the model was trained on: its folds would be others.

        Args:
            task: Name of the task.
            found: Digests of its sample table and dataset now.

        Raises:
            OutdatedModelError: They differ from those of the training.
        """
        if self.trained_on.get(task) != found:
            raise OutdatedModelError(
                f"Task '{task}' was created anew since the model was trained on it, so that its validation"
                " samples may be ones the model has seen; train again, or restore the task."
            )

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "version": VERSION,
            "architecture": self.architecture.to_json(),
            "in_channels": self.in_channels,
            "image_size": list(self.image_size),
            "outputs": [output.to_json() for output in self.outputs],
            "normalisation": self.normalisation,
            "trained_on": self.trained_on,
            "preprocessing": self.preprocessing,
            "training": self.training,
            "classes": self.classes,
            "initial_weights": self.initial_weights,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Pipeline:
        """Rebuild what :meth:`to_json` gave.

        Raises:
            PipelineError: If a key is missing or of another type.
        """
        missing = [key for key in KEYS if key not in stored]
        if missing:
            raise PipelineError(f"A pipeline needs {', '.join(KEYS)}; missing: {', '.join(missing)}.")
        if stored["version"] != VERSION:
            raise PipelineError(
                f"The pipeline has version {stored['version']}, this mml reads {VERSION}; update mml-core."
            )
        try:
            height, width = stored["image_size"]
            return cls(
                architecture=Architecture.from_json(stored["architecture"]),
                in_channels=int(stored["in_channels"]),
                image_size=(int(height), int(width)),
                outputs=_outputs(stored["outputs"]),
                normalisation=dict(stored["normalisation"]),
                trained_on=dict(stored["trained_on"]),
                preprocessing=dict(stored["preprocessing"]),
                training=dict(stored.get("training") or {}),
                classes={
                    str(task): [str(name) for name in names]
                    for task, names in (stored.get("classes") or {}).items()
                },
                initial_weights=dict(stored.get("initial_weights") or {}),
            )
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise PipelineError(f"The pipeline is malformed: {error!r}.") from error


def save_pipeline(pipeline: Pipeline, path: Path) -> None:
    """Write a pipeline as YAML, atomically."""
    import yaml

    from mml_core.storage.atomic import write_text

    write_text(path, yaml.safe_dump(pipeline.to_json(), sort_keys=False, allow_unicode=True))


def load_pipeline(path: Path) -> Pipeline:
    """Read a pipeline; plain values only, whatever the file asks for.

    Raises:
        PipelineError: If it is missing or malformed.
    """
    import yaml

    try:
        # The same safe loader, ten times as fast where libyaml is there.
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        stored = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    except FileNotFoundError as error:
        raise PipelineError(f"Pipeline {path} is not there; train again or reuse another project.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PipelineError(f"Pipeline {path} is no readable YAML: {' '.join(str(error).split())}") from error
    if not isinstance(stored, dict):
        raise PipelineError(f"Pipeline {path} holds no mapping, found {type(stored).__name__}.")
    return Pipeline.from_json(stored)


def load_model(pipeline: Path | Pipeline, weights: Path, plugins: PluginManager) -> MMLModule:
    """Rebuild a stored model for prediction.

    Args:
        pipeline: Its pipeline file, or what was read from it.
        weights: Its safetensors file.
        plugins: Where its architecture is registered; nothing else is instantiated.
    """
    from mml_core.learning.weights import load_weights

    described = pipeline if isinstance(pipeline, Pipeline) else load_pipeline(pipeline)
    model = described.build(plugins)
    load_weights(model, weights)
    return model.eval()


def _outputs(stored: Sequence[Mapping[str, Any]]) -> tuple[TaskOutput, ...]:
    return tuple(TaskOutput.from_json(output) for output in stored)
