"""The real `mml`: what a start imports, broken pipes, nothing but one line on misuse."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MML = Path(sys.executable).with_name("mml")
HEAVY = {"torch", "lightning", "pytorch_lightning", "monai", "torchmetrics", "kornia"}
PROBE = """
import sys
from mml_core.cli.main import main
code = main(sys.argv[1:])
print("\\nIMPORTED", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "work").mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MML_")}
    return {**clean, "MML_DATA_PATH": str(tmp_path / "data"), "MML_RESULTS_PATH": str(tmp_path / "results")}


def imported(arguments: list[str], environment: dict[str, str], cwd: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.rpartition("IMPORTED")[2].split())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_version_and_help_import_nothing_heavy(
    arguments: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    names = imported(arguments, environment, tmp_path)
    forbidden = {
        *HEAVY,
        "pluggy",
        "hydra",
        "omegaconf",
        "numpy",
        "pandas",
        "pyarrow",
        "mml_monai",
        "mml_tasks",
    }
    assert not names & forbidden


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--mode=info"],
        ["run", "mode=train", "--cfg", "job"],
        ["tasks"],
        ["runs"],
        ["plugins", "list"],
        ["modes"],
        ["doctor", "--without-plugin=timm"],  # whose health check imports what it checks
        ["config", "show"],
    ],
)
def test_looking_never_imports_torch(
    arguments: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    assert not imported(arguments, environment, tmp_path / "work") & {*HEAVY, "pandas"}


def test_info_needs_neither_numpy_nor_arrow(environment: dict[str, str], tmp_path: Path) -> None:
    assert not imported(["run", "--mode=info"], environment, tmp_path / "work") & {"numpy", "pyarrow"}


def test_a_reader_that_goes_away_costs_no_traceback(environment: dict[str, str], tmp_path: Path) -> None:
    process = subprocess.Popen(
        [MML, "config", "show", "arch"],
        env=environment,
        cwd=tmp_path / "work",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 141
    assert error == ""


@pytest.mark.parametrize(("call", "frozen"), [("main()", True), ("main(['--version'])", False)])
def test_a_process_that_ends_looks_for_no_more_garbage(call: str, frozen: bool) -> None:
    code = f"import gc; from mml_core.cli.main import main; {call}; print(gc.get_freeze_count() > 0)"
    done = subprocess.run(
        [sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith(f"{frozen}\n")


def test_misuse_of_the_real_command_is_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [MML, "run", "--mode=trian"],
        env=environment,
        cwd=tmp_path / "work",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "Did you mean 'train'" in done.stderr
