"""The distances by name, each with its options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mml_core.api import OptionError, choose
from mml_similarity.measure import Described, Measure, targets_of, values_of

if TYPE_CHECKING:
    from mml_core.api import TaskStruct

ENSEMBLE = "ensemble"
HEADER, KEYWORDS = "header", "keywords"
NETWORK, HEAD = "network", "head"


class Frechet(Measure):
    """Squared Fréchet distance of Gaussians fitted to the features (FID)."""

    name = "fid"

    def summarise(self, tasks: Sequence[Described]) -> Sequence[Any]:
        """Fit the Gaussians."""
        from mml_similarity.distances.gaussian import Gaussian

        return [Gaussian.of(values_of(task)) for task in tasks]

    def between(self, a: Any, b: Any) -> float:
        """Return the squared Fréchet distance."""
        from mml_similarity.distances.gaussian import frechet

        return frechet(a, b)


class KernelInception(Measure):
    """Unbiased squared MMD with a polynomial kernel (KID)."""

    name = "kid"
    defaults = {"degree": 3}

    def check_options(self) -> None:
        """Refuse a degree that is no whole number from 1."""
        degree = self.options["degree"]
        if not isinstance(degree, int) or isinstance(degree, bool) or degree < 1:
            raise OptionError(f"mode.kid.degree must be a whole number from 1, found {degree!r}.")

    def summarise(self, tasks: Sequence[Described]) -> Sequence[Any]:
        """Average the kernel within each task."""
        from mml_similarity.distances import mmd

        self._kernel = mmd.polynomial(degree=self.options["degree"])
        return [mmd.Embedded.of(values_of(task), self._kernel) for task in tasks]

    def between(self, a: Any, b: Any) -> float:
        """Return the unbiased estimate; noise may take it below 0."""
        from mml_similarity.distances.mmd import squared_mmd

        return squared_mmd(a, b, self._kernel)


class KernelMean(KernelInception):
    """Unbiased squared MMD with a Gaussian kernel, of one width for all pairs of tasks."""

    name = "mmd"
    defaults = {"bandwidth": None}

    def check_options(self) -> None:
        """Refuse a bandwidth that is no number above 0."""
        if self.options["bandwidth"] is not None:
            self.require_number("bandwidth", above=0)

    def summarise(self, tasks: Sequence[Described]) -> Sequence[Any]:
        """Choose the bandwidth by the median heuristic, and average the kernel within each task."""
        from mml_similarity.distances import mmd

        sets = [values_of(task) for task in tasks]
        self._kernel = mmd.gaussian(self.options["bandwidth"] or mmd.median_distance(sets))
        return [mmd.Embedded.of(values, self._kernel) for values in sets]


class KullbackLeibler(Measure):
    """Kullback-Leibler divergence from the row's Gaussian to the column's."""

    name = "kl"
    symmetric = False
    defaults = {"shrinkage": 0.1}

    def check_options(self) -> None:
        """Refuse a shrinkage that leaves covariances singular."""
        self.require_number("shrinkage", above=0, most=1)

    def summarise(self, tasks: Sequence[Described]) -> Sequence[Any]:
        """Fit the Gaussians, and invert their covariances."""
        from mml_similarity.distances.gaussian import RegularGaussian

        shrinkage = float(self.options["shrinkage"])
        return [RegularGaussian.of(values_of(task), shrinkage=shrinkage) for task in tasks]

    def between(self, a: Any, b: Any) -> float:
        """Return KL(a‖b)."""
        from mml_similarity.distances.gaussian import kl_divergence

        return kl_divergence(a, b)


class Jeffreys(KullbackLeibler):
    """Mean of the Kullback-Leibler divergences in both directions."""

    name = "kl_symmetric"
    symmetric = True

    def between(self, a: Any, b: Any) -> float:
        """Return ``(KL(a‖b) + KL(b‖a)) / 2``."""
        return (super().between(a, b) + super().between(b, a)) / 2


class EarthMover(Measure):
    """Earth mover's distance of equally many samples of both tasks."""

    name = "emd"
    defaults = {"samples": 1000}

    def check_options(self) -> None:
        """Refuse a number of samples that is none."""
        samples = self.options["samples"]
        if samples is not None and (not isinstance(samples, int) or isinstance(samples, bool) or samples < 1):
            raise OptionError(f"mode.emd.samples must be a whole number from 1, or null, found {samples!r}.")

    def summarise(self, tasks: Sequence[Described]) -> Sequence[Any]:
        """Shuffle the samples of each task by the seed, so that the first few are drawn at random.

        Which these are depends on the name of the task, not on which others there are.
        """
        return [self._drawn(task) for task in tasks]

    def _drawn(self, task: Described) -> Any:
        import numpy as np

        values, name = values_of(task), task.struct.name.encode()
        order = np.random.default_rng([self.seed, *name]).permutation(len(values))
        return values[order[: self.options["samples"]]]

    def between(self, a: Any, b: Any) -> float:
        """Move as many samples as the smaller task has."""
        from mml_similarity.distances.earth_mover import earth_movers

        count = min(len(a), len(b))
        return earth_movers(a[:count], b[:count])


