"""The documentation site: `make site` writes it to docs/_build/site; a warning is an error."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import reference

import mml_core

project = "mml"
author = "the mml maintainers"
copyright = "the mml maintainers, MIT licence"
release = mml_core.__version__
version = ".".join(release.split(".")[:2])

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"mml {version}"
html_copy_source = False
smartquotes = False  # options begin with two hyphens
html_show_sphinx = False


def setup(app: object) -> None:
    """Write the pages that are made of the code, before Sphinx looks for pages."""
    reference.write(Path(__file__).parent / "reference")
