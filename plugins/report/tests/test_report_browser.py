"""A real browser opens the page: it loads nothing, complains of nothing, and fits a phone and paper."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mml_report.content import collect
from mml_report.page import render

import mml_core.api as api

pytest_plugins = ["mml_core.testing.fixtures"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ("gpu", "quic", "background-networking", "component-update", "sync", "dev-shm-usage")
PHONE, PAPER = 390, 703
"""Pixels across: of a phone, and of A4 within its margins."""
FRAME = """<!DOCTYPE html><link rel="icon" href="data:,"><p id="width"></p>
<iframe src="page.html" width="{width}" height="800" style="border:0"></iframe><script>
document.querySelector("iframe").onload = event => {{
  document.querySelector("#width").textContent = event.target.contentDocument.documentElement.scrollWidth;
}};</script>"""
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed, so the page is not opened: `make browser` installs it"
)


class Served(ThreadingHTTPServer):
    """Serves a folder and remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments, directory=str(folder))

            def log_message(self, *_: object) -> None:
                self.server.asked.append(self.path)

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def browse(profile: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the browser, fail where the page wrote to its console."""
    still = [f"--disable-{what}" for what in QUIET]
    options = [
        "--headless",
        "--no-sandbox",
        "--no-first-run",
        "--hide-scrollbars",
        "--enable-logging=stderr",
        *still,
    ]
    done = subprocess.run(
        [str(CHROMIUM), *options, f"--user-data-dir={profile}", *arguments],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    return done


def open_within(width: int, page: str, served: Served, folder: Path) -> str:
    """Return the browser's document after it has shown the page so wide."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    (folder / "frame.html").write_text(FRAME.format(width=width))
    shown = browse(folder / "profile", "--dump-dom", f"{served.address}/frame.html").stdout
    assert sorted(served.asked) == ["/frame.html", "/page.html"]
    return shown


def test_a_page_fits_a_phone_and_neither_loads_nor_complains(
    project: api.Project, served: Served, tmp_path: Path
) -> None:
    shown = open_within(PHONE, render(collect(project)), served, tmp_path)
    assert f'<p id="width">{PHONE}</p>' in shown


def test_no_table_is_wider_than_paper(project: api.Project, served: Served, tmp_path: Path) -> None:
    as_printed = render(collect(project)).replace("@media print", "@media all")
    assert f'<p id="width">{PAPER}</p>' in open_within(PAPER, as_printed, served, tmp_path)


def test_hostile_names_load_nothing_and_do_no_harm(made_up, served: Served, tmp_path: Path) -> None:
    leak = f"{served.address}/leak"
    name = (
        f"<script>alert(1)</script><img src='{leak}' onerror=alert(1)>\"'</title></style>\u202e\u05d0\x00" * 3
    )
    css = f"</style><style>body{{background:url({leak})}}</style>"
    score = {"task": name, "fold": 0, "split": "test", "metric": css, "value": 0.5, "run": name, "path": name}
    run = {"run": name, "mode": name, "state": css, "steps_done": 1, "steps": 1}
    page = render(made_up(runs=[run], metrics=[score, {**score, "epoch": 0}, {**score, "epoch": 1}]))
    shown = open_within(PHONE, page, served, tmp_path)
    assert f'<p id="width">{PHONE}</p>' in shown


def test_a_page_is_printed_with_its_folded_parts(project: api.Project, tmp_path: Path) -> None:
    page, printed = tmp_path / "page.html", tmp_path / "page.pdf"
    page.write_text(render(collect(project)), encoding="utf-8")
    browse(tmp_path / "profile", "--no-pdf-header-footer", f"--print-to-pdf={printed}", page.as_uri())
    sizes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed.read_bytes())
    assert len(sizes) > 2
    assert {(round(float(width)), round(float(height))) for width, height in sizes} == {(595, 842)}
