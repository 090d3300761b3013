"""Every block of the pages on testing is a test file that passes; every name of the kit is on its page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mml_core.testing
from mml_core.testing import FakeDistribution, fixtures

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
CRASH_KIT = (ROOT / "docs/crash-kit.md").read_text(encoding="utf-8")
MINIMAL = ROOT / "examples/minimal_plugin/src/mml_minimal"
BLOCKS = dict(
    re.findall(r"^```python\n# (test_\w+\.py)\n(.*?)^```", PAGE + CRASH_KIT, re.MULTILINE | re.DOTALL)
)
SLOW = {
    "test_scheduler.py",
    "test_architecture.py",
    "test_executor.py",
    "test_brightness.py",
    "test_faults.py",
}
NEEDS = {"test_architecture.py": "mml_monai"}


def run(folder: Path, names: set[str]) -> None:
    """Run blocks as the tests of an author who has installed the minimal plugin."""
    texts = {
        path.relative_to(MINIMAL).as_posix(): path.read_text()
        for path in MINIMAL.rglob("*")
        if path.suffix in (".py", ".yaml")
    }
    FakeDistribution.plugin("minimal", texts.pop("plugin.py"), files=texts).write(folder / "site")
    for name in names:
        (folder / name).write_text(BLOCKS[name])
    known = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(folder / "site"), *([known] if known else [])])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *sorted(names)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_block_is_run():
    assert (PAGE + CRASH_KIT).count("```python") == len(BLOCKS)
    assert set(BLOCKS) > SLOW


def test_the_quick_blocks_pass(tmp_path):
    run(tmp_path, set(BLOCKS) - SLOW)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(SLOW))
def test_a_slow_block_passes(tmp_path, name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    run(tmp_path, {name})


def test_every_fixture_and_contract_is_on_the_page():
    marker = type(fixtures.mml_project)
    names = [name for name, value in vars(fixtures).items() if isinstance(value, marker)]
    assert len(names) >= 9
    contracts = [name for name in dir(mml_core.testing) if name.endswith(("Contract", "Suite"))]
    assert [name for name in (*names, *contracts) if f"| `{name}` |" not in PAGE] == []
