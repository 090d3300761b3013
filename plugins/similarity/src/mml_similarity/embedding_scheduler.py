"""What the mode ``similarity`` does to embed tasks by the weights of a backbone: a step for each task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.api import FeatureScheduler, MMLError, OptionError
from mml_similarity.measures import FisherEmbedding

if TYPE_CHECKING:
    from torch import nn

    from mml_core.api import Features
    from mml_similarity.fisher_file import TaskEmbedding
    from mml_similarity.network_fisher import FisherViewer

EMBEDDINGS = "fisher_embeddings"


class EmbeddingScheduler(FeatureScheduler):
    """A scheduler that embeds its tasks by the Fisher information of the backbone of their features."""

    def all_embedded(self) -> bool:
        """Whether the embeddings of all tasks are reused."""
        with self.choosing_steps():
            return all(EMBEDDINGS in self.get_struct(task).paths for task in self.cfg.task_list)

    def check_reused_embeddings(self) -> None:
        """Refuse embeddings that are reused, and were made with other options or by different backbones.

        Raises:
            EmbeddingFileError: Names the task, and what differs.
        """
        from mml_similarity.fisher_file import load_embedding, require_comparable

        structs = [self.get_struct(task) for task in self.cfg.task_list]
        paths = [each.paths[EMBEDDINGS] for each in structs if EMBEDDINGS in each.paths]
        require_comparable([load_embedding(path) for path in paths], self._options)

    def plan_embeddings(self, extracted: Sequence[Any]) -> list[Any]:
        """Plan a step for each task that embeds it, or takes the embedding that is reused.

        Args:
            extracted: The steps that extract features, in the order of the tasks; none where all tasks are
                embedded already.

        Raises:
            OptionError: The backbone is not known, or not the one that made features which are reused.
        """
        try:
            model = [] if self.all_embedded() else self.plan_backbone()
        except MMLError as error:
            raise OptionError(
                f"{str(error).rstrip('.')}; or set mode.fisher.parameters=head, which needs features alone."
            ) from error
        waits: list[tuple[Any, ...]] = [(each,) for each in extracted] or [()] * len(self.cfg.task_list)
        return [
            self.add_step("embed", task, *model, after=after)
            for task, after in zip(self.cfg.task_list, waits, strict=True)
        ]

    def embed(self, task: str, model: str | None = None, sha256: str = "") -> dict[str, Any]:
        """Save the Fisher embedding of a task by the weights of the backbone, or take over what is there.

        Args:
            task: Name of the task.
            model: As of ``extract_features``.
            sha256: As of ``extract_features``.

        Returns:
            ``task``, ``embedding`` (the file), and ``reused``.
        """
        struct = self.get_struct(task)
        path = struct.paths.get(EMBEDDINGS)
        reused = path is not None
        if path is None:
            from mml_similarity.fisher_file import save_embedding

            embedding = self._embedded(task, model, sha256)
            path = self.fm.construct_saving_path(None, EMBEDDINGS, task)
            save_embedding(path, embedding)
            struct.paths[EMBEDDINGS] = path
        return {"task": task, "embedding": str(path), "reused": reused}

    def _embedded(self, task: str, model: str | None, sha256: str) -> TaskEmbedding:
        from mml_core.api import load_features
        from mml_similarity.fisher_file import TaskEmbedding
        from mml_similarity.heads import fit_head
        from mml_similarity.network_fisher import FisherViewer

        options = self._options
        (path,) = (each["features"] for each in self.results.by_method("extract_features"))
        features = load_features(Path(path))
        require_usable(FisherEmbedding.name, [features])
        head = fit_head(features, l2=options["l2"])
        viewers: list[FisherViewer] = []

        def viewer(network: nn.Module) -> FisherViewer:
            viewers.append(
                FisherViewer(
                    network, head, exact=options["exact"], draws=options["draws"], seed=self.step_seed
                )
            )
            return viewers[0]

        self.show_images(task, features, viewer, model, sha256)
        return TaskEmbedding(
            task=task,
            likelihood=head.likelihood,
            samples=viewers[0].samples,
            filters=viewers[0].filters,
            information=viewers[0].information,
            backbone=features.backbone,
            options=options,
        )

    def embeddings_of_tasks(self) -> list[TaskEmbedding]:
        """Return in a later step the embedding of each task, in the order of the tasks.

        Raises:
            EmbeddingFileError: A file is damaged, or different backbones have made them.
        """
        from mml_similarity.fisher_file import load_embedding, require_comparable

        found = [load_embedding(Path(each["embedding"])) for each in self.results.by_method("embed")]
        require_comparable(found, self._options)
        return found

    @property
    def _options(self) -> dict[str, Any]:
        return FisherEmbedding(dict(self.cfg.mode.get(FisherEmbedding.name) or {})).embedding_options


def require_usable(distance: str, features: Sequence[Features | None]) -> None:
    """Refuse what files of strangers may hold; what mml extracts is checked before and while it is saved.

    Raises:
        OptionError: Features are too few, or some are no finite numbers.
    """
    import numpy as np

    for found in features:
        if found is None:
            continue
        require_two(distance, found.task, len(found.values))
        if not np.isfinite(found.values).all():
            sample = found.sample_ids[int(np.argmin(np.isfinite(found.values).all(axis=1)))]
            raise OptionError(
                f"Features of task '{found.task}' hold what is no finite number, for the first time of sample"
                f" '{sample}'; extract them again, or leave the task out."
            )


def require_two(distance: str, task: str, count: int) -> None:
    """Refuse fewer than two samples of a task.

    Raises:
        OptionError: Says what to do.
    """
    if count < 2:
        samples = "a single sample" if count else "no sample"
        raise OptionError(
            f"Task '{task}' has features of {samples}, and {distance} needs two; leave the task out, or"
            " choose another mode.split."
        )
