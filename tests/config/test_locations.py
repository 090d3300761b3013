"""Which setting decides where data and results lie."""

from pathlib import Path

import pytest

from mml_core.config.locations import EnvFileError, read_env_file, resolve_locations


@pytest.fixture(autouse=True)
def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a working directory without any setting."""
    for variable in ("MML_DATA_PATH", "MML_RESULTS_PATH"):
        monkeypatch.delenv(variable, raising=False)
    home, work = tmp_path / "home", tmp_path / "work" / "inner"
    home.mkdir()
    work.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    return tmp_path


def test_without_any_setting_the_home_folder_holds_both(bare_environment: Path) -> None:
    found = resolve_locations()
    assert found.data == bare_environment / "home" / "mml" / "data"
    assert found.results == bare_environment / "home" / "mml" / "results"
    assert found.why == {"data": "default", "results": "default"}
    assert not found.data.exists()


def test_an_env_file_above_the_working_directory_is_found_and_relative_to_itself(
    bare_environment: Path,
) -> None:
    file = bare_environment / "work" / "mml.env"
    file.write_text("# ours\nexport MML_DATA_PATH='my data'\n")
    found = resolve_locations()
    assert found.data == bare_environment / "work" / "my data"
    assert found.why == {"data": f"MML_DATA_PATH in {file}", "results": "default"}


def test_the_home_env_file_is_the_last_resort(bare_environment: Path) -> None:
    file = bare_environment / "home" / "mml" / "mml.env"
    file.parent.mkdir()
    file.write_text("MML_RESULTS_PATH=~/elsewhere\n")
    assert resolve_locations().results == bare_environment / "home" / "elsewhere"


def test_environment_beats_env_file_and_override_beats_both(
    bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (Path.cwd() / "mml.env").write_text("MML_DATA_PATH=/from/file\n")
    assert resolve_locations().data == Path("/from/file")
    monkeypatch.setenv("MML_DATA_PATH", "/from/environment")
    assert resolve_locations().data == Path("/from/environment")
    found = resolve_locations({"data": "relative", "results": None})
    assert found.data == Path.cwd() / "relative"
    assert found.why["data"] == "override paths.data"


def test_a_malformed_line_is_named_with_its_number(tmp_path: Path) -> None:
    file = tmp_path / "mml.env"
    file.write_text("\n# fine\nMML_DATA_PATH /data\n")
    with pytest.raises(EnvFileError, match=r"Line 3 .*MML_DATA_PATH /data.*KEY=VALUE"):
        read_env_file(file)
