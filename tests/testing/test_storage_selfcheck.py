"""`mml doctor --storage` tells which guarantees hold on a file system, and leaves nothing there."""

from __future__ import annotations

import errno
import json
import os


def test_each_guarantee_is_told_and_nothing_is_left(mml, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    told = mml("doctor", "--storage", str(place), "--json")
    rows = json.loads(told.out)
    assert [row["guarantee"] for row in rows if row["needed"] and not row["holds"]] == []
    assert told.code == 0
    assert {"guarantee", "holds", "needed", "means", "detail"} == rows[0].keys()
    assert list(place.iterdir()) == []


def test_a_file_system_without_hard_links_fails_with_what_it_means(mml, tmp_path, monkeypatch):
    def lacking(*arguments, **named):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", lacking)
    place = tmp_path / "place"
    place.mkdir()
    told = mml("doctor", "--storage", str(place))
    assert told.code == 1
    (line,) = (line for line in told.out.splitlines() if line.startswith("hard links"))
    assert "does not hold" in line
    assert "put results elsewhere" in line
    assert list(place.iterdir()) == []


def test_a_place_that_is_not_there_is_named(mml, tmp_path):
    told = mml("doctor", "--storage", str(tmp_path / "nowhere"))
    assert (told.code, "no such file or directory" in told.err) == (2, True)
