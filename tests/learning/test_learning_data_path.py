"""`mml run --mode=train` with all that the data path offers, from the command on."""

from typing import Any

import pytest

from mml_core.learning.predictions import load_predictions
from mml_core.testing.fixtures import CommandRunner, MMLProject

QUICK = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "preprocessing=none", "loader.batch_size=8"]
AUGMENTED = [
    "augmentations.kornia=[{name: RandomGaussianBlur, kernel_size: [3, 3], sigma: [0.1, 2.0]}]",
    "augmentations.mixup=0.4",
    "augmentations.test_time=[flip_horizontal]",
    "sampling=weighted",
    "loader.cache=ram",
]


@pytest.fixture
def project(mml_project: MMLProject, install_task: Any) -> MMLProject:
    install_task(mml_project.data, "tiny")
    return mml_project


def train(mml: CommandRunner, name: str, *overrides: str) -> Any:
    return mml("run", "--mode=train", "--tasks=tiny", "mode.folds=1", "--proj", name, *QUICK, *overrides)


def test_a_training_with_all_of_it_is_the_same_with_workers_as_without(mml, project: MMLProject) -> None:
    assert mml("run", "--mode=preprocess", "--tasks=tiny", "preprocessing=none").code == 0
    for name, workers in (("alone", 0), ("together", 2)):
        result = train(mml, name, *AUGMENTED, f"loader.num_workers={workers}")
        assert result.code == 0, result.err
    alone, together = (
        {path: digest for path, digest in project.files(name).items() if not path.startswith("MODELS")}
        for name in ("alone", "together")  # a model's own file says how long its training took
    )
    assert len(alone) == 5
    assert alone == together


def test_predictions_are_averaged_over_views(mml, project: MMLProject) -> None:
    for name, overrides in (("plain", ()), ("views", ("augmentations.test_time=[flip_horizontal]",))):
        assert train(mml, name, *overrides).code == 0

    def outputs(name: str) -> Any:
        (path,) = project.path(name).glob("PREDICTIONS/tiny/*.parquet")
        return load_predictions(path)[0].outputs

    assert outputs("plain").shape == outputs("views").shape
    assert (outputs("plain") != outputs("views")).any()


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("augmentations.kornia=[{name: RandomBlur}]", "RandomBoxBlur"),
        ("augmentations.test_time=[flip]", "flip_horizontal"),
        ("loader.cache=ram", "mml run --mode=preprocess"),
        ("sampling=subjects", "create it with a group"),
    ],
)
def test_what_cannot_be_is_refused_before_there_is_a_run(mml, project: MMLProject, override, named) -> None:
    result = train(mml, "refused", override)
    assert result.code == 2, result.err
    assert named in result.err
