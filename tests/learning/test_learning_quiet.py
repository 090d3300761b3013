"""What Lightning says is shown once, and not at all where it tells a user of mml nothing."""

import io
import logging

import pytest

from mml_core.learning.quiet import silence_lightning

SAYS = logging.getLogger("lightning.pytorch.utilities.rank_zero")


def test_lines_of_lightning_are_shown_once(caplog: pytest.LogCaptureFixture) -> None:
    second = io.StringIO()
    logging.getLogger("lightning").addHandler(logging.StreamHandler(second))  # as Lightning adds its own
    silence_lightning()
    with caplog.at_level(logging.INFO, SAYS.name):
        SAYS.info("something that matters")
        SAYS.info("Using bfloat16 Automatic Mixed Precision (AMP)")
        SAYS.info("You are using a CUDA device ('…') that has Tensor Cores. To properly utilize them, …")
    assert [record.getMessage() for record in caplog.records] == ["something that matters"]
    assert second.getvalue() == ""
