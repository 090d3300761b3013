"""For every test: modules imported from its own folders are forgotten; those for a GPU need one."""

import sys
from collections.abc import Iterator

import pytest

# Here and not only in the tests that use it, so that the kill points are told under pytest-xdist, too.
pytest_plugins = ["mml_core.testing.crash"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests for a GPU where there is none, as where CI runs."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("there is no GPU")


@pytest.fixture(autouse=True)
def forget_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what one test installed from being imported by another under the same name."""
    yield
    folder = str(tmp_path_factory.getbasetemp())
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(folder):
            del sys.modules[name]
