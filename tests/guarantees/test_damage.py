"""Damage to what was committed is found, named, and never used."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mml_core.scheduling.ledger import Ledger
from mml_core.scheduling.plan import Plan
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.scheduling.sealed import DamagedRecordError

Tell = Callable[[str], None]


def cut_and_flipped(whole: bytes, bits: int, chance: random.Random) -> Iterator[bytes]:
    """Yield a content cut at every byte, and with some bits of each byte flipped, one at a time."""
    for length in range(len(whole)):
        yield whole[:length]
    for place in range(len(whole)):
        for bit in chance.sample(range(8), bits):
            yield b"".join((whole[:place], bytes([whole[place] ^ 1 << bit]), whole[place + 1 :]))


def test_g05_every_cut_and_flipped_bit_of_a_record_is_found(
    lab: Any, chance: random.Random, tell: Tell
) -> None:
    """Commit record, plan and end of a run, cut at every byte and flipped at every byte, are named."""
    assert lab.run("draw").code == 0
    (run,) = lab.project.runs()
    plan = Plan.load(run / "plan.json")
    record = lab.records()[0]
    position = plan.position(record.stem)
    assert position is not None
    ledger = Ledger(plan, run / "steps")
    readers = {
        record: lambda: ledger.look_up(position),
        run / "plan.json": lambda: RunDirectory(run).load_plan(),
        run / "done.json": lambda: RunDirectory(run).done(),
    }
    count = 0
    for path, read in readers.items():
        whole = path.read_bytes()
        for damaged in cut_and_flipped(whole, 1, chance):
            count += 1
            path.write_bytes(damaged)
            with pytest.raises(DamagedRecordError, match=path.name):
                read()
        path.write_bytes(whole)
        assert read() is not None
    tell(f"{count} damages")


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


HARMS: dict[str, Callable[[Path], object]] = {
    "flipped": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "removed": Path.unlink,
}


@pytest.mark.parametrize(("harm", "use"), [("flipped", "use"), ("removed", "use"), ("cut", "use_result")])
def test_g05_a_damaged_file_of_a_step_is_named_and_not_used_when_the_run_goes_on(
    lab: Any, dots: str, harm: str, use: str
) -> None:
    """A file that a step committed is damaged between two sessions: the step that takes it says so."""
    assert lab.run("attach", "fail_once", use, options=(f"mode.task={dots}",)).code == 1
    lab.mark("mended")
    path = lab.project.path() / "DRAWN" / dots / "drawn_0001.txt"
    whole = path.read_bytes()
    HARMS[harm](path)
    ended = lab.go_on()
    assert (ended.code, f"'{path}'" in ended.err, ended.err.count("\n")) == (1, True, 1), ended
    assert "committed by step attach" in ended.err
    assert len(lab.records()) == 2
    path.write_bytes(whole)
    assert lab.go_on().code == 0
    assert lab.told()[lab.records()[-1].stem] is not None
