"""The mode transfer, really run on tiny tasks: where the weights come from, what is kept, what is refused."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from mml_core.scheduling.planning import plan_of_run
from mml_core.testing.fixtures import CommandRunner, MMLProject, Result

pytest_plugins = ["mml_core.testing.fixtures"]

QUICK = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "preprocessing=none", "loader.batch_size=8"]
SMALL = ["arch=resnet_tiny", "arch.kwargs.block_inplanes=[2,2,2,4]"]
Run = Callable[..., Result]


@pytest.fixture
def run(mml: CommandRunner, mml_project: MMLProject, install_task: Any) -> Run:
    """``run(mode, project, *overrides)`` on tiny tasks: ``tiny`` is the target, ``other`` the source."""
    install_task(mml_project.data, "tiny")
    install_task(mml_project.data, "other", seed=1)

    def command(mode: str, project: str, *overrides: str) -> Result:
        task = "tiny" if mode == "transfer" else "other"
        return mml("run", f"--mode={mode}", f"--tasks={task}", "--proj", project, *QUICK, *SMALL, *overrides)

    return command


def plan(project: MMLProject, name: str) -> list[tuple[Any, ...]]:
    return [(row["method"], *row["params"]) for row in plan_of_run(project.runs(name)[-1])]


def records(project: MMLProject, name: str, method: str) -> list[Any]:
    found = [
        json.loads(path.read_text())["body"] for path in sorted((project.runs(name)[-1] / "steps").glob("*"))
    ]
    return [record["value"] for record in found if record["method"] == method]


def weights_of(project: MMLProject, name: str, task: str) -> list[dict[str, Any]]:
    return [load_file(path) for path in sorted((project.path(name) / "PARAMETERS" / task).iterdir())]


def backbone(weights: dict[str, Any]) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in weights.items() if name.startswith("network.")}


def test_it_trains_the_source_first_and_a_probe_keeps_its_backbone(run: Run, mml_project: MMLProject) -> None:
    result = run("transfer", "a", "mode.pretrain_task=other", "mode.freeze=backbone")
    assert result.code == 0, result.err
    assert plan(mml_project, "a")[:5] == [
        ("pretrain_fold", "other", 0),
        ("choose_source",),
        ("train_fold", "tiny", 0),
        ("predict_fold", "tiny", 0),
        ("test_fold", "tiny", 0),
    ]
    (source,) = weights_of(mml_project, "a", "other")
    for target in weights_of(mml_project, "a", "tiny"):
        assert backbone(target) == backbone(source)
        assert not target["heads.task:tiny.weight"].equal(source["heads.task:other.weight"])
    (first, _) = records(mml_project, "a", "train_fold")
    assert first["transfer"]["kept_classes"] == ["dark", "bright"]
    assert first["transfer"]["source"]["task"] == "other"
    assert re.search(r"tiny: \d+ tensors loaded; classes kept: dark, bright", result.err)
    assert "tiny  accuracy" in result.out


def test_without_freezing_the_backbone_learns_on(run: Run, mml_project: MMLProject) -> None:
    assert run("transfer", "a", "mode.pretrain_task=other", "mode.folds=1").code == 0
    ((source,), (target,)) = (weights_of(mml_project, "a", task) for task in ("other", "tiny"))
    assert backbone(target).keys() == backbone(source).keys()
    assert backbone(target) != backbone(source)


def test_the_last_layers_can_be_trained_alone(run: Run, mml_project: MMLProject) -> None:
    assert run("transfer", "a", "mode.pretrain_task=other", "mode.folds=1", "mode.freeze=partial").code == 0
    ((source,), (target,)) = (weights_of(mml_project, "a", task) for task in ("other", "tiny"))
    old, new = backbone(source), backbone(target)
    assert {name.split(".")[2] for name in new if new[name] != old[name]} == {"layer4"}


def test_equal_seeds_give_equal_bytes(run: Run, mml_project: MMLProject) -> None:
    for project in "ab":
        assert run("transfer", project, "mode.pretrain_task=other", "mode.folds=1").code == 0
    first, second = (mml_project.files(project) for project in "ab")
    kept = ("PARAMETERS", "PREDICTIONS", "METRICS")
    assert {path: each for path, each in first.items() if path.startswith(kept)} == {
        path: each for path, each in second.items() if path.startswith(kept)
    }


def test_co_tasks_start_from_the_source_together(
    run: Run, mml_project: MMLProject, install_task: Any
) -> None:
    install_task(mml_project.data, "third", seed=2)
    options = ["mode.co_tasks.tasks=[third]", "mode.folds=1", "mode.freeze=backbone"]
    result = run("transfer", "a", "mode.pretrain_task=other", *options)
    assert result.code == 0, result.err
    ((source,), (target,)) = (weights_of(mml_project, "a", task) for task in ("other", "tiny"))
    assert backbone(target) == backbone(source)
    assert "heads.task:third.weight" in target


def test_images_of_the_source_that_are_evaluated_are_told(
    run: Run, mml_project: MMLProject, install_task: Any
) -> None:
    install_task(mml_project.data, "again")  # the images of the target
    options = ["mode.pretrain_task=again", "mode.folds=1"]
    stopped = run("transfer", "a", *options, "leakage=stop")
    assert stopped.code == 2
    assert "What is evaluated was trained on" in stopped.err


@pytest.fixture
def sources(run: Run, mml_project: MMLProject) -> list[Path]:
    """Two stored models of the task ``other``, of which the second has the smaller loss."""
    assert run("train", "stored", "mode.subroutines=[train]").code == 0
    return sorted((mml_project.path("stored") / "MODELS/other").iterdir())


def chosen_fold(project: MMLProject, name: str) -> int:
    (chosen,) = records(project, name, "choose_source")
    return int(chosen["fold"])


@pytest.mark.parametrize("direction", ["min", "max"])
def test_the_best_of_several_models_is_taken(
    direction: str, run: Run, sources: list[Path], mml_project: MMLProject
) -> None:
    metrics = [json.loads(path.read_text())["metrics"]["val/loss"] for path in sources]
    options = ["reuse.models=stored", "mode.folds=1", f"mode.select_direction={direction}"]
    assert run("transfer", "a", "mode.pretrain_task=other", *options).code == 0
    assert plan(mml_project, "a")[:2] == [("choose_source",), ("train_fold", "tiny", 0)]
    wanted = min(metrics) if direction == "min" else max(metrics)
    assert chosen_fold(mml_project, "a") == metrics.index(wanted)


def test_the_newest_of_several_models_is_taken(
    run: Run, sources: list[Path], mml_project: MMLProject
) -> None:
    options = ["reuse.models=stored", "mode.folds=1", "mode.select=created"]
    assert run("transfer", "a", "mode.pretrain_task=other", *options).code == 0
    assert chosen_fold(mml_project, "a") == 1


def test_a_random_choice_stands_in_the_plan(run: Run, sources: list[Path], mml_project: MMLProject) -> None:
    draws = {}
    for seed in range(3):
        options = ["reuse.models=stored", "mode.select=random", f"seed={seed}", "mode.subroutines=[train]"]
        assert run("transfer", f"s{seed}", "mode.pretrain_task=other", "mode.folds=1", *options).code == 0
        (draw,) = [step[1] for step in plan(mml_project, f"s{seed}") if step[0] == "choose_source"]
        draws[draw] = chosen_fold(mml_project, f"s{seed}")
    assert len(draws) == 3
    assert all(fold == int(draw * 2) for draw, fold in draws.items())


def test_a_model_can_be_named(run: Run, sources: list[Path], mml_project: MMLProject) -> None:
    names = ["stored#2", "stored/MODELS/other/model_0002.json", str(sources[1])]
    for project, name in zip("abc", names, strict=True):
        result = run("transfer", project, f"mode.model={name}", "mode.folds=1", "mode.freeze=backbone")
        assert result.code == 0, result.err
        (step, *_) = plan(mml_project, project)
        assert step[:2] == ("name_source", "stored/MODELS/other/model_0002.json")
        (target,) = weights_of(mml_project, project, "tiny")
        assert backbone(target) == backbone(weights_of(mml_project, "stored", "other")[1])


def test_where_it_is_allowed_what_does_not_fit_is_left_and_recorded(
    run: Run, sources: list[Path], mml_project: MMLProject
) -> None:
    wider = ["arch.kwargs.block_inplanes=[2,2,2,8]", "mode.strict=false", "mode.folds=1"]
    result = run("transfer", "a", "mode.model=stored#1", *wider)
    assert result.code == 0, result.err
    assert "WARNING mml_core.schedulers.transfer: tiny: " in result.err
    (record,) = records(mml_project, "a", "train_fold")
    assert record["transfer"]["shapes"]["net.layer4.0.conv1.weight"] == [[4, 2, 3, 3], [8, 2, 3, 3]]


def test_a_model_of_the_same_task_goes_on_in_its_own_fold_only(
    run: Run, mml: CommandRunner, mml_project: MMLProject
) -> None:
    base = ["--tasks=other", *QUICK, *SMALL]
    assert run("train", "stored", "mode.subroutines=[train]").code == 0
    again = mml("run", "--mode=transfer", "--proj=a", *base, "mode.model=stored#1", "mode.folds=[0]")
    assert again.code == 0, again.err
    leaking = mml("run", "--mode=transfer", "--proj=b", *base, "mode.model=stored#1", "mode.folds=[1]")
    assert leaking.code == 2
    assert "it has seen the samples of fold 1 of 'other'" in leaking.err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "set mode.pretrain_task=TASK, or mode.model=FILE"),
        (["mode.pretrain_task=othr"], "othr"),
        (["mode.pretrain_task=tiny"], "is among the tasks to be trained afterwards"),
        (["mode.pretrain_task=other", "mode.pretrain_folds=[7]"], "has no fold 7"),
        (["mode.pretrain_task=other", "mode.select=best"], "write one of performance, created, random"),
        (["mode.pretrain_task=other", "mode.select_metric=val/dice"], "does not log"),
        (["mode.pretrain_task=other", "mode.freeze=all"], "Unknown mode.freeze 'all'"),
        (["mode.pretrain_task=other", "mode.freeze=partial", "mode.unfreeze_last=99"], "the network has"),
        (["mode.pretrain_task=other", "mode.strict=no_idea"], "mode.strict is 'no_idea'"),
        (["mode.pretrain_task=other", "optimizer.layer_decay=2"], "optimizer.layer_decay is 2"),
        (["mode.model=nothing.json"], "is no stored model"),
        (["mode.model=nothing#1"], "There is no project 'nothing'"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) and value else "nothing",
)
def test_misuse_leaves_nothing_behind(
    overrides: Sequence[str], message: str, run: Run, mml_project: MMLProject
) -> None:
    result = run("transfer", "a", *overrides)
    assert result.code == 2, result.err
    (line,) = result.err.splitlines()
    assert message in line, line
    assert not mml_project.runs("a")


def test_a_damaged_source_is_refused_before_there_is_a_run(
    run: Run, sources: list[Path], mml_project: MMLProject
) -> None:
    weights = mml_project.path("stored") / "PARAMETERS/other/model_0001.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    result = run("transfer", "a", "mode.model=stored#1")
    assert result.code == 2
    assert "has another content than was committed, so it is not used" in result.err
    assert not mml_project.runs("a")


def test_a_plan_that_is_only_shown_makes_nothing(run: Run, mml_project: MMLProject) -> None:
    shown = run("transfer", "a", "mode.pretrain_task=other", "--plan")
    assert shown.code == 0, shown.err
    assert "pretrain_fold('other', 0)" in shown.out
    assert not mml_project.runs("a")
