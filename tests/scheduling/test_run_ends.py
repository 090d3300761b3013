"""How runs end and go on: taken over, interrupted, failed, with damaged files, or constructed directly."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from mml_core.errors import MMLError
from mml_core.plugins import PluginManager
from mml_core.plugins.errors import RefError
from mml_core.plugins.info import Status
from mml_core.scheduling.base import AbstractBaseScheduler
from mml_core.scheduling.continuing import apply_overrides
from mml_core.scheduling.ledger import Ledger
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.scheduling.runner import run_scheduler
from mml_core.scheduling.runs import list_runs
from mml_core.scheduling.target import scheduler_class
from mml_core.storage.leases import Lease

pytest_plugins = ["mml_core.testing.fixtures"]

PLUGIN = """
from mml_core.plugins import *
from mml_core.plugins import hookimpl

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="ends", target="mml_ends.scheduler:Ends", defaults={"steps": [], "marks": None})

@hookimpl
def mml_path_assignments():
    yield PathAssignment(key="mark", path="PROJ_PATH/MARK/mark.txt", numbered=False)
"""
SCHEDULER = """
import os, signal
from pathlib import Path
from mml_core.api import AbstractBaseScheduler, MMLFileManager

class Ends(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])
        self.return_value = ["from init"]

    def create_routine(self):
        self.return_value.append("lost: create_routine runs in one process only")
        assert MMLFileManager.instance() is self.fm
        for number, method in enumerate(self.cfg.mode.steps):
            self.add_step(method, number, after=() if method == "mark" else None)

    def note(self, number):
        self.return_value.append(number)

    def mark(self, number):
        self.fm.construct_saving_path(None, "mark").write_text(str(number))

    def swallow(self, number):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except:
            pass

    def fail_once(self, number):
        if not Path(self.cfg.mode.marks).exists():
            raise ValueError("not yet")

    def die_once(self, number):
        mark = Path(self.cfg.mode.marks + "-died")
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def lose(self, number):
        for path in (Path(self.cfg.paths.results) / self.cfg.proj / "runs").glob("*/lease*"):
            path.unlink()
