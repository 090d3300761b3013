"""The mode ``similarity``: features of each task, then each distance between all pairs of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.api import OptionError
from mml_similarity.embedding_scheduler import EmbeddingScheduler, require_two, require_usable
from mml_similarity.measure import PAIRS_AT_ONCE, Described, Measure
from mml_similarity.measures import ENSEMBLE
from mml_similarity.options import PAGE, check_distances, ensemble_of, measure_of, plots_of

if TYPE_CHECKING:
    from mml_core.api import TaskStruct
    from mml_similarity.table import Distances


class SimilarityScheduler(EmbeddingScheduler):
    """Measures how far tasks are from each other.

    A step for each task extracts its features, one more embeds it where a distance asks for that, a step for
    each distance compares all pairs of tasks, and the last one collects all distances.
    """

    reuse_safe = True

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg, available_subroutines=["features", "distances"])

    def create_routine(self) -> None:
        """Plan the features of each task where a distance needs them, and the distances."""
        with self.choosing_steps():
            measures = self._checked_measures()
            combined = ENSEMBLE in self.cfg.mode.distances and "distances" in self.subroutines
            embedding = any(each.needs_embeddings for each in measures)
            extracting = "features" in self.subroutines or self._features_needed(measures)
        extracted = self.plan_features() if extracting else []
        embedded = self.plan_embeddings(extracted) if embedding else []
        measured = [
            self.add_step(
                "measure",
                each.name,
                after=embedded if each.needs_embeddings else extracted if each.needs_features else (),
                resources={"cpus": PAIRS_AT_ONCE} if each.needs_features or each.needs_embeddings else None,
            )
            for each in measures
        ]
        if combined:
            measured.append(self.add_step("combine", after=measured))
        if measured:
            self.add_step("collect", after=measured)

    # -- steps

    def measure(self, distance: str) -> dict[str, Any]:
        """Compute one distance between all pairs of tasks, and draw it.

        Args:
            distance: Its name.

        Returns:
            ``distance``, ``files`` and for each task the ``nearest`` other one.
        """
        from mml_similarity.table import Distances

        tasks = list(self.cfg.task_list)
        measure = measure_of(distance, self.cfg.mode, seed=self.step_seed)
        structs = [self.get_struct(task) for task in tasks]
        features = list(self.features_of_tasks()) if measure.needs_features else [None] * len(tasks)
        require_usable(distance, features)
        embeddings = self.embeddings_of_tasks() if measure.needs_embeddings else [None] * len(tasks)
        described = [
            Described(struct=struct, features=found, embedding=embedding)
            for struct, found, embedding in zip(structs, features, embeddings, strict=True)
        ]
        return self._saved(
            Distances(
                distance=distance,
                tasks=tasks,
                values=measure.matrix(described),
                symmetric=measure.symmetric,
                samples=[each.samples for each in described],
                options=measure.options,
            )
        )

    def combine(self) -> dict[str, Any]:
        """Average distances that were measured, each on a scale of its own, and draw the result."""
        from mml_similarity.distances.combined import combine
        from mml_similarity.table import Distances, load_distances

        options = ensemble_of(self.cfg.mode)
        measured = {each["distance"]: each for each in self.results.by_method("measure")}
        members = [load_distances(Path(measured[name]["files"]["distances"])) for name in options.members]
        return self._saved(
            Distances(
                distance=ENSEMBLE,
                tasks=members[0].tasks,
                values=combine([each.values for each in members], options.by),
                symmetric=all(each.symmetric for each in members),
                samples=[max(counts) for counts in zip(*(each.samples for each in members), strict=True)],
                options={"of": list(options.members), "by": options.by},
            )
        )

    def collect(self) -> dict[str, Any]:
        """Save all distances as one page, and as one table: the newest that ``reuse.distances`` finds."""
        from mml_similarity.table import load_distances, save_distances

        found = [load_distances(Path(each["files"]["distances"])) for each in self._measured()]
        table = self.fm.construct_saving_path(None, "distances", file_name="all.parquet")
        save_distances(table, *found)
        files = {"distances": str(table)}
        if PAGE in plots_of(self.cfg.mode):
            from mml_similarity.page import page_of

            page = self.fm.construct_saving_path(None, "similarity_plots", file_name="all.html")
            page.write_text(page_of(found), encoding="utf-8")
            files[PAGE] = str(page)
        return {"files": files}

    def before_finishing_hook(self) -> None:
        """Show the nearest task of each, and where the files are."""
        measured = self._measured()
        if not measured:
            return
        self.return_value = {each["distance"]: each["nearest"] for each in measured}
        _show(measured, self.results.by_method("collect"), self.fm.project_path)

    # -- what steps share

    def _measured(self) -> list[dict[str, Any]]:
        return [*self.results.by_method("measure"), *self.results.by_method("combine")]

    def _checked_measures(self) -> list[Measure]:
        """Return the distances that are asked for, without the ensemble, after all checks."""
        tasks = list(self.cfg.task_list)
        names = check_distances(self.cfg.mode)
        plots_of(self.cfg.mode)
        if "distances" not in self.subroutines:
            return []
        if len(tasks) < 2:
            raise OptionError(
                f"The mode similarity compares tasks, and the run has {len(tasks)}; name several by"
                " --tasks a,b."
            )
        twice = [task for task in tasks if tasks.count(task) > 1]
        if twice:
            raise OptionError(f"The run names task '{twice[0]}' twice; name each task once by --tasks.")
        measures = [measure_of(name, self.cfg.mode) for name in names if name != ENSEMBLE]
        structs = [self.get_struct(task) for task in tasks]
        for measure in measures:
            for struct in structs:
                measure.check_task(struct)
        self._check_samples([each for each in measures if self._features_needed([each])], structs)
        if any(each.needs_embeddings for each in measures):
            self.check_reused_embeddings()
        if "features" not in self.subroutines and self._features_needed(measures):
            missing = [each.name for each in structs if "features" not in each.paths]
            if missing:
                raise OptionError(
                    f"There are no features of task '{missing[0]}'; add features to mode.subroutines, or set"
                    " reuse.features to a project that has them."
                )
        return measures

    def _features_needed(self, measures: Sequence[Measure]) -> bool:
        """Whether distances need features of all tasks, beside what is reused."""
        embedding = any(each.needs_embeddings for each in measures) and not self.all_embedded()
        return embedding or any(each.needs_features for each in measures)

    def _check_samples(self, measures: Sequence[Measure], structs: Sequence[TaskStruct]) -> None:
        """Refuse tasks of which too few features will be extracted; of those reused, each step does."""
        split = self.cfg.mode.get("split") or "all"
        if split not in ("all", "train", "test", "unlabelled"):
            return  # refused with the choices where features are planned
        for measure in measures:
            for struct in structs:
                if "features" not in struct.paths:
                    counts = struct.header.num_samples
                    found = sum(counts.values()) if split == "all" else counts.get(split, 0)
                    require_two(measure.name, struct.name, int(found))

    def _saved(self, distances: Distances) -> dict[str, Any]:
        from mml_similarity.plots import draw
        from mml_similarity.table import save_distances

        name = distances.distance
        table = self.fm.construct_saving_path(None, "distances", file_name=f"{name}.parquet")
        save_distances(table, distances)
        files = {"distances": str(table)}
        for kind in plots_of(self.cfg.mode):
            if kind == PAGE:
                continue
            plot = self.fm.construct_saving_path(None, "similarity_plots", file_name=f"{name}-{kind}.png")
            plot.write_bytes(draw(kind, distances))
            files[kind] = str(plot)
        return {"distance": name, "files": files, "nearest": _nearest(distances)}


def _nearest(distances: Distances) -> dict[str, dict[str, Any]]:
    """Return for each task the other one that is nearest from it, the first of several."""
    import numpy as np

    others = distances.values + np.diag(np.full(len(distances.tasks), np.inf))
    return {
        task: {"task": distances.tasks[column], "distance": float(others[row, column])}
        for row, (task, column) in enumerate(zip(distances.tasks, others.argmin(axis=1), strict=True))
    }


def _show(
    measured: Sequence[Mapping[str, Any]], collected: Sequence[Mapping[str, Any]], project: Path
) -> None:
    print("Nearest tasks:")
    for each in measured:
        for task, found in each["nearest"].items():
            print(f"  {each['distance']:14} {task} -> {found['task']}  {found['distance']:.4g}")
    print("Files:")
    for each in (*measured, *collected):
        for path in each["files"].values():
            print(f"  {Path(path).relative_to(project)}")