class PrototypeMover(Measure):
    """Earth mover's distance between the means of classes, weighted by their share of samples."""

    name = "prototype_emd"
    task_types = ("classification",)

    def summarise(self, tasks: Sequence[Described]) -> Sequence[Any]:
        """Average the features of each class; samples without a label are left out."""
        from mml_similarity.distances.earth_mover import Prototypes

        found = []
        for task in tasks:
            labels = targets_of(task)
            known = labels >= 0
            if not known.any():
                raise OptionError(
                    f"No sample of task '{task.struct.name}' has a label, so that it has no prototypes; set"
                    " mode.split=train, or leave out the distance prototype_emd."
                )
            found.append(Prototypes.of(values_of(task)[known], labels[known].tolist()))
        return found

    def between(self, a: Any, b: Any) -> float:
        """Move classes onto classes."""
        from mml_similarity.distances.earth_mover import prototype_distance

        return prototype_distance(a, b)


class FisherEmbedding(Measure):
    """Cosine distance of Fisher embeddings (FED), of the backbone or of linear probes on it."""

    name = "fisher"
    task_types = ("classification", "multilabel", "regression")
    defaults = {"parameters": NETWORK, "l2": 0.01, "exact": 10, "draws": 1}

    def check_options(self) -> None:
        """Refuse unknown parameters, a weight decay that is none, and counts that are none."""
        choose("mode.fisher.parameters", self.options["parameters"], dict.fromkeys((NETWORK, HEAD)))
        self.require_number("l2", above=0)
        for key, least in (("exact", 0), ("draws", 1)):
            count = self.options[key]
            if not isinstance(count, int) or isinstance(count, bool) or count < least:
                raise OptionError(f"mode.fisher.{key} must be a whole number from {least}, found {count!r}.")
        self.needs_features = self.options["parameters"] == HEAD
        self.needs_embeddings = not self.needs_features

    @property
    def embedding_options(self) -> dict[str, Any]:
        """The options that an embedding by the backbone's weights depends on."""
        return {key: self.options[key] for key in ("l2", "exact", "draws")}

    def summarise(self, tasks: Sequence[Described]) -> Sequence[Any]:
        """Take the embeddings, or fit a probe to each task on features standardised over all tasks."""
        if self.needs_embeddings:
            return [task.embedding.information for task in tasks if task.embedding]
        from mml_similarity.embedding import embeddings_of

        return embeddings_of([task.features for task in tasks if task.features], l2=self.options["l2"])

    def between(self, a: Any, b: Any) -> float:
        """Compare two embeddings."""
        from mml_similarity.distances.fisher import fisher_distance

        return fisher_distance(a, b)


class Semantic(Measure):
    """Jaccard distance of the words that describe tasks."""

    name = "semantic"
    needs_features = False
    defaults = {"of": KEYWORDS}

    def check_options(self) -> None:
        """Refuse sources of words that there are none of."""
        choose("mode.semantic.of", self.options["of"], dict.fromkeys((KEYWORDS, HEADER)))

    def check_task(self, struct: TaskStruct) -> None:
        """Refuse a task without words."""
        if not self._texts(struct):
            raise OptionError(
                f"Task '{struct.name}' has no keywords, so that its semantic distances are not defined;"
                " describe it by keywords, set mode.semantic.of=header, or leave out the distance."
            )

    def summarise(self, tasks: Sequence[Described]) -> Sequence[Any]:
        """Collect the words of each task."""
        from mml_similarity.distances.semantic import words_of

        return [words_of(self._texts(task.struct)) for task in tasks]

    def between(self, a: Any, b: Any) -> float:
        """Compare two sets of words."""
        from mml_similarity.distances.semantic import jaccard_distance

        return jaccard_distance(a, b)

    def _texts(self, struct: TaskStruct) -> list[str]:
        keywords = list(struct.keywords)
        if self.options["of"] == KEYWORDS:
            return keywords
        channels = "grey" if struct.channels == 1 else "colour"
        return [*keywords, str(struct.task_type.value), channels, *struct.class_names]


MEASURES: dict[str, type[Measure]] = {
    each.name: each
    for each in (
        Frechet,
        KernelInception,
        KernelMean,
        KullbackLeibler,
        Jeffreys,
        EarthMover,
        PrototypeMover,
        FisherEmbedding,
        Semantic,
    )
}
"""The distances by name; the ensemble of several is none of its own."""
