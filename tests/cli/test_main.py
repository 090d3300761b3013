"""The `mml` command: dispatch, help, errors and exit codes, in this process."""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mml_core import __version__
from mml_core.cli import main as cli
from mml_core.cli.main import main


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data, results and a working directory of the test's own; nothing exists in them."""
    monkeypatch.setenv("MML_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("MML_RESULTS_PATH", str(tmp_path / "results"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run misuse and return its one line."""
    assert main(arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("mml: warning")]
    assert len(lines) == 1
    assert lines[0].startswith("mml: ")
    return lines[0]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mml {__version__}\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in cli.COMMANDS)


def test_every_command_has_help_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.COMMANDS:
        assert main([name, "--help"]) == 0
        assert f"usage: mml {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rn"], "no command 'rn'. Did you mean 'run'"),
        (["--versoin"], "no option '--versoin'"),
        (["run", "--mdoe=train"], "no option '--mdoe=train'. Did you mean '--mode'"),
        (["run", "--mode=tran"], "no mode 'tran'. Did you mean 'train'"),
        (["run", "--mode=inf"], "no mode 'inf'. Did you mean 'info'"),
        (["run", "mode=inf"], "no mode 'inf'. Did you mean 'info'"),
        (["run", "mode=info", "sede=1"], "no key 'sede'. Did you mean 'seed'"),
        (["run", "mode=info", "seed=abc"], "seed is 'abc'"),
        (["run", "mode=info", "seed"], "'seed' cannot be read"),
        (["run", "mode=info", "--tasks", "digist"], "Did you mean 'digits'"),
        (["run", "mode=info", "--tasks", "tasks:digist"], "Did you mean 'digits'"),
        (["run", "mode=info", "--tasks", "monai:digits"], "no task 'monai:digits'"),
        (["run", "mode=info", "--tasks", "digits+nestd?0"], "no tag 'nestd'. Did you mean 'nested'"),
        (["run", "mode=create", "--tasks", "digits", "tagging.all=nestd?0"], "no tag 'nestd'"),
        (["run", "mode=create", "--tasks", "digits,tasks:digits"], "more than once"),
        (["run", "mode=create", "--tasks", "digits", "pivot.name=digist"], "not in task_list"),
        (["run", "mode=info", "--proj", "../x"], "'../x' cannot be a folder"),
        (["run", "mode=info", "--executor", "sequentail"], "Did you mean 'sequential'"),
        (["run", "mode=info", "--cfg", "jbo"], "Did you mean 'job'"),
        (
            ["run", "mode=clean", "hydra.run.dir=."],
            "'hydra.run.dir=.' cannot be taken: run directories are made",
        ),
        (["run", "mode=clean", "hydra.run={dir: .}"], "set paths.results or --proj"),
        (["run", "mode=clean", "+hydra.runtime.output_dir=."], "run directories are made by mml"),
        (["run", "mode=clean", "-m", "hydra.sweep.subdir=x"], "run directories are made by mml"),
        (["run", "mode=clean", "hydra.job.chdir=true"], "run directories are made by mml"),
        (["run", "mode=info", "--plan", "--multirun"], "exclude each other"),
        (["run", "mode=info", "--resolve"], "add --cfg job"),
        (["run", "mode=info", "--cfg", "job", "-p", "trainr"], "no key 'trainr'. Did you mean 'trainer'"),
        (
            ["run", "mode=info", "mode.scheduler._target_=pathlib.Path"],
            "subclass of AbstractBaseScheduler",
        ),
        (["run", "mode=info", "mode.scheduler._target_=nowhere.Class"], "nowhere"),
        (["run", "--continue", "--proj", "nothing"], "no project 'nothing'"),
        (["tasks", "shw"], "Did you mean 'show'"),
        (["tasks", "show", "digist"], "Did you mean 'digits'"),
        (["config", "show", "optimiser"], "Did you mean 'optimizer'"),
        (["config", "sources", "sede=1"], "Did you mean 'seed'"),
        (["files", "list", "--proj", "nothing"], "no project 'nothing'"),
        (["runs", "list", "--proj", "nothing"], "no project 'nothing'"),
    ],
)
def test_misuse_is_one_line_with_exit_code_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], places: Path
) -> None:
    assert says in error_of(arguments, capsys)
    assert not (places / "results").exists()


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    from mml_core.errors import MMLError

    with pytest.raises(MMLError):
        main(["run", "--mode=tran", "--debug"])


