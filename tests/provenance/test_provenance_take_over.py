"""With ``reuse.auto`` a step is taken over where nothing that it rests on differs, else it runs again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mml_core.scheduling.ledger import Ledger, StepRecord
from mml_core.scheduling.plan import Plan

if TYPE_CHECKING:
    from mml_core.scheduling.run_directory import RunDirectory
    from tests.provenance.conftest import Rests

ALL = [
    "hand_on",
    "look_back",
    "name_task",
    "read_linked",
    "read_one",
    "set_return_value",
    "take_param",
    "take_task",
    "use_file",
    "use_kept",
    "use_kept",
    "use_name",
    "use_result",
    "use_return_value",
    "use_subroutines",
]


def records(run: RunDirectory) -> dict[str, StepRecord]:
    """The commit records of a run, by method."""
    plan = Plan.load(run.plan_path)
    ledger = Ledger(plan, run.steps_path)
    ledger.refresh()
    return {record.method: record for _, record in ledger.records()}


def test_a_run_that_is_repeated_takes_all_over(rests: Rests) -> None:
    assert rests() == ALL
    value = rests.value()

    assert rests("reuse.auto=true") == []
    assert rests.value() == value


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ("mode.one=2", ["read_one"]),
        ("mode.source=2", ["read_linked"]),
        ("mode.node.deep=2", ["hand_on"]),
        ("+mode.node.new=2", ["hand_on"]),
        ("mode.param=2", ["look_back", "take_param"]),
        ("mode.more=true", ["look_back", "take_param"]),
        ("mode.returned=2", ["set_return_value", "use_return_value"]),
        ("mode.subroutines=[a]", ["use_subroutines"]),
        ("mode.kept=2", ["use_kept", "use_kept"]),
        ("mode.unread=2", []),
        ("on_error=continue", []),
        ("trainer.max_epochs=3", []),
        ("mode.early=2", ALL),
        ("mode.common=2", ALL),
        ("mode.planned=2", ALL),
        ("seed=7", ALL),
        ("executor.threads=2", ALL),
        ("mode.global=true", ["use_global"]),
    ],
)
def test_what_rests_on_a_changed_key_runs_again(rests: Rests, change: str, again: list[str]) -> None:
    rests()

    more = ["reuse.shared=default"] if "global" in change else []
    assert rests("reuse.auto=true", change, *more) == again


def test_a_changed_task_runs_again_what_took_it_and_what_rests_on_what_became_of_that(
    rests: Rests, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests()
    monkeypatch.setenv("DOTS", "10")
    rests.create("mode.force=true")

    # use_name rests on the name of the task alone, which the step that ran again returned as before
    assert rests("reuse.auto=true") == ["name_task", "take_task", "use_file", "use_result"]


def test_a_task_that_is_looked_at_before_the_steps_belongs_to_all(
    rests: Rests, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests("mode.look=true")
    assert rests("reuse.auto=true", "mode.look=true") == []
    monkeypatch.setenv("DOTS", "10")
    rests.create("mode.force=true")

    assert rests("reuse.auto=true", "mode.look=true") == ALL


def test_a_task_that_is_made_again_is_the_same(rests: Rests) -> None:
    rests()
    rests.create("mode.force=true")

    assert rests("reuse.auto=true") == []


def test_a_reused_file_counts_by_its_content(rests: Rests, monkeypatch: pytest.MonkeyPatch) -> None:
    reuse = ["reuse.drawn=other", "reuse.shared=other", "mode.global=true", "reuse.auto=true"]
    rests("--proj", "other")
    assert "use_global" in rests(*reuse)
    rests("--proj", "other", "seed=3")  # the same files once more
    assert rests(*reuse) == []

    monkeypatch.setenv("DOTS", "10")
    rests.create("mode.force=true")
    rests("--proj", "other")
    monkeypatch.delenv("DOTS")
    rests.create("mode.force=true")

    assert rests(*reuse) == ["name_task", "take_task", "use_file", "use_global"]


def test_other_code_runs_all_again(rests: Rests) -> None:
    rests()
    rests.install("# another version")

    assert rests("reuse.auto=true") == ALL


def test_a_scheduler_that_does_not_declare_itself_safe_takes_nothing_over(rests: Rests) -> None:
    rests(mode="unsafe")

    assert rests("reuse.auto=true", mode="unsafe") == ALL


def test_another_scheduler_has_other_steps(rests: Rests) -> None:
    rests(mode="unsafe")

    assert rests("reuse.auto=true") == ALL


def test_steps_are_taken_over_from_other_projects(rests: Rests) -> None:
    rests("--proj", "a")
    rests("--proj", "b", "mode.one=2")
    value = rests.value("b")

    assert rests("--proj", "c", "reuse.auto=[a,b]", "mode.one=2") == []
    assert rests.value("c") == value
    taken = {method: record.taken for method, record in records(rests.newest("c")).items()}
    assert {made.project for made in taken.values() if made is not None} == {"b"}
    file = rests.project.path("b") / "DRAWN/dots/drawn_0001.json"
    assert next(iter(taken["take_task"].files)) == str(file)
    assert not rests.project.path("c").joinpath("DRAWN").exists()


def test_what_was_taken_over_is_taken_over_again_from_where_it_was_made(rests: Rests) -> None:
    rests("--proj", "a")
    rests("--proj", "b", "reuse.auto=a")

    assert rests("--proj", "c", "reuse.auto=b") == []
    assert records(rests.newest("c"))["take_task"].taken.project == "a"


@pytest.mark.parametrize("harm", ["remove", "change"])
def test_a_step_whose_file_is_not_what_it_was_runs_again(rests: Rests, harm: str) -> None:
    rests()
    file = rests.project.path() / "DRAWN/dots/drawn_0001.json"
    text = file.read_text()
    file.unlink() if harm == "remove" else file.write_text(text.replace("6", "7"))

    assert rests("reuse.auto=true") == ["take_task"]  # it makes the same file, so what used it need not run


def test_files_that_were_taken_over_are_not_cleaned_up(rests: Rests) -> None:
    rests()
    files = rests.project.files()

    assert rests("reuse.auto=true", "reuse.clean_up.drawn=true") == []
    assert rests.project.files() == files


def test_a_project_to_take_over_from_must_exist(rests: Rests) -> None:
    rests("--proj", "somewhere")

    result = rests.run("reuse.auto=somwhere")

    assert result.code != 0
    assert "Did you mean 'somewhere'?" in result.err


def test_the_plan_shows_what_can_be_taken_over_and_why_the_rest_cannot(rests: Rests) -> None:
    rests()
    run = rests.newest().id

    plan = rests.plan("mode.one=2")

    assert plan["take_task"]["state"] == f"reusable from run {run} of project default"
    assert plan["use_file"]["reusable_from"] == {"project": "default", "run": run}
    assert plan["read_one"]["state"] == "ready"
    assert plan["read_one"]["why_not"].endswith("mode.one was 1 and is 2")
    assert plan["before_finishing_hook"]["why_not"] == "not known before read_one() has run"
    assert len(rests.project.runs()) == 1


@pytest.mark.parametrize(
    ("overrides", "why_not"),
    [
        (["seed=7"], "seed was 42 and is 7"),
        (["executor.threads=2"], "its threads was 1 and is 2"),
        (["mode.node.deep=3"], "mode.node.deep was 1 and is 3"),
        (["--proj", "empty"], "no other run of empty has done it"),
    ],
)
def test_the_first_difference_is_named(rests: Rests, overrides: list[str], why_not: str) -> None:
    rests()

    assert rests.plan(*overrides)["hand_on"]["why_not"].endswith(why_not)


def test_the_plan_names_a_scheduler_that_is_not_safe(rests: Rests) -> None:
    assert "does not declare itself reuse_safe" in rests.plan(mode="unsafe")["hand_on"]["why_not"]


def test_reasons_are_a_column_with_debug(rests: Rests) -> None:
    assert "why not" in rests.run("--plan", "--debug").out
    assert "why not" not in rests.run("--plan").out


def test_a_run_in_processes_takes_over_what_was_run_in_one(rests: Rests) -> None:
    rests()
    value = rests.value()

    assert rests("reuse.auto=true", "executor=processes", "mode.one=2") == ["read_one"]
    assert rests.value() == value | {key: "2" for key in value if key.startswith("read_one")}
