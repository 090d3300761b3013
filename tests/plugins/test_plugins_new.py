"""`mml plugins new`: a repository that is complete, tidy and passes its own tests as it was written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from mml_core.plugins.authoring.names import PluginName
from mml_core.plugins.authoring.parts import DEFAULT, PARTS
from mml_core.plugins.authoring.skeleton import skeleton, write
from mml_core.plugins.discovery import parse_entry_points
from mml_core.testing.distributions import FakeDistribution

pytest_plugins = ["mml_core.testing.fixtures"]

EVERYTHING = tuple(part.name for part in PARTS)
NAME = PluginName.of("new-one")
SLOW = "resumes_from_a_kill or workers_change_no_result or Executor or trains_it"
"""What the kill points, workers and trainings of the generated tests cost is for the long tests."""


def generate(folder: Path, *parts: str) -> Path:
    write(skeleton(NAME, parts), folder)
    return folder


def install(repository: Path, site: Path) -> dict[str, str]:
    """Install as `pip install -e` does; return the environment that sees it."""
    groups: dict[str, dict[str, str]] = {}
    text = (repository / "pyproject.toml").read_text()
    for group, name, value in parse_entry_points(text):
        if group.startswith("project.entry-points."):
            groups.setdefault(group.split('"')[1], {})[name] = value.strip('"')
    FakeDistribution(name=NAME.distribution, version="0.1.0", entry_points=groups).write(site)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(repository / "src"), str(site)])}


def run_tests(repository: Path, *options: str, env: dict[str, str], python: str = sys.executable) -> str:
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    ended = subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    ("parts", "without"),
    [(DEFAULT, SLOW), (EVERYTHING, f"{SLOW} or test_scheduler")],
    ids=["default", "everything"],
)
def test_its_tests_pass_as_generated(tmp_path, parts, without):
    repository = generate(tmp_path / "plugin", *parts)
    env = install(repository, tmp_path / "site")
    assert " passed" in run_tests(repository, "-k", f"not ({without})", env=env)


@pytest.mark.long
@pytest.mark.parametrize("parts", [*[(part,) for part in EVERYTHING], DEFAULT, EVERYTHING], ids="+".join)
def test_its_tests_pass_where_it_is_installed(tmp_path, parts):
    """In an environment of its own, built from its own pyproject.toml, kill points and workers included."""
    repository = generate(tmp_path / "plugin", *parts)
    venv.create(tmp_path / "venv", with_pip=False)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    present = [path for path in sys.path if path.endswith("site-packages")]
    (site / "present.pth").write_text(
        "".join(f"import site; site.addsitedir({path!r})\n" for path in present)
    )
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(repository)],
        check=True,
        capture_output=True,
    )
    python = tmp_path / "venv" / "bin" / "python"
    command = python.with_name("mml")
    command.write_text(f"#!{python}\nimport sys\nfrom mml_core.cli.main import main\nsys.exit(main())\n")
    command.chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    assert " passed" in run_tests(repository, env=env, python=str(python))


@pytest.mark.parametrize("parts", [*[(part,) for part in EVERYTHING], EVERYTHING], ids="+".join)
def test_it_is_tidy(tmp_path, parts):
    repository = generate(tmp_path / "plugin", *parts)
    for command in (["check"], ["format", "--check"]):
        ruff = [Path(sys.executable).with_name("ruff"), *command, "--no-cache", "."]
        ended = subprocess.run(ruff, cwd=repository, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout
    files = [path for path in repository.rglob("*") if path.is_file()]
    assert [path.name for path in files if re.search(r"@[a-z_]+@", path.read_text())] == []


@pytest.mark.long
def test_its_types_hold(tmp_path):
    repository = generate(tmp_path / "plugin", *EVERYTHING)
    env = {**os.environ, "MYPYPATH": str(repository / "src")}
    mypy = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache")]
    ended = subprocess.run(mypy, cwd=repository, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


def test_the_command_writes_it_and_says_what_is_next(mml, tmp_path):
    written = mml("plugins", "new", "new-one", "--tag", "--dir", str(tmp_path / "mine"))
    assert written.code == 0, written.err
    assert "mml plugins check ." in written.out
    for path in ("pyproject.toml", "LICENSE", ".github/workflows/tests.yml", "src/mml_new_one/py.typed"):
        assert (tmp_path / "mine" / path).is_file()


def test_without_an_option_it_brings_a_mode_and_a_kind_of_file(mml):
    assert mml("plugins", "new", "mml-plugin-new-one").code == 0
    text = Path("mml-plugin-new-one/src/mml_new_one/plugin.py").read_text()
    assert "SchedulerSpec(" in text
    assert "PathAssignment(" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["9a"], "cannot be called '9a'"),
        (["mml-core"], "cannot be called 'mml-core'"),
        (["a/b"], "cannot be called 'a/b'"),
        (["train"], "mml-core contributes the mode 'train'"),
        (["nested", "--tag"], "mml-core contributes the tag 'nested'"),
        (["runs", "--command"], "there is a command `mml runs` already"),
        (["new-one", "--dir", "full"], "is not empty, it holds 'notes.txt'"),
        (["new-one", "--dir", "full/notes.txt"], "is a file"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(mml, arguments, says):
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    refused = mml("plugins", "new", *arguments)
    assert refused.code == 2
    assert says in refused.err
    assert len(refused.err.splitlines()) == 1
    assert [path.name for path in Path().rglob("*")] == ["full", "notes.txt"]


def test_a_plugin_that_is_installed_keeps_its_name(mml, inline_plugin):
    inline_plugin("new-one", "MML_PLUGIN_API = 1")
    assert "mml-plugin-new-one 1.0 is installed" in mml("plugins", "new", "new-one").err
