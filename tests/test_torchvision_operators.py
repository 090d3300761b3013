"""A torchvision whose operators do not load must not take down what imports it."""

import subprocess
import sys
from pathlib import Path

REGISTRATIONS = """
import torch

@torch.library.register_fake("torchvision::nms")
def nms(dets, scores, threshold):
    return scores
"""
COMPILED = """
import torch

library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.impl("nms", lambda dets, scores, threshold: scores, "CPU")
"""


def a_torchvision(folder: Path, extension: str) -> None:
    package = folder / "torchvision"
    package.mkdir()
    (package / "extension.py").write_text(extension)
    (package / "_meta_registrations.py").write_text(REGISTRATIONS)
    (package / "__init__.py").write_text("from . import extension\nfrom . import _meta_registrations\n")


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)


def test_without_mml_it_stops_the_import(tmp_path: Path) -> None:
    a_torchvision(tmp_path, extension="")
    assert "torchvision::nms does not exist" in run(tmp_path, "import torchvision").stderr


def test_operators_that_did_not_load_are_declared(tmp_path: Path) -> None:
    a_torchvision(tmp_path, extension="")
    code = "import mml_core, torchvision, torch; print(torch.ops.torchvision.nms)"
    assert run(tmp_path, code).stdout.strip() == "torchvision.nms"


def test_operators_that_did_load_are_left_alone(tmp_path: Path) -> None:
    a_torchvision(tmp_path, extension=COMPILED)
    code = (
        "import mml_core, torchvision, torch\n"
        "print(torch.ops.torchvision.nms(torch.zeros(1, 4), torch.ones(1), 0.5).item())"
    )
    assert run(tmp_path, code).stdout.strip() == "1.0"


def test_importing_mml_imports_no_torch(tmp_path: Path) -> None:
    assert run(tmp_path, "import mml_core, sys; print('torch' in sys.modules)").stdout.strip() == "False"
