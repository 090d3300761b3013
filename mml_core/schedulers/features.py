"""What modes over features share: a step for each task that extracts them, and their comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.files.stored_models import find_stored_model, load_stored_model
from mml_core.learning.options import OptionError
from mml_core.schedulers.feature_options import BACKBONE, PIXELS, FeatureOptions
from mml_core.scheduling.base import AbstractBaseScheduler

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule
    from torch import nn

    from mml_core.learning.backbones import Backbone
    from mml_core.learning.features import Features
    from mml_core.learning.pipeline import Pipeline
    from mml_core.scheduling.routine import StepHandle
    from mml_core.tasks.models import ModelStorage
    from mml_core.tasks.struct import TaskStruct

FEATURES = "features"


class FeatureScheduler(AbstractBaseScheduler):
    """A scheduler that works on features of its tasks, all of one backbone.

    ``create_routine`` of a subclass calls ``plan_features``; its later steps call ``features_of_tasks``. The
    config ``mode`` has the keys of `FeatureOptions`. What ``reuse.features`` names is taken as it is.
    """

    def plan_features(self) -> list[StepHandle]:
        """Plan a step for each task that extracts its features, or takes those that are reused.

        Returns:
            The handles, in the order of the tasks.

        Raises:
            OptionError: Options are impossible, or the images of the tasks do not fit one backbone.
            FeaturesError: Features that are reused come from different backbones.
        """
        with self.choosing_steps():
            model = self._check_features()
        return [self.add_step("extract_features", task, *model, after=()) for task in self.cfg.task_list]

    def extract_features(self, task: str, model: str | None = None, sha256: str = "") -> dict[str, Any]:
        """Save the features of a task, as ``features``; or take over what is there.

        Args:
            task: Name of the task.
            model: The file of the stored model, relative to the folder of all projects where it lies there.
            sha256: What its content was when the run was planned.

        Returns:
            ``task``, ``features`` (the file), ``samples``, ``width``, and ``reused``.
        """
        from mml_core.learning.backbones import extract_features
        from mml_core.learning.features import read_header, save_features

        struct = self.get_struct(task)
        path = struct.paths.get(FEATURES)
        reused = path is not None
        if path is None:
            options = FeatureOptions.from_config(self.cfg.mode)
            features = extract_features(
                self._backbone(struct, options, model, sha256),
                struct.description,
                lambda: self.create_trainer(
                    struct, label=f"features of {task}", fast_dev_run=False, limit_predict_batches=None
                ),
                cfg=self.cfg,
                data_root=self.fm.data,
                splits=options.splits,
                samples=options.samples,
                seed=self.step_seed,
            )
            path = self.fm.construct_saving_path(None, FEATURES, task)
            save_features(path, features)
            struct.paths[FEATURES] = path
        header = read_header(path)
        return {
            "task": task,
            "features": str(path),
            "samples": header.samples,
            "width": header.width,
            "reused": reused,
        }

    def features_of_tasks(self) -> Iterator[Features]:
        """Yield in a later step the features of each task, in the order of the tasks.

        Raises:
            FeaturesError: A file is damaged, or different backbones have made them.
        """
        from mml_core.learning.features import load_features, read_header, require_comparable

        paths = [Path(each["features"]) for each in self.results.by_method("extract_features")]
        require_comparable([read_header(path) for path in paths])
        for path in paths:
            yield load_features(path)

    def plan_backbone(self) -> list[str]:
        """Check that the backbone which ``mode`` names is there, for steps that call ``show_images``.

        Returns:
            The params ``model`` and ``sha256`` of such steps; none for the backbone of ``arch``.

        Raises:
            OptionError: Options are impossible, or the images of the tasks do not fit one backbone.
            FeaturesError: Features that are reused were made by another backbone, or nobody knows by which.
        """
        from mml_core.learning.feature_sources import require_made_by
        from mml_core.learning.features import read_header

        with self.choosing_steps():
            options = FeatureOptions.from_config(self.cfg.mode)
            structs = [self.get_struct(task) for task in self.cfg.task_list]
            model = self._check_backbone(options, structs)
            for struct in [each for each in structs if FEATURES in each.paths][:1]:  # all have one backbone
                header = read_header(struct.paths[FEATURES])
                require_made_by(self._backbone(struct, options, *(model or (None, ""))), header)
        return model

    def show_images(
        self,
        task: str,
        features: Features,
        viewer: Callable[[nn.Module], LightningModule],
        model: str | None = None,
        sha256: str = "",
    ) -> list[Any]:
        """Show the images that features were taken of once more, to a module around the backbone.

        They are prepared as for the features and come split after split in the order of the sample table.
        The module's ``predict_step`` gets batches as `MMLDataModule` describes them, one at a time; in it
        gradients can be taken ``with torch.enable_grad()``.

        Args:
            task: Name of the task.
            features: Its features.
            viewer: Makes the module of the backbone's network: images (B, C, H, W) to features (B, D).
            model: As of ``extract_features``; what `plan_backbone` has returned.
            sha256: As of ``extract_features``.

        Returns:
            What ``predict_step`` returned for each batch.

        Raises:
            FeaturesError: Another backbone made the features, or the task has no longer all the samples.
        """
        from mml_core.learning.backbones import show_images
        from mml_core.learning.feature_sources import require_made_by, with_samples_of

        struct = self.get_struct(task)
        options = FeatureOptions.from_config(self.cfg.mode)
        backbone = self._backbone(struct, options, model, sha256)
        require_made_by(backbone, features)
        return show_images(
            viewer(backbone.network),
            backbone,
            with_samples_of(struct.description, features),
            lambda: self.create_trainer(
                struct,
                label=f"images of {task}",
                fast_dev_run=False,
                limit_predict_batches=None,
                inference_mode=False,
            ),
            cfg=self.cfg,
            data_root=self.fm.data,
            seed=self.step_seed,
        )

    # -- checks and choices

    def _check_features(self) -> list[str]:
        """Refuse what the steps would fail by; return the params of a stored model."""
        from mml_core.learning.features import read_header, require_comparable
        from mml_core.learning.initial_weights import InitialWeights

        options = FeatureOptions.from_config(self.cfg.mode)
        structs = [self.get_struct(task) for task in self.cfg.task_list]
        require_comparable([read_header(each.paths[FEATURES]) for each in structs if FEATURES in each.paths])
        new = [each for each in structs if FEATURES not in each.paths]
        if not new:
            return []
        model = self._check_backbone(options, new)
        if options.of == BACKBONE and not model and InitialWeights.from_config(self.cfg.get("arch")) is None:
            self.notice(
                "The backbone has random weights: features tell little of what images show. Name a stored"
                " model by mode.model=project#number, or weights by arch.weights=…."
            )
        return model

    def _check_backbone(self, options: FeatureOptions, structs: Sequence[TaskStruct]) -> list[str]:
        if options.of == BACKBONE and options.model is not None:
            return self._check_stored(options.model, structs)
        self._require_one_input(structs)
        if options.of == BACKBONE:
            self._check_given()
        return []

    def _check_stored(self, model: str, structs: Sequence[TaskStruct]) -> list[str]:
        from mml_core.data.preprocessing import Preprocessing
        from mml_core.learning.outputs import SEGMENTATION
        from mml_core.learning.pipeline import load_pipeline
        from mml_core.storage.hashing import sha256_file

        results = self.fm.project_path.parent
        place = find_stored_model(model, results)
        pipeline: Pipeline = load_pipeline(load_stored_model(place).pipeline)
        if any(output.task_type == SEGMENTATION for output in pipeline.outputs):
            raise OptionError(
                f"mode.model={model} is a model for segmentation, which puts out masks and no features; name"
                " a model of a classification, multilabel task or regression."
            )
        preprocessing = Preprocessing.from_config(pipeline.preprocessing or {"id": "none"})
        for struct in structs:
            channels = preprocessing.channels_of(int(struct.channels))
            if channels != pipeline.in_channels:
                raise OptionError(
                    f"Images of task '{struct.name}' have {channels} channels, and the model {model} takes"
                    f" {pipeline.in_channels}; leave the task out, or name a model that was trained with"
                    " preprocessing.channels=rgb or grey."
                )
        path = place.relative_to(results) if place.is_relative_to(results) else place
        return [path.as_posix(), sha256_file(place)]

    def _require_one_input(self, structs: Sequence[TaskStruct]) -> None:
        from mml_core.learning.factory import input_of

        first, *others = [(each.name, *input_of(self.cfg, each)) for each in structs]
        for name, channels, size in others:
            if channels != first[1]:
                raise OptionError(
                    f"Images of task '{first[0]}' have {first[1]} channels, those of '{name}' {channels}, and"
                    " one backbone takes one number; set preprocessing.channels=rgb or grey."
                )
            if size != first[2]:
                raise OptionError(
                    f"Images of task '{first[0]}' are {first[2][0]}x{first[2][1]} pixels, those of '{name}'"
                    f" {size[0]}x{size[1]}; choose a preprocessing with a size, as preprocessing=default."
                )

    def _check_given(self) -> None:
        from mml_core.learning.architectures import choose_architecture, find_architecture
        from mml_core.learning.backbones import KINDS
        from mml_core.learning.initial_weights import initial_file

        find_architecture(choose_architecture(self.cfg.get("arch"), KINDS), self.plugins, KINDS)
        initial_file(self.cfg)

    def _backbone(
        self, struct: TaskStruct, options: FeatureOptions, model: str | None, sha256: str
    ) -> Backbone:
        from mml_core.learning.backbones import given_backbone, pixels_of, stored_backbone
        from mml_core.learning.factory import input_of
        from mml_core.learning.initial_weights import initial_file

        if model is not None:
            return stored_backbone(self._stored(model, sha256), self.plugins)
        channels, size = input_of(self.cfg, struct)
        if options.of == PIXELS:
            return pixels_of(self.cfg, channels=channels, image_size=size)
        weights = initial_file(self.cfg)
        if weights is not None:
            self.fm.take_file(weights)
        return given_backbone(
            self.cfg,
            self.plugins,
            channels=channels,
            image_size=size,
            normalisation=options.normalisation,
        )

    def _stored(self, model: str, sha256: str) -> ModelStorage:
        from mml_core.storage.hashing import sha256_file

        place = self.fm.project_path.parent / model
        if sha256_file(place) != sha256:
            raise OptionError(f"The stored model '{place}' is another one than when the run was planned.")
        storage = load_stored_model(place)
        self.fm.take_file(storage.weights)
        return storage