def test_an_unexpected_error_is_one_line_that_says_how_to_see_more(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mml_core.cli.modes.show_modes", lambda *_, **__: 1 / 0)
    assert main(["modes"]) == 1
    err = capsys.readouterr().err
    said = "mml: unexpected ZeroDivisionError: division by zero."
    assert err == f"{said} Run it again with --debug for the traceback.\n"


def test_run_without_a_mode_lists_the_modes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 2
    captured = capsys.readouterr()
    assert "info" in captured.out
    assert "train" in captured.out
    assert captured.err == "mml: No mode is given; add --mode=NAME with one of the modes above.\n"


def test_modes_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["modes", "--json"]) == 0
    rows = {row["mode"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["info"]["provider"] == "mml-core"
    assert rows["train"]["subroutines"] == ["train", "predict", "test"]


def test_tasks_that_can_be_created_are_listed(capsys: pytest.CaptureFixture[str], places: Path) -> None:
    assert main(["tasks", "--json"]) == 0
    rows = {row["task"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["digits"]["state"] == "can be created (mml-plugin-tasks)"
    assert not (places / "data").exists()


def test_config_show_prints_the_documented_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "reuse/none"]) == 0
    assert "# Trained models: a project" in capsys.readouterr().out


def test_config_show_documents_an_option_that_a_record_stands_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["config", "show", "arch/UNet"]) == 0
    shown = capsys.readouterr().out
    assert "(made from a record of mml-plugin-monai)" in shown
    assert "# U-Net with residual units" in shown
    assert "# For semantic_segmentation; kwargs are those of mml_monai.segmentation:unet." in shown
    assert main(["config", "show", "arch/UNet", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["provider"], row["summary"]) == ("mml-plugin-monai", "U-Net with residual units")


def test_config_show_names_the_files_of_the_root_config_and_of_groups(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, option in (("config", "config"), ("reuse", "reuse/none")):
        assert main(["config", "show", name, "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["option"], row["provider"]) == (option, "mml-core")
        assert row["file"].endswith(f"conf/{option}.yaml")


def test_config_show_without_a_name_lists_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--json"]) == 0
    rows = {row["group"]: row["options"] for row in json.loads(capsys.readouterr().out)}
    assert rows["reuse"] == ["none"]


def test_config_sources_name_file_override_and_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "sources", "mode=train", "seed=7", "--json"]) == 0
    values = {row["key"]: row["source"] for row in json.loads(capsys.readouterr().out)["values"]}
    assert values["seed"] == "override seed=7"
    assert values["paths.data"] == "environment variable MML_DATA_PATH"
    assert values["proj"].endswith("conf/config.yaml")
    assert values["on_error"].endswith("conf/config.yaml")


def test_doctor_says_where_and_why(capsys: pytest.CaptureFixture[str], places: Path) -> None:
    main(["doctor", "--json"])
    folders = {row["what"]: row for row in json.loads(capsys.readouterr().out)["folders"]}
    assert folders["data"]["path"] == str(places / "data")
    assert folders["data"]["why"] == "environment variable MML_DATA_PATH"
    assert folders["data"]["state"] == "will be made"


def without_privileges(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run ``mml`` as a process that may do no more than its files' permissions say, as root may."""

    def give_up() -> None:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP

    command = [sys.executable, "-c", "import sys; from mml_core.cli.main import main; sys.exit(main())"]
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=give_up if os.geteuid() == 0 else None,
    )


@pytest.mark.parametrize(("variable", "code"), [("MML_DATA_PATH", 0), ("MML_RESULTS_PATH", 1)])
def test_doctor_minds_results_that_cannot_be_written_but_not_data(
    variable: str, code: int, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (places / "ours").mkdir(mode=0o500)
    monkeypatch.setenv(variable, str(places / "ours"))
    told = without_privileges("doctor")
    assert (told.returncode, "read-only" in told.stdout) == (code, True), told


@pytest.mark.parametrize("arguments", ["run --mode=info", "run --mode=info --plan", "run --mode=clean"])
@pytest.mark.parametrize("folder", ["data", "data/tasks"])
def test_a_data_folder_that_cannot_be_read_is_misuse(places: Path, arguments: str, folder: str) -> None:
    (places / folder).mkdir(mode=0o300, parents=True)
    told = without_privileges(*arguments.split())
    says = f"mml: '{places / folder}' cannot be used for data: permission denied"
    assert (told.returncode, told.stderr.startswith(says), told.stderr.count("\n")) == (2, True, 1), told
    assert not (places / "results").exists()


def test_data_that_are_a_file_are_misuse(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (places / "data").touch()
    assert "cannot be used for data: not a directory" in error_of(["run", "--mode=info"], capsys)


@pytest.mark.parametrize("variable", ["MML_DATA_PATH", "MML_RESULTS_PATH"])
def test_doctor_minds_a_folder_that_cannot_be_made(
    variable: str, places: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (places / "file").touch()
    monkeypatch.setenv(variable, str(places / "file" / "folder"))
    assert main(["doctor"]) == 1
    assert f"cannot be made: {places / 'file'} is not a folder" in capsys.readouterr().out


def test_a_place_that_cannot_be_used_is_one_line_with_exit_code_2(
    places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (places / "results").touch()
    assert main(["run", "mode=clean", "seed=1,2", "-m"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mml: '{places}/results/default/sweeps/")
    assert "cannot be used: Not a directory; repair it or choose another place." in line
