"""What runs a page of the documentation as its reader would, and the newcomer's home that it runs in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

VARYING = (
    (r"\b\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9a-f]{4}\b", "RUN"),
    (r"\b\d+(?= +RUN$)", "BYTES"),
    (r"\b\d+\.\d+\b", "FIGURE"),
    (r" +", " "),
)
"""What differs from machine to machine and from run to run, and what stands for it."""
PROGRESS = re.compile(r"epoch (?!(\d+)/\1\b)\d+/\d+|: \d+ of \d+$")
"""A line that a slow machine prints beside those of a fast one."""
PATIENTS = 12
PIP = """#!/bin/sh
test "$1" = install && set -- "$@" --target '{site}'
exec '{python}' -m pip "$@" --no-deps --no-build-isolation --disable-pip-version-check
"""

INCLUDE = re.compile(r"^```\{include\} (\S+)\n((?::.*\n)*)```$", re.MULTILINE)
"""Part of one page in another."""
SUFFIX = {"bash": "sh", "json": "json", "python": "py", "text": "env", "toml": "toml", "yaml": "yaml"}
"""Languages of files, and how the names of such files end."""

Follow = Callable[[Path], list[str]]


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the words before it."""

    language: str
    text: str
    before: str

    @property
    def file(self) -> str | None:
        """The file that the paragraph before the block names last, if its name fits the language."""
        paragraph = self.before.rstrip().rpartition("\n\n")[2]
        named: list[str] = re.findall(rf"`([\w./-]+\.{SUFFIX[self.language]})`", paragraph)
        return named[-1] if named else None

    def commands(self) -> Iterator[tuple[str, list[str]]]:
        """What is typed, and the lines shown beneath it."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            yield command, shown


def whole(page: Path) -> str:
    """The text of a page, with what it includes of others."""
    return INCLUDE.sub(lambda found: _included(page, *found.groups()), page.read_text(encoding="utf-8"))


def _included(page: Path, file: str, options: str) -> str:
    bounds = dict(re.findall(r'^:(start-after|end-before): "(.*)"$', options, re.MULTILINE))
    text = (page.parent / file).read_text(encoding="utf-8")
    return text.partition(bounds["start-after"])[2].partition(bounds["end-before"])[0]


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page that have a language, in order."""
    end = 0
    for found in re.finditer(r"^```(\w+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        yield Block(found[1], found[2], page[end : found.start()])
        end = found.end()


def constant(lines: list[str], home: Path) -> list[str]:
    """What a reader must see, too."""
    kept = [line.replace(str(home), "~").strip() for line in lines if not PROGRESS.search(line)]
    for pattern, name in VARYING:
        kept = [re.sub(pattern, name, line) for line in kept]
    return kept


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A newcomer's home with images of their own: mml as it comes, and a pip that installs beside it."""
    for name in [name for name in os.environ if name.startswith("MML_")]:
        monkeypatch.delenv(name)
    site, programs = tmp_path / "site", tmp_path / "bin"
    programs.mkdir()
    pip = programs / "pip"
    pip.write_text(PIP.format(python=sys.executable, site=site))
    pip.chmod(0o755)
    path = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(path))
    known = [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *known]))
    monkeypatch.setenv("HOME", str(tmp_path))
    # matplotlib makes folders in the home of those who never used it, which the crash kit would note.
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))
    monkeypatch.chdir(tmp_path)
    own_images(tmp_path)
    return tmp_path


def own_images(folder: Path) -> None:
    """Make the data that the pages import: photos by class, a table, images with masks."""
    generator = np.random.default_rng(0)

    def image(path: str, values: int = 256) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, values, (16, 16), dtype=np.uint8)).save(folder / path)

    rows = ["file,diagnosis,patient"]
    for number in range(PATIENTS):
        name = f"{number:02d}.png"
        for path in (f"photos/{('rose', 'tulip')[number % 2]}/{name}", f"skin/{name}", f"images/{name}"):
            image(path)
        image(f"masks/{name}", values=2)
        rows.append(f"skin/{name},{('benign', 'malignant')[number % 2]},{number}")
    (folder / "list.csv").write_text("\n".join([*rows, ""]))


@pytest.fixture
def follow(home: Path) -> Follow:
    """Return a function that does what a page says: types its commands, writes its files, runs its Python.

    Every command has to succeed, and to print what the page shows beneath it. A block of another language
    is a file where the paragraph before it names one; other Python is a script that is run. YAML has to be
    a file, so that a command of the page composes it. It returns the commands and scripts.
    """

    def done(page: Path) -> list[str]:
        found = []
        for block in blocks(whole(page)):
            if block.language == "console":
                for command, shown in block.commands():
                    printed = _run(command)
                    if shown:
                        assert constant(printed.splitlines(), home) == constant(shown, home), command
                    found.append(command)
            elif block.language in SUFFIX and block.file is not None:
                if block.language == "yaml":
                    yaml.safe_load(block.text)
                file = home / block.file
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text)
            elif block.language == "python":
                _run(f"python - <<'PYTHON'\n{block.text}PYTHON")
                found.append(block.text)
            else:
                pytest.fail(f"nothing is done with this block of {block.language}:\n{block.text}")
        return found

    return done


def _run(command: str) -> str:
    done = subprocess.run(
        ["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout
