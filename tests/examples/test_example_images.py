"""The example of importers and `mml predict` does what it says."""

import re

import pytest


@pytest.mark.long  # six commands, each a process of its own
def test_new_digits_are_told_apart(run_example) -> None:
    done = run_example("images.sh")
    rows = re.findall(r"^\d+_is_(\d)\.(?:png|npy) +class (\d) ", done.stdout, re.MULTILINE)
    assert len(rows) == 20
    assert sum(truth == found for truth, found in rows) > 10  # two by chance
    assert "Written to ink.parquet and ink_masks." in done.stdout
