"""The modes that ship, and the minimal plugin's, resume exactly wherever they are killed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mml_core.testing.crash import SchedulerCrashSuite
from mml_core.testing.distributions import FakeDistribution

MINIMAL = Path(__file__).parents[2] / "examples" / "minimal_plugin" / "src" / "mml_minimal"
TINY = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "preprocessing=none", "loader.batch_size=8"]
RUN = "2020-01-01_00-00-00_abcd"


def everywhere(sample):
    """A test with a sample of points, and a long one with all."""
    full = pytest.param(None, marks=pytest.mark.long, id="everywhere")
    return pytest.mark.parametrize("sample", [pytest.param(sample, id="sampled"), full])


@pytest.fixture(autouse=True)
def minimal_plugin(mml_project):
    """Install the minimal plugin from its source."""
    texts = {
        path.relative_to(MINIMAL).as_posix(): path.read_text()
        for path in MINIMAL.rglob("*")
        if path.suffix in (".py", ".yaml")
    }
    FakeDistribution.plugin("minimal", texts.pop("plugin.py"), files=texts).write(mml_project.site)


@pytest.fixture
def leftovers(mml_project):
    """What a run that is gone has left, and a download."""
    own = mml_project.path() / ".mml"
    for path in (
        own / "attempts" / RUN / "step.1" / "out" / "0001" / "file",
        own / "temp" / RUN / "file",
        mml_project.data / "sources" / "archive",
    ):
        path.parent.mkdir(parents=True)
        path.write_text("left")


@pytest.fixture
def two_folds(mml_project, mml_process):
    """Create the task with two folds only."""
    made = mml_process("run", "--mode=create", "--tasks", "shapes", "mode.num_folds=2")
    assert made.code == 0, made.err
    shutil.rmtree(mml_project.results)


def test_info_writes_no_more_than_the_index_of_tasks(crash_kit):
    report = crash_kit("info", tasks=["shapes"])
    assert set(report.steps) <= {"start"}


@everywhere(10)
def test_g01_g02_g03_g08_g16_a_creation_is_killed_and_continued(crash_kit, sample):
    crash_kit("create", tasks=["shapes"], sample=sample)


@everywhere(8)
def test_g01_g02_g03_g08_a_preprocessing_is_killed_and_continued(crash_kit, sample):
    crash_kit("preprocess", tasks=["shapes"], sample=sample)


@everywhere(6)
def test_g01_g02_g03_g08_g13_a_clean_up_is_killed_and_continued(crash_kit, leftovers, sample):
    # A run that was killed before its first step leaves more to be cleaned up by the next.
    crash_kit("clean", methods=["list_temp", "remove", "list_download"], sample=sample)


@pytest.mark.long
def test_g01_g02_g03_g08_a_training_is_killed_and_continued(crash_kit, two_folds):
    crash_kit("train", *TINY, tasks=["shapes"], sample=60)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["create", "preprocess", "brightness"])
def test_g04_every_power_loss_is_recovered_from(crash_kit, mode):
    crash_kit.power_loss(mode, tasks=["shapes"])


@pytest.mark.long
def test_g04_a_power_loss_in_a_training_is_recovered_from(crash_kit, two_folds):
    crash_kit.power_loss("train", *TINY, tasks=["shapes"], sample=30)


@pytest.mark.long
def test_g01_g02_g03_g08_the_minimal_plugin_is_killed_everywhere(crash_kit):
    crash_kit("brightness", tasks=["shapes"])


class TestBrightness(SchedulerCrashSuite):
    mode = "brightness"
    tasks = ["shapes"]
    sample = 8
    few = 3
