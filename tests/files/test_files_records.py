"""Records of committed files, of all path keys or of one."""

from __future__ import annotations

from typing import Any

import pytest

from mml_core.files import errors


def test_the_records_of_one_key_are_read_without_those_of_another(project: Any) -> None:
    manager = project.open(run="r1")
    damaged = project.save(manager, "parameters", b"w", step="train")
    kept = project.save(manager, "predictions", b"p", step="predict", file_name="p.parquet")
    manager.store.live_path(damaged).write_text("{")

    assert [record.artefact for record in manager.store.records("predictions")] == [kept]
    assert list(manager.store.records("models")) == []
    with pytest.raises(errors.DamagedArtefactError):
        list(manager.store.records())
