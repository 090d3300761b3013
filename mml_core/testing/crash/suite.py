"""The suite: a subclass of a few lines proves that a scheduler resumes exactly."""

from __future__ import annotations

import errno
import signal
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mml_core.testing.crash.kit import CrashKit


class SchedulerCrashSuite:
    """Tests of one scheduler; subclass it with a name that begins with ``Test``.

    Attributes:
        mode: The name of a mode, or a scheduler's class.
        tasks: The tasks of the run; those that are missing are created.
        overrides: Overrides of the config.
        sample: How many kill points are run; None: all.
        few: How many points are run for each other injury.
        options: Further options of ``CrashKit``: ``executor``, ``volatile``, ``ignored``, ``seed``.
    """

    mode: ClassVar[str | type]
    tasks: ClassVar[Sequence[str]] = ()
    overrides: ClassVar[Sequence[str]] = ()
    sample: ClassVar[int | None] = 20
    few: ClassVar[int | None] = 5
    options: ClassVar[Mapping[str, Any]] = {}

    def test_a_kill_changes_nothing(self, crash_kit: CrashKit) -> None:
        """SIGKILL at write barriers; the continued run equals an undisturbed one."""
        self._injure(crash_kit, self.sample)

    def test_a_termination_can_be_continued(self, crash_kit: CrashKit) -> None:
        """SIGTERM at write barriers ends the run with 143, and it can be continued."""
        self._injure(crash_kit, self.few, signal=signal.SIGTERM)

    def test_a_power_loss_takes_nothing_that_was_committed(self, crash_kit: CrashKit) -> None:
        """States that a power loss may leave are continued, and equal an undisturbed run in the end."""
        crash_kit.power_loss(
            self.mode, *self.overrides, tasks=self.tasks, sample=self.few, **_without_executor(self.options)
        )

    def test_a_writer_that_lost_its_lease_commits_nothing(self, crash_kit: CrashKit) -> None:
        """A run is stopped, taken over as if by another machine, and let go on: it has to give up."""
        self._injure(crash_kit, self.few, signal=signal.SIGSTOP)

    def test_a_full_disk_is_named(self, crash_kit: CrashKit) -> None:
        """A disk that is full from a write on is named in one line, and the run can be continued."""
        self._injure(crash_kit, self.few, errno=errno.ENOSPC)

    def test_a_broken_disk_is_named(self, crash_kit: CrashKit) -> None:
        """A call that fails once with an I/O error is named in one line, and the run can be continued."""
        self._injure(crash_kit, self.few, errno=errno.EIO)

    def _injure(self, crash_kit: CrashKit, sample: int | None, **injury: Any) -> None:
        crash_kit(self.mode, *self.overrides, tasks=self.tasks, sample=sample, **injury, **self.options)


def _without_executor(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for a run whose writes are recorded, which is done by one process."""
    return {name: value for name, value in options.items() if name != "executor"}
