"""`mml run` in this process: Hydra's options, equal spellings, and what is written where."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mml_core.cli.main import main


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MML_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("MML_RESULTS_PATH", str(tmp_path / "results"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def config_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["run", *arguments, "--cfg", "job"]) == 0
    return capsys.readouterr().out


def test_options_and_overrides_mean_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    options = config_of(
        ["--mode=train", "--tasks", "digits,digits+nested?0", "--proj", "p", "seed=1"], capsys
    )
    overrides = config_of(["mode=train", "seed=1", "task_list=[digits,'digits+nested?0']", "proj=p"], capsys)
    assert options == overrides
    assert OmegaConf.create(options).task_list == ["digits", "digits+nested?0"]


def test_overrides_may_stand_between_options(capsys: pytest.CaptureFixture[str]) -> None:
    cfg = OmegaConf.create(config_of(["seed=3", "--mode", "train", "retries=2"], capsys))
    assert (cfg.seed, cfg.retries, cfg.mode.name) == (3, 2, "train")


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "mode=train", "--cfg", "hydra", "--resolve"],
        ["run", "mode=train", "--cfg", "all"],
        ["run", "mode=train", "--info", "searchpath"],
        ["run", "mode=train", "--info", "defaults"],
        ["run", "--hydra-help"],
        ["run", "-sc", "install=bash"],
        ["run", "mode=info", "--plan"],
        ["run", "mode=info"],
        ["run", "mode=info", "mode.name=other"],
        ["run", "mode=info", "mode.name=other", "seed=1,2", "-m"],
        ["modes"],
        ["tasks"],
        ["doctor"],
    ],
)
def test_what_only_shows_writes_nothing(arguments: list[str], places: Path) -> None:
    assert main(arguments) == 0
    assert files_in(places) == ["work"]


@pytest.mark.parametrize("more", [["--plan"], ["--cfg", "job"]], ids=" ".join)
def test_a_mode_in_a_folder_of_ones_own_is_found(capsys: pytest.CaptureFixture[str], more: list[str]) -> None:
    """The folder is given as seen from where the command is typed; a plan finds it as a run does."""
    Path("own/mode").mkdir(parents=True)
    Path("own/mode/mine.yaml").write_text("defaults: [info, _self_]\n")
    assert main(["run", "mode=mine", "--config-dir", "own", *more]) == 0, capsys.readouterr().err
    assert main(["run", "mode=mine", *more]) == 2


def test_a_root_config_of_ones_own_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    Path("own").mkdir()
    Path("own/mine.yaml").write_text("defaults: [config, _self_]\nseed: true\n")
    arguments = ["run", "mode=info", "--config-path", "own", "--config-name", "mine"]
    assert main([*arguments, "--cfg", "job"]) == 0
    assert "seed: true" in capsys.readouterr().out
    assert (main([*arguments, "--plan"]), "seed" in capsys.readouterr().err) == (2, True)


@pytest.mark.parametrize("option", ["--config-path", "--config-dir"])
def test_a_folder_of_configs_that_is_not_there_is_named(
    capsys: pytest.CaptureFixture[str], option: str, places: Path
) -> None:
    assert main(["run", "mode=info", option, "nowhere"]) == 2
    assert f"{option} is 'nowhere', but there is no folder {places}/work/nowhere" in capsys.readouterr().err


def test_hydra_is_told_where_a_run_will_be(capsys: pytest.CaptureFixture[str], places: Path) -> None:
    assert main(["run", "mode=train", "--cfg", "all", "--package", "hydra.run", "--resolve"]) == 0
    assert f"{places}/results/default/runs/<date>" in capsys.readouterr().out


def test_the_search_path_names_providers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "mode=info", "--info", "searchpath"]) == 0
    out = capsys.readouterr().out
    assert "mml-plugin-monai" in out
    assert "mml-records" in out


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("mml ru", ["run", "runs"]),
        ("mml run mode=trai", ["mode=train"]),
        ("mml run --mode=trai", ["--mode=train"]),
        ("mml run --mode trai", ["train"]),
        ("mml run --tasks a,b --no-plugins --mode train mode.fo", ["mode.folds="]),
        ("mml run seed=1 --mode=train -m trainer.max_e", ["trainer.max_epochs="]),
        ("mml run --executor=seq", ["--executor=sequential"]),
        ("mml run --mult", ["--multirun"]),
        ("mml run --mode=train --cfg j", ["job"]),
        ("mml run --mode=nothing mode.fo", []),
        ("mml plugins do", ["doctor"]),
        ("mml plugins list --a", ["--all"]),
        ("mml runs sh", ["show"]),
        ("mml tasks add --deb", ["--debug"]),
        ("mml nothing x", []),
    ],
)
def test_completion(
    line: str, offers: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    assert main(["-sc", "query=bash"]) == 0
    captured = capsys.readouterr()
    assert (captured.out.split(), captured.err) == (offers, "")


def test_info_works_with_nothing_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--mode=info"]) == 0
    out = capsys.readouterr().out
    assert "digits" in out
    assert "mml-plugin-tasks" in out
