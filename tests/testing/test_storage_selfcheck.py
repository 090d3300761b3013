"""`mml doctor --storage` tells which guarantees hold on a file system, and leaves nothing there."""

from __future__ import annotations

import errno
import json
import os

import pytest

from mml_core.storage.selfcheck import check_storage

pytest_plugins = ["mml_core.testing.fixtures"]


def test_what_is_needed_holds_here_and_nothing_is_left(tmp_path):
    findings = check_storage(tmp_path)
    assert [each.guarantee for each in findings if each.needed and not each.holds] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("call", "code", "guarantee"),
    [
        ("link", errno.EPERM, "hard links, and a second one fails"),
        ("fsync", errno.EINVAL, "fsync of folders"),
        ("pwrite", errno.EOPNOTSUPP, "writes in place are seen"),
    ],
)
def test_a_file_system_that_lacks_a_call_is_told(tmp_path, monkeypatch, call, code, guarantee):
    def lacking(*arguments, **named):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, lacking)
    findings = {each.guarantee: each for each in check_storage(tmp_path)}
    assert not findings[guarantee].holds
    assert os.strerror(code) in findings[guarantee].detail
    assert list(tmp_path.iterdir()) == []


def test_the_command_tells_each_guarantee(mml, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    told = mml("doctor", "--storage", str(place), "--json")
    rows = json.loads(told.out)
    assert told.code == 0
    assert {"guarantee", "holds", "needed", "means", "detail"} == rows[0].keys()


def test_the_command_fails_where_something_needed_does_not_hold(mml, tmp_path, monkeypatch):
    def lacking(*arguments, **named):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", lacking)
    told = mml("doctor", "--storage", str(tmp_path))
    assert told.code == 1
    assert "does not hold" in told.out
    assert "put results elsewhere" in told.out


def test_a_place_that_is_not_there_is_named(mml, tmp_path):
    told = mml("doctor", "--storage", str(tmp_path / "nowhere"))
    assert (told.code, "no such file or directory" in told.err) == (2, True)
