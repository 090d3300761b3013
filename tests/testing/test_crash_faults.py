"""The crash kit passes an honest scheduler, and names the fault of each that is not."""

from __future__ import annotations

import errno
import signal

import pytest

from mml_core.testing.crash import CrashFaultError, FaultKind, Victim
from mml_core.testing.crash.bench import UndisturbedRunError

FAULTS = {
    "KeptInMemory": (FaultKind.IN_MEMORY, 6),
    "OutsideTheAttempt": (FaultKind.OUTSIDE, 1),
    "WithoutRename": (FaultKind.NO_RENAME, 1),
    "FileNotSynced": (FaultKind.FILE_NOT_SYNCED, 1),
    "FolderNotSynced": (FaultKind.FOLDER_NOT_SYNCED, 1),
    "Unseeded": (FaultKind.UNSEEDED, 1),
    "EarlyCleanUp": (FaultKind.EARLY_CLEAN_UP, 1),
    "NumberReused": (FaultKind.NUMBER_REUSED, 6),
}
"""What each planted scheduler does, and how many kill points it takes to see it."""
INJURIES = {
    "stopped": {"signal": signal.SIGSTOP},
    "terminated": {"signal": signal.SIGTERM},
    "disk full": {"errno": errno.ENOSPC},
    "quota used up": {"errno": errno.EDQUOT},
    "disk broken": {"errno": errno.EIO},
}


def test_g01_g02_g03_g08_an_honest_scheduler_is_killed_and_continued(crash_kit, planted):
    report = crash_kit(planted.Honest, sample=10)
    assert report.run == 10
    assert report.not_reached == 0


@pytest.mark.long
def test_g01_g02_g03_g08_an_honest_scheduler_is_killed_everywhere(crash_kit, planted):
    report = crash_kit(planted.Honest)
    assert report.run == report.points > 150


@pytest.mark.parametrize("sample", [3, pytest.param(80, marks=pytest.mark.long, id="many")])
def test_g01_g02_g08_an_honest_scheduler_is_killed_again_when_it_is_continued(crash_kit, planted, sample):
    crash_kit(planted.Honest, sample=sample, kills=3)


@pytest.mark.long
@pytest.mark.parametrize("victim", Victim)
def test_g01_g02_an_honest_scheduler_is_killed_in_parallel_steps(crash_kit, planted, victim):
    crash_kit(planted.Honest, executor="processes", victim=victim, sample=20)


@pytest.mark.parametrize("sample", [4, pytest.param(None, marks=pytest.mark.long, id="everywhere")])
def test_g04_an_honest_scheduler_survives_power_losses(crash_kit, planted, sample):
    crash_kit.power_loss(planted.Honest, sample=sample)


@pytest.mark.long
@pytest.mark.parametrize("injury", INJURIES)
def test_g10_g11_g12_g14_an_honest_scheduler_is_injured_everywhere(crash_kit, planted, injury):
    sample = 60 if injury == "stopped" else None
    crash_kit(planted.Honest, sample=sample, **INJURIES[injury])


def test_a_scheduler_that_is_safe_to_reuse_is_taken_over_and_run_again_as_it_should(crash_kit, planted):
    report = crash_kit.reuse(planted.Scaled, changes=["+mode.scale=2", "+mode.unread=2"])
    assert report.steps == {"nothing changed": (3, 4), "+mode.scale=2": (0, 4), "+mode.unread=2": (3, 4)}


def test_config_that_is_missing_from_the_fingerprint_is_named(crash_kit, planted):
    with pytest.raises(CrashFaultError, match=FaultKind.CONFIG_MISSED.value):
        crash_kit.reuse(planted.ScaledUnseen, changes=["+mode.scale=2"])


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named(crash_kit, planted, name):
    kind, sample = FAULTS[name]
    with pytest.raises(CrashFaultError, match=kind.value) as caught:
        crash_kit(getattr(planted, name), sample=sample, seed=1)
    assert any(fault.kind is kind for fault in caught.value.report.faults)


@pytest.mark.long
def test_chance_is_told_from_what_another_executor_changes(crash_kit, planted):
    with pytest.raises(CrashFaultError) as caught:
        crash_kit(planted.Unseeded, executor="processes", sample=0)
    assert {fault.kind for fault in caught.value.report.faults} == {FaultKind.UNSEEDED}
    assert "nothing was killed" in caught.value.report.summary()


@pytest.mark.long
def test_a_step_that_another_executor_makes_fail_is_told_what_may_be_the_cause(crash_kit, planted):
    with pytest.raises(
        UndisturbedRunError, match=r"no attribute 'last'.* By one process .* put it on a Task"
    ):
        crash_kit(planted.KeptInMemory, executor="processes", sample=0)