"""


@pytest.fixture
def ends(inline_plugin: Any, mml: Any, mml_project: Any) -> Callable[..., Any]:
    """Run the mode with the steps named, in this process."""
    inline_plugin("ends", PLUGIN, {"scheduler.py": SCHEDULER})
    marks = mml_project.root / "marks"

    def run(*steps: str, options: tuple[str, ...] = ()) -> Any:
        return mml("run", "--mode=ends", f"mode.steps=[{','.join(steps)}]", f"mode.marks={marks}", *options)

    run.marks = marks  # type: ignore[attr-defined]
    return run


def test_g10_a_writer_that_lost_the_run_commits_nothing_more(ends: Any, mml_project: Any) -> None:
    ended = ends("note", "lose", "note")
    assert ended.code == 3
    assert "taken over" in ended.err
    (run,) = mml_project.runs()
    assert len(list((run / "steps").iterdir())) == 1


def test_g12_a_signal_that_a_step_swallows_still_ends_the_run(ends: Any, mml_process: Any) -> None:
    ended = mml_process("run", "--mode=ends", "mode.steps=[swallow,note]")
    assert ended.code == 143
    assert "0 of 3" in ended.err or "1 of 3" in ended.err


def test_g12_a_signal_ends_a_sweep_with_the_line_that_continues_its_job(
    ends: Any, mml_process: Any, mml_project: Any
) -> None:
    ended = mml_process("run", "--mode=ends", "mode.steps=[swallow,note]", "seed=1,2", "-m")
    (run,) = mml_project.runs()
    assert (ended.code, f"Continue by: mml run --continue {run.name}" in ended.err) == (143, True), ended


def test_unordered_steps_that_write_one_file_are_both_named(ends: Any) -> None:
    ended = ends("mark", "mark")
    assert ended.code == 1
    assert "mark(0) and mark(1) both changed the file MARK/mark.txt" in ended.err


def test_what_init_sets_as_return_value_is_what_the_first_step_finds(ends: Any, mml_project: Any) -> None:
    assert ends("note", "note").code == 0
    done = RunDirectory(mml_project.runs()[0]).done()
    assert done is not None
    assert json.loads(bytes(done.return_value)) == ["from init", 0, 1]


def test_debug_shows_the_traceback_of_a_failed_step_and_the_log_keeps_it(ends: Any, mml_project: Any) -> None:
    assert "Traceback" not in ends("fail_once").err
    assert "in fail_once" in ends("fail_once", options=("--debug",)).err
    assert all("in fail_once" in (run / "log.txt").read_text() for run in mml_project.runs())


def test_a_repaired_failure_is_no_longer_reported(
    ends: Any, mml: Any, mml_process: Any, mml_project: Any
) -> None:
    assert ends("fail_once", "die_once").code == 1
    ends.marks.touch()
    assert mml_process("run", "--continue").code == -signal.SIGKILL
    (run,) = list_runs(mml_project.path())
    assert run.state == "resumable at step 2 of 3"
    assert "not yet" not in mml("runs", "show", run.id).out


def test_g17_the_command_that_began_a_run_can_be_typed_again(ends: Any) -> None:
    options = ("executor=sequential", "optimizer=sgd", "--continue")
    assert ends("fail_once", options=options).code == 1
    ends.marks.touch()
    refused = ends("fail_once", options=("optimizer=adam", "--continue"))
    assert refused.code == 2
    assert "optimizer.name was 'sgd' when the run began and cannot become 'adam'" in refused.err
    assert ends("fail_once", options=options).code == 0


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed=1,2", "sweep"),
        ("executor.threads=2", "executor.threads was 1"),
        ("retries=x", "retries is 'x'"),
        ("on_error=stpo", "on_error is 'stpo'"),
        ("executor.wrokers=2", "no key 'executor.wrokers'"),
        ("loging=csv", "no key 'loging'. Did you mean 'logging'"),
    ],
)
def test_g17_overrides_on_continue_are_checked(ends: Any, mml: Any, override: str, words: str) -> None:
    assert ends("fail_once").code == 1
    refused = mml("run", "--continue", override)
    assert (refused.code, words in refused.err, len(refused.err.splitlines())) == (2, True, 1), refused


@pytest.mark.parametrize(
    "options",
    [
        ("executor=processes",),
        ("executor=processes", "executor.threads=2", "executor.workers=1"),
        ("executor.workers=1", "executor=processes"),
        ("optimizer.lr=0.5", "optimizer=sgd"),
    ],
)
def test_g17_options_of_groups_are_chosen_first_and_keep_what_is_not_to_change(
    ends: Any, mml: Any, mml_project: Any, options: tuple[str, ...]
) -> None:
    begun = ("executor.threads=2", "optimizer=sgd", "optimizer.lr=0.5")
    assert ends("fail_once", options=begun).code == 1
    (run,) = mml_project.runs()
    opened = apply_overrides(RunDirectory(run).config(), options, PluginManager.discover())
    assert (opened.executor.threads, opened.optimizer.lr) == (2, 0.5)
    assert (opened.executor.name == "processes") is any("executor=" in each for each in options)


@pytest.mark.parametrize("content", [None, "a: [1", "- 1\n", "seed: 43\n"])
def test_g05_a_damaged_config_is_named_and_other_runs_are_shown(
    ends: Any, mml: Any, mml_project: Any, content: str | None
) -> None:
    assert ends("fail_once").code == 1
    assert ends("note").code == 0
    failed = next(run for run in mml_project.runs() if not (run / "done.json").exists())
    config = failed / "config.yaml"
    config.unlink()
    if content is not None:
        config.write_text(content)
    refused = mml("run", "--continue", failed.name)
    assert (refused.code, f"{config} is not used" in refused.err) == (2, True), refused
    rows = json.loads(mml("runs", "list", "--json").out)
    assert sorted(row["status"] for row in rows) == ["damaged", "done"]


@pytest.mark.parametrize("content", [None, "", '{"id": 3}'])
def test_g05_a_run_whose_description_is_damaged_is_shown_named_and_removed(
    ends: Any, mml: Any, mml_project: Any, content: str | None
) -> None:
    assert ends("mark", "fail_once").code == 1
    (run,) = mml_project.runs()
    description = run / "run.json"
    description.unlink()
    if content is not None:
        description.write_text(content)
    (row,) = json.loads(mml("runs", "list", "--json").out)
    assert (row["run"], row["status"], row["steps"]) == (run.name, "damaged", "1/3")
    assert mml("runs", "show", run.name).code == 0
    verified = mml("files", "verify")
    assert (verified.code, "run.json cannot be read" in verified.out) == (1, True), verified
    for command in ("--continue", f"--continue={run.name}", "--continue --mode=ends"):
        refused = mml("run", *command.split())
        assert (refused.code, "run.json cannot be read" in refused.err) == (2, True), refused
    assert mml("runs", "rm", run.name, "--yes").code == 0
    assert mml_project.runs() == []


def test_g05_what_is_whole_of_a_run_with_a_damaged_plan_is_shown(
    ends: Any, mml: Any, mml_project: Any
) -> None:
    assert ends("mark", "fail_once").code == 1
    (run,) = mml_project.runs()
    (run / "plan.json").write_text("{")
    shown = mml("runs", "show", run.name)
    assert (shown.code, "plan.json is damaged" in shown.out, "not yet" in shown.out) == (0, True, True), shown


def test_show_without_a_name_shows_the_newest_run(ends: Any, mml: Any, mml_project: Any) -> None:
    (mml_project.results / "empty").mkdir(parents=True)
    none = mml("runs", "show", "--proj", "empty")
    assert (none.code, "has no runs" in none.err) == (2, True), none
    for _ in range(2):
        assert ends("mark").code == 0
    created = {run.name: json.loads((run / "run.json").read_text())["created"] for run in mml_project.runs()}
    shown = json.loads(mml("runs", "show", "--json").out)
    assert shown["run"] == max(created, key=created.__getitem__)


def test_a_run_whose_removal_was_killed_is_gone(ends: Any, mml: Any, mml_project: Any) -> None:
    assert ends("fail_once").code == 1
    (run,) = mml_project.runs()
    run.rename(run.with_name(f".{run.name}.removed"))
    assert json.loads(mml("runs", "list", "--json").out) == []
    assert mml("run", "--continue").code == 2
    assert "its run was removed" in mml("files", "prune").out


def test_a_plugin_that_broke_since_the_run_began_is_named_and_has_its_status(
    ends: Any, mml: Any, mml_project: Any, inline_plugin: Any
) -> None:
    assert ends("fail_once").code == 1
    (run,) = mml_project.runs()
    (mml_project.site / "mml_ends/scheduler.py").write_text("1 / 0")
    inline_plugin.distributions.forget()
    refused = mml("run", "--continue")
    says = "Plugin mml-plugin-ends, mode 'ends': Cannot load 'mml_ends.scheduler:Ends': importing"
    assert (refused.code, says in refused.err, refused.err.count("\n")) == (2, True, 1), refused
    plugins = PluginManager.discover()
    with pytest.raises(RefError, match="division by zero"):
        scheduler_class(RunDirectory(run).config(), plugins)
    assert plugins.plugin("ends").status is Status.INVALID


def test_a_plan_can_be_shown_of_a_scheduler_that_uses_the_file_manager(ends: Any) -> None:
    planned = ends("note", options=("--plan",))
    assert planned.code == 0
    assert "threads 1" in planned.out


def test_the_line_that_continues_names_results_that_were_given(ends: Any, mml: Any, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    failed = ends("fail_once", options=(f"paths.results='{elsewhere}'",))
    assert f"'paths.results={elsewhere}'" in failed.err


class Direct(AbstractBaseScheduler):
    """A scheduler that a script constructs."""

    broken = False

    def __init__(self, cfg: DictConfig) -> None:
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self) -> None:
        self.add_step("work")

    def work(self) -> str:
        if self.broken:
            raise ValueError("broken")
        assert self._context is not None
        return str(self._context.run_dir)


def test_a_scheduler_runs_once(config: Callable[..., DictConfig]) -> None:
    scheduler = Direct(config())
    scheduler.run()
    with pytest.raises(MMLError, match="has run already"):
        scheduler.run()


def test_a_scheduler_constructed_directly_knows_its_run(config: Callable[..., DictConfig]) -> None:
    outcome = run_scheduler(Direct(config()))
    assert outcome.run_dir is not None
    run = RunDirectory(outcome.run_dir)
    plan = run.load_plan()
    assert plan is not None
    ledger = Ledger(plan, run.steps_path)
    ledger.refresh()
    record = ledger.record(0)
    assert record is not None
    assert json.loads(bytes(record.value)) == str(outcome.run_dir)


def test_what_is_stored_is_the_config_that_was_given(
    config: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Direct, "broken", True)
    keys: dict[str, Any] = {"task_list": ["a"], "tagging": {"all": "identity"}, "pivot": {"name": "a"}}
    outcome = run_scheduler(Direct(config(**keys)))
    assert outcome.state == "failed"
    assert outcome.run_dir is not None
    assert RunDirectory(outcome.run_dir).config().task_list == ["a"]


def test_a_mapping_alone_is_config_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MML_RESULTS_PATH", str(tmp_path))
    assert run_scheduler(Direct({"proj": "x"})).state == "done"  # type: ignore[arg-type]


def test_plugins_hear_of_a_scheduler_constructed_directly(
    inline_plugin: Any, config: Callable[..., DictConfig], tmp_path: Path
) -> None:
    mark = tmp_path / "heard"
    inline_plugin(
        "hears",
        "from mml_core.plugins import hookimpl\nfrom pathlib import Path\n@hookimpl\n"
        f"def mml_scheduler_created(scheduler):\n    Path({str(mark)!r}).touch()\n",
    )
    Direct(config()).run()
    assert mark.exists()


def test_a_folder_that_holds_a_run_is_not_run_in_again(ends: Any, mml_project: Any) -> None:
    from mml_core.scheduling.run_directory import RunDirectoryError

    assert ends("note").code == 0
    (run,) = mml_project.runs()
    before = (run / "config.yaml").read_bytes()
    with pytest.raises(RunDirectoryError, match="no new folder"):
        RunDirectory(run).check_new(run.parent.parent)
    with pytest.raises(RunDirectoryError, match="no new folder"):
        RunDirectory(run.parent).check_new(run.parent.parent)
    assert (run / "config.yaml").read_bytes() == before


def test_workers_of_a_loader_leave_signals_to_their_parent() -> None:
    from mml_core.scheduling.signals import SignalGuard

    with SignalGuard():
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM


def test_the_lease_of_a_lost_run_is_left_to_its_new_owner(tmp_path: Path) -> None:
    lease = Lease.acquire(tmp_path / "lease")
    (tmp_path / "lease").unlink()
    other = Lease.acquire(tmp_path / "lease")
    lease.release()
    assert not other.lost
    other.release()


@pytest.mark.parametrize(("signum", "code"), [("SIGTERM", 143), ("SIGUSR1", 75)])
def test_a_signal_before_a_run_began_has_its_code_and_leaves_nothing(
    inline_plugin: Any, mml_process: Any, mml_project: Any, signum: str, code: int
) -> None:
    source = f"import os, signal\nif os.environ.get('EARLY'):\n    os.kill(os.getpid(), signal.{signum})\n"
    inline_plugin("early", source)
    assert mml_process("run", "--mode=info", env={"EARLY": "1"}).code == code
    assert not mml_project.results.exists()


def test_runs_are_continued_and_removed_by_name(ends: Any, mml: Any, mml_project: Any) -> None:
    assert ends("mark", "fail_once").code == 1
    (run,) = mml_project.runs()
    listed = mml("runs").out
    assert f"go on with {run.name}: mml run --continue {run.name}" in listed
    assert "0:00:0" in listed  # its duration
    ends.marks.touch()
    assert mml("runs", "continue", run.name).code == 0
    kept = mml_project.files()
    assert mml("runs", "rm", run.name).code == 2  # nobody to ask
    removed = mml("runs", "rm", run.name, "--yes")
    assert (removed.code, f"{run.name}: removed" in removed.out) == (0, True), removed
    assert mml_project.runs() == []
    assert mml_project.files() == kept != {}


def test_a_run_that_is_worked_on_is_not_removed(ends: Any, mml: Any, mml_project: Any) -> None:
    assert ends("fail_once").code == 1
    (run,) = mml_project.runs()
    with Lease.acquire(run / "lease"):
        assert mml("runs", "rm", run.name, "--yes").code == 3
    assert run.exists()


def test_g17_a_changed_plugin_is_named_and_can_be_accepted(
    ends: Any, mml: Any, mml_project: Any, inline_plugin: Any
) -> None:
    assert ends("fail_once").code == 1
    (run,) = mml_project.runs()
    inline_plugin("unused", "MML_PLUGIN_API = 1")  # of no concern to the run
    (metadata,) = mml_project.site.glob("mml_plugin_ends-*/METADATA")
    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 1.1"))
    metadata.parent.rename(metadata.parent.with_name("mml_plugin_ends-1.1.dist-info"))
    ends.marks.touch()
    refused = mml("run", "--continue")
    assert refused.code == 2
    assert "mml-plugin-ends was 1.0 when the run began and is 1.1 now" in refused.err
    assert mml("run", "--continue", "--accept-changes").code == 0
    shown = json.loads(mml("runs", "show", run.name, "--json").out)
    assert [session["accepted"] for session in shown["sessions"]] == [
        [],
        ["mml-plugin-ends was 1.0 when the run began and is 1.1 now"],
    ]
