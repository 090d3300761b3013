"""The mode from the command line: what it makes, what it takes over, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from mml_similarity.distances.fisher import fisher_distance
from mml_similarity.fisher_file import load_embedding
from mml_similarity.table import load_distances

from mml_core.api import Features, MMLFileManager, PluginManager, load_features, save_features

pytest_plugins = ["mml_core.testing.fixtures"]

BOTH = ("tiny_classification", "tiny_multilabel")
ALL = "mode.distances=[fid,kid,mmd,kl,kl_symmetric,emd,fisher,semantic,ensemble]"

FISHER = "mode.distances=[fisher]"


def table(project, name, proj="default"):
    (path,) = (project.path(proj) / "DISTANCES").glob(f"{name}_[0-9]*.parquet")
    return load_distances(path)


def features(project, task, proj="default"):
    return load_features(project.path(proj) / "FEATURES" / task / "features_0001.parquet")


def embedding(project, task, proj="default"):
    return load_embedding(project.path(proj) / "FISHER_EMBEDDINGS" / task / "embedding_0001.parquet")


def test_every_distance_becomes_a_table(similarity, mml_project):
    done = similarity(ALL, "mode.semantic.of=header")
    assert done.code == 0, done.err
    names = ["fid", "kid", "mmd", "kl", "kl_symmetric", "emd", "fisher", "semantic", "ensemble"]
    for name in names:
        distances = table(mml_project, name)
        assert distances.tasks == list(BOTH)
        assert np.isfinite(distances.values).all()
        assert not np.diag(distances.values).any()
        assert distances.symmetric == (name not in ("kl", "ensemble"))
    assert "tiny_classification -> tiny_multilabel" in done.out


def test_each_distance_is_drawn_as_heatmap_tree_and_map(similarity, mml_project):
    done = similarity("mode.distances=[fid]", "mode.plots=[heatmap,dendrogram,map]")
    assert done.code == 0, done.err
    found = {path.name.rpartition("_")[0] for path in (mml_project.path() / "SIMILARITY").iterdir()}
    assert found == {"fid-heatmap", "fid-dendrogram", "fid-map"}


def test_all_distances_are_collected_in_one_table_and_a_page(similarity, mml_project):
    done = similarity("mode.distances=[fid,kl]", "mode.plots=[page]")
    assert done.code == 0, done.err
    (collected,) = (mml_project.path() / "DISTANCES").glob("all_*.parquet")
    rows = pq.read_table(collected).to_pylist()
    assert [row["distance"] for row in rows] == ["fid"] * 4 + ["kl"] * 4
    single = table(mml_project, "kl").values.ravel().tolist()
    assert [row["value"] for row in rows[4:]] == single
    (page,) = (mml_project.path() / "SIMILARITY").iterdir()
    assert page.name == "all_0001.html"
    assert all(f'"{task}"' in page.read_text() for task in BOTH)


def test_which_samples_are_moved_does_not_depend_on_other_tasks(similarity, mml_project):
    emd = ("mode.distances=[emd]", "mode.emd.samples=5")
    two = similarity(*emd, proj="two")
    three = similarity(*emd, tasks=f"tiny_regression,{','.join(BOTH)}", proj="three")
    assert (two.code, three.code) == (0, 0)
    pair = table(mml_project, "emd", "two").values[0, 1]
    assert pair > 0
    assert table(mml_project, "emd", "three").values[1, 2] == pair


def test_the_same_images_are_no_distance_apart(similarity, mml_project):
    assert similarity("mode.distances=[fid,kl]").code == 0
    assert table(mml_project, "fid").values == pytest.approx(0, abs=1e-9)
    assert table(mml_project, "kl").values == pytest.approx(0, abs=1e-9)


def test_features_are_saved_with_ids_targets_and_what_made_them(similarity, mml_project):
    assert similarity("mode.distances=[fid]").code == 0
    found = features(mml_project, "tiny_classification")
    assert found.values.shape == (16, 4)
    assert sorted(found.sample_ids) == [f"{number:02d}" for number in range(16)]
    assert sorted(set(found.splits)) == ["test", "train"]
    assert found.targets.tolist() == [int(name) % 2 for name in found.sample_ids]
    assert found.classes == ("disc", "square")
    assert found.backbone["architecture"]["name"] == "dot"
    assert found.backbone["weights"] == {"random": 42}
    other = features(mml_project, "tiny_multilabel")
    assert np.array_equal(found.values, other.values)
    assert other.targets.shape == (16, 2)


def test_samples_are_drawn_by_the_seed(similarity, mml_project):
    chosen = ("mode.distances=[fid]", "mode.samples=6")
    for proj, seed in (("one", 1), ("same", 1), ("other", 2)):
        assert similarity(*chosen, f"seed={seed}", proj=proj).code == 0
    one, same, other = (features(mml_project, BOTH[0], proj).sample_ids for proj in ("one", "same", "other"))
    assert len(set(one)) == 6
    assert one == same != other


def test_a_split_is_chosen(similarity, mml_project):
    assert similarity("mode.distances=[fid]", "mode.split=test").code == 0
    assert set(features(mml_project, BOTH[0]).splits) == {"test"}


def test_features_of_another_project_are_taken_over(similarity, mml_project):
    assert similarity("mode.distances=[emd]", proj="first").code == 0
    reused = similarity(
        "mode.distances=[emd]",
        "reuse.features=first",
        "mode.subroutines=[distances]",
        proj="second",
    )
    assert reused.code == 0, reused.err
    assert not (mml_project.path("second") / "FEATURES").exists()
    again, before = table(mml_project, "emd", "second"), table(mml_project, "emd", "first")
    assert np.array_equal(again.values, before.values)


def test_features_come_from_a_stored_model(similarity, mml, dot, mml_project):
    trained = mml(
        "run", "--mode=train", "--tasks=tiny_regression", "--proj=models", "trainer.max_epochs=1",
        "mode.folds=[0]", "mode.subroutines=[train]", "metrics.intervals.method=none", *dot,
    )  # fmt: skip
    assert trained.code == 0, trained.err
    assert similarity("mode.model=models#1", "mode.distances=[fid]").code == 0
    backbone = features(mml_project, BOTH[0]).backbone
    assert backbone["kind"] == "model"
    assert backbone["weights"]["task"] == "tiny_regression"


def test_distances_over_words_need_no_features(similarity, mml_project):
    done = similarity("mode.distances=[semantic]", "mode.semantic.of=header", "mode.subroutines=[distances]")
    assert done.code == 0, done.err
    assert not (mml_project.path() / "FEATURES").exists()


def test_tasks_are_embedded_by_the_filters_of_the_backbone(similarity, mml_project):
    done = similarity(FISHER)
    assert done.code == 0, done.err
    one, two = (embedding(mml_project, task) for task in BOTH)
    assert one.filters == two.filters == [("0", number) for number in range(4)]
    assert (one.likelihood, two.likelihood) == ("softmax", "bernoulli")
    assert one.samples == 16
    assert one.backbone == features(mml_project, BOTH[0]).backbone
    found = table(mml_project, "fisher")
    assert found.values[0, 1] == fisher_distance(one.information, two.information)
    assert list(found.samples) == [16, 16]


def test_an_embedding_has_its_provenance(similarity, mml_project, mml):
    assert similarity(FISHER).code == 0
    path = mml_project.path() / "FISHER_EMBEDDINGS" / BOTH[0] / "embedding_0001.parquet"
    why = mml("files", "why", str(path))
    assert why.code == 0, why.err
    assert "embed" in why.out


def test_embeddings_of_another_project_are_taken_over(similarity, mml_project):
    assert similarity(FISHER, proj="first").code == 0
    reused = similarity(
        FISHER, "reuse.fisher_embeddings=first", "mode.subroutines=[distances]", proj="second"
    )
    assert reused.code == 0, reused.err
    assert {path.name for path in mml_project.path("second").iterdir() if path.name.isupper()} == {
        "DISTANCES"
    }
    before, again = table(mml_project, "fisher", "first"), table(mml_project, "fisher", "second")
    assert np.array_equal(before.values, again.values)
    other = similarity(FISHER, "reuse.fisher_embeddings=first", "mode.fisher.l2=1", proj="third")
    assert other.code == 2
    assert "was made with l2=0.01" in other.err


def test_a_backbone_that_features_do_not_come_from_embeds_nothing(similarity, mml_project):
    assert similarity("mode.distances=[fid]", "seed=1", proj="first").code == 0
    refused = similarity(FISHER, "reuse.features=first", "seed=2", proj="second")
    assert refused.code == 2
    assert "come from another backbone than the one of the config (they differ in weights)" in refused.err
    assert "or set mode.fisher.parameters=head" in refused.err
    assert len(refused.err.strip().splitlines()) == 1
    assert similarity(FISHER, "reuse.features=first", "seed=1", proj="third").code == 0
    probes = similarity(
        FISHER, "reuse.features=first", "seed=2", "mode.fisher.parameters=head", proj="fourth"
    )
    assert probes.code == 0, probes.err
    assert not (mml_project.path("fourth") / "FISHER_EMBEDDINGS").exists()


def test_masks_are_refused_for_fisher_before_anything_is_made(similarity, mml_project, tiny_task):
    tiny_task("semantic_segmentation")
    refused = similarity(FISHER, tasks=f"{BOTH[0]},tiny_semantic_segmentation")
    assert refused.code == 2
    assert "fisher is not defined for task 'tiny_semantic_segmentation'" in refused.err
    assert len(refused.err.strip().splitlines()) == 1
    assert not (mml_project.path() / "FEATURES").exists()


@pytest.mark.long
def test_processes_make_the_files_that_a_sequential_run_makes(similarity, mml_project, dot, mml_process):
    chosen = ("mode.distances=[fid,emd,fisher,ensemble]", "mode.fisher.exact=0", "mode.plots=[map]")
    assert similarity(*chosen, proj="one").code == 0
    command = ("run", "--mode=similarity", f"--tasks={','.join(BOTH)}", "--proj=two", *dot, *chosen)
    done = mml_process(*command, "--executor=processes")
    assert done.code == 0, done.err
    # Numbers tell the order in which steps ended.
    one, two = (
        {(name.rpartition("_")[0], sha) for name, sha in mml_project.files(proj).items()}
        for proj in ("one", "two")
    )
    assert one == two


def test_a_plan_shows_a_step_for_each_task_and_distance(similarity):
    planned = similarity("mode.distances=[fid,kl,ensemble]", "--plan", "--json")
    steps = [row["step"].partition("(")[0] for row in json.loads(planned.out)]
    assert steps[:5] == ["extract_features", "extract_features", "measure", "measure", "combine"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["mode.distances=[frechet]"], "Unknown distance 'frechet'."),
        (["mode.distances=[fidd]"], "Did you mean 'fid'"),
        (["mode.distances=[]"], "mode.distances is empty"),
        (["mode.distances=[fid,fid]"], "names 'fid' twice"),
        (["mode.distances=fid"], "must be a list"),
        (["mode.distances=[fid,ensemble]"], "averages several"),
        (["mode.distances=[fid,kid,ensemble]", "mode.ensemble.of=[fid,emd]"], "which is not measured"),
        (["+mode.kl.shrink=0.1", "mode.distances=[kl]"], "Unknown option 'mode.kl.shrink'"),
        (["mode.kl.shrinkage=0", "mode.distances=[kl]"], "mode.kl.shrinkage must be a number above 0"),
        (["mode.fisher.parameters=weights", FISHER], "Unknown mode.fisher.parameters 'weights'"),
        (["mode.fisher.draws=0", FISHER], "mode.fisher.draws must be a whole number from 1"),
        (["mode.fisher.exact=1.5", FISHER], "mode.fisher.exact must be a whole number from 0"),
        (["mode.split=unlabelled", FISHER], "has features of no sample, and fisher needs two"),
        (["mode.plots=[tree]"], "Unknown plot 'tree'"),
        (["mode.samples=1"], "mode.samples must be a whole number from 2"),
        (["mode.split=val"], "Unknown mode.split 'val'"),
        (["mode.distances=[prototype_emd]"], "not defined for task 'tiny_multilabel'"),
        (["mode.distances=[semantic]"], "has no keywords"),
        (["mode.subroutines=[distances]"], "no features of task 'tiny_classification'"),
        (["mode.model=nowhere#1"], "no project 'nowhere'"),
        (["arch.name=segmenter"], "segmenter"),
        (["mode.split=unlabelled"], "has features of no sample, and fid needs two"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(similarity, mml_project, overrides, message):
    refused = similarity(*overrides)
    assert refused.code == 2
    assert message in refused.err
    assert len(refused.err.strip().splitlines()) == 1
    assert not (mml_project.path() / "FEATURES").exists()


def test_one_task_is_too_few(similarity):
    refused = similarity(tasks="tiny_classification")
    assert refused.code == 2
    assert "the run has 1; name several by --tasks" in refused.err


def test_a_task_that_is_named_twice_is_refused(similarity):
    done = similarity("mode.distances=[fid]", tasks="tiny_classification,tiny_classification")
    assert done.code == 2
    assert "tiny_classification" in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_features_of_different_backbones_are_refused(similarity):
    for task, seed in zip(BOTH, (1, 2), strict=True):
        alone = similarity("mode.subroutines=[features]", f"seed={seed}", tasks=task, proj=f"of{seed}")
        assert alone.code == 0, alone.err
    refused = similarity("reuse.features=[of1,of2]")
    assert refused.code == 2
    assert "come from different backbones (they differ in weights)" in refused.err


def test_tasks_of_different_channels_are_refused(similarity, tiny_task):
    tiny_task("classification", channels=3)
    refused = similarity(tasks="tiny_classification,tiny_classification_rgb")
    assert refused.code == 2
    assert "set preprocessing.channels=rgb or grey" in refused.err


@pytest.fixture
def stored(mml_project, dot):
    """Save features that a user brings: ``stored("tiny_classification", values, targets)``."""

    def save(task, values, targets):
        with MMLFileManager(
            data=mml_project.data,
            results=mml_project.results,
            project="own",
            plugins=PluginManager.discover(),
        ) as manager:
            found = Features(
                task=task,
                task_type="classification",
                sample_ids=[str(row) for row in range(len(values))],
                splits=["train"] * len(values),
                values=np.asarray(values, dtype=np.float32),
                targets=np.asarray(targets),
                classes=("disc", "square"),
            )
            save_features(manager.construct_saving_path(None, "features", task), found)

    return save


def test_features_of_an_unknown_backbone_are_compared_by_probes_alone(similarity, stored, tiny_task):
    tiny_task("classification", channels=3)
    tasks = "tiny_classification,tiny_classification_rgb"
    for number, task in enumerate(tasks.split(",")):
        stored(task, np.random.default_rng(number).normal(size=(8, 3)), [0, 1] * 4)
    refused = similarity(FISHER, "reuse.features=own", "preprocessing.channels=grey", tasks=tasks)
    assert refused.code == 2
    assert "do not tell which backbone" in refused.err
    assert "or set mode.fisher.parameters=head" in refused.err
    probes = similarity(FISHER, "reuse.features=own", "mode.fisher.parameters=head", tasks=tasks)
    assert probes.code == 0, probes.err


def test_features_of_a_single_sample_are_refused(similarity, stored):
    for task, count in zip(BOTH, (4, 1), strict=True):
        stored(task, np.eye(4)[:count], [0] * count)
    refused = similarity("mode.distances=[fid]", "reuse.features=own")
    assert refused.code != 0
    assert "Task 'tiny_multilabel' has features of a single sample, and fid needs two" in refused.err


def test_features_that_are_no_numbers_are_named(similarity, stored, mml_project):
    import pyarrow as pa

    for task in BOTH:
        stored(task, np.eye(4), [0] * 4)
    path = mml_project.path("own") / "FEATURES" / BOTH[1] / "features_0001.parquet"
    rows = pq.read_table(path)
    damaged = np.eye(4, dtype=np.float32)
    damaged[2, 1] = np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(damaged.ravel()), 4)
    pq.write_table(rows.set_column(rows.column_names.index("features"), "features", column), path)
    refused = similarity("mode.distances=[fid]", "reuse.features=own")
    assert refused.code != 0
    assert len(refused.err.strip().splitlines()) == 1
    assert "tiny_multilabel" in refused.err


def test_a_task_without_labels_has_no_prototypes(similarity, stored, tiny_task):
    tasks = "tiny_classification,tiny_classification_rgb"
    tiny_task("classification", channels=3)
    for task, label in zip(tasks.split(","), (0, -1), strict=True):
        stored(task, np.eye(4), [label] * 4)
    refused = similarity("mode.distances=[prototype_emd]", "reuse.features=own", tasks=tasks)
    assert refused.code != 0
    assert "No sample of task 'tiny_classification_rgb' has a label" in refused.err
