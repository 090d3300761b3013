"""Gives tests the schedulers of the folder ``planted``, which is no package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

PLANTED = Path(__file__).parent / "planted" / "schedulers.py"


@pytest.fixture(scope="session")
def planted():
    """The module of the planted schedulers."""
    spec = importlib.util.spec_from_file_location("planted_schedulers", PLANTED)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
