"""The crash kit passes an honest scheduler, and names the fault of each that is not."""

from __future__ import annotations

import pytest

from mml_core.testing.crash import CrashFaultError, FaultKind

pytest_plugins = ["mml_core.testing.crash"]

FAULTS = {
    "KeptInMemory": FaultKind.IN_MEMORY,
    "OutsideTheAttempt": FaultKind.OUTSIDE,
    "WithoutRename": FaultKind.NO_RENAME,
    "FileNotSynced": FaultKind.FILE_NOT_SYNCED,
    "FolderNotSynced": FaultKind.FOLDER_NOT_SYNCED,
    "Unseeded": FaultKind.UNSEEDED,
    "EarlyCleanUp": FaultKind.EARLY_CLEAN_UP,
    "NumberReused": FaultKind.NUMBER_REUSED,
}


def test_an_honest_scheduler_has_no_fault(crash_kit, planted):
    report = crash_kit(planted.Honest, sample=12)
    assert report.run == 12
    assert report.not_reached == 0


@pytest.mark.long
def test_an_honest_scheduler_killed_everywhere_has_no_fault(crash_kit, planted):
    report = crash_kit(planted.Honest)
    assert report.run == report.points > 150


def test_a_scheduler_that_is_safe_to_reuse_is_taken_over_and_run_again_as_it_should(crash_kit, planted):
    report = crash_kit.reuse(planted.Scaled, changes=["+mode.scale=2", "+mode.unread=2"])
    assert report.steps == {"nothing changed": (3, 4), "+mode.scale=2": (0, 4), "+mode.unread=2": (3, 4)}


def test_config_that_is_missing_from_the_fingerprint_is_named(crash_kit, planted):
    with pytest.raises(CrashFaultError, match=FaultKind.CONFIG_MISSED.value):
        crash_kit.reuse(planted.ScaledUnseen, changes=["+mode.scale=2"])


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named(crash_kit, planted, name):
    kind = FAULTS[name]
    with pytest.raises(CrashFaultError, match=kind.value) as caught:
        crash_kit(getattr(planted, name), sample=6, seed=1)
    print(caught.value)
