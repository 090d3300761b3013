"""The modes that ship, and the minimal plugin's, resume exactly wherever they are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mml_core.testing.distributions import FakeDistribution

pytest_plugins = ["mml_core.testing.crash"]

MINIMAL = Path(__file__).parents[2] / "examples" / "minimal_plugin" / "src" / "mml_minimal"
FULL = pytest.param(None, marks=pytest.mark.long, id="everywhere")
RUN = "2020-01-01_00-00-00_abcd"


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


def test_info_makes_nothing_but_the_index_of_tasks(crash_kit):
    report = crash_kit("info", tasks=["shapes"])
    assert list(report.steps) in ([], ["start"])


@pytest.mark.parametrize("sample", [8, FULL])
@pytest.mark.parametrize("mode", ["create", "preprocess", "brightness"])
def test_a_kill_changes_nothing(crash_kit, mode, sample):
    crash_kit(mode, tasks=["shapes"], sample=sample)


@pytest.mark.parametrize("sample", [8, FULL])
def test_a_killed_clean_up_is_finished(crash_kit, leftovers, sample):
    # Before its first step it is not listed what there is, and a killed start leaves more to list.
    crash_kit("clean", methods=["list_temp", "remove", "list_download"], sample=sample)


@pytest.mark.parametrize("sample", [4, FULL])
@pytest.mark.parametrize("mode", ["create", "preprocess", "brightness"])
def test_a_power_loss_takes_nothing_that_was_committed(crash_kit, mode, sample):
    crash_kit.power_loss(mode, tasks=["shapes"], sample=sample)
