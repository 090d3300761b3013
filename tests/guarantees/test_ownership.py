"""Who may work on a run: dead owners are replaced at once, one of many wins, who lost cannot commit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from mml_core.scheduling.run_directory import RunDirectory
from mml_core.storage import heartbeats
from mml_core.storage.owners import Owner

if TYPE_CHECKING:
    from mml_core.testing.fixtures import MMLProject

Tell = Callable[[str], None]

ELSEWHERE = {"LAB_HOST": "elsewhere", "MML_LEASE_TTL": "1"}


def killed_inside(lab: Any) -> Path:
    """Kill a run with SIGKILL in its second step, and return its directory."""
    ended = lab.run("draw", "draw", "free", env={"LAB_AT": "SIGKILL@sealed:free"})
    assert ended.code == -signal.SIGKILL, ended
    (run,) = lab.project.runs()
    assert list(run.glob("lease*")) != []  # nobody has given it back
    return run


@pytest.mark.parametrize("harm", ["dead", "pid reused", "rebooted"])
def test_g08_a_killed_run_goes_on_at_once_with_nothing_to_delete(lab: Any, harm: str) -> None:
    """SIGKILL, then continue at once: also where the pid lives again, and after a reboot."""
    run = killed_inside(lab)
    owner = msgspec.json.decode((run / "lease").read_bytes(), type=Owner)
    now = Owner.current(token=owner.token)
    alive = {"pid reused": {"pid": now.pid}, "rebooted": {"pid": now.pid, "start_time": now.start_time}}
    changes = {**alive.get(harm, {}), **({"boot_id": "the one before"} if harm == "rebooted" else {})}
    if changes:
        changed = msgspec.structs.replace(owner, **changes)
        (run / "lease").write_bytes(heartbeats.with_beat(msgspec.json.encode(changed)))
    before = time.monotonic()
    ended = lab.go_on()
    assert ended.code == 0, ended
    assert time.monotonic() - before < 30  # and not after the minute that a silent owner elsewhere is given
    assert lab.ran("draw", "free") == {"draw-0": 1, "draw-1": 1, "free-2": 2}
    assert list(run.glob("lease*")) == []


# Forks starters of one run, lets them go at one moment, and tells their pids and how each ended.
CROWD = """
import json, os, signal, sys
from mml_core.cli.main import main
import mml_core.cli.job, mml_core.scheduling.runner, mml_core.config.compose, mml_core.schedulers.info
count, folder = int(sys.argv[1]), sys.argv[2]
start_r, start_w = os.pipe()
starters = []

def give_up(*_):  # two of them hold the run, and neither will end
    for pid in starters:
        os.kill(pid, signal.SIGKILL)
    os._exit(1)

signal.signal(signal.SIGALRM, give_up)
signal.alarm(120)
for number in range(count):
    child = os.fork()
    if child == 0:
        os.close(start_w)
        for stream in (1, 2):
            os.dup2(os.open(f"{folder}/{os.getpid()}", os.O_CREAT | os.O_WRONLY | os.O_APPEND), stream)
        os.read(start_r, 1)
        try:
            code = main(["run", "--continue"])
        except BaseException as error:
            print(repr(error))
            code = 99
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    starters.append(child)
os.close(start_r)
os.close(start_w)
ended = {}
for _ in range(count - 1):
    pid, status = os.wait()
    ended[pid] = os.waitstatus_to_exitcode(status)
print(json.dumps({"ended": ended, "winner": [pid for pid in starters if pid not in ended]}), flush=True)
sys.stdin.readline()
for pid in starters:
    if pid not in ended:
        os.kill(pid, signal.SIGKILL)
        os.wait()
"""


def rounds_of_starters(lab: Any, count: int, rounds: int, tell: Tell) -> None:
    """In each round many processes continue a run whose owner was just killed."""
    ended = lab.run("draw", "wait", env={"LAB_AT": "SIGKILL@inside:wait"})
    assert ended.code == -signal.SIGKILL, ended
    for number in range(rounds):
        folder = lab.project.root / f"told-{number}"
        folder.mkdir()
        with subprocess.Popen(
            [sys.executable, "-c", CROWD, str(count), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as crowd:
            assert crowd.stdout is not None
            line = crowd.stdout.readline()
            assert line, f"round {number}: {[path.read_text() for path in folder.iterdir()]}"
            told = msgspec.json.decode(line)
            (winner,) = told["winner"]
            for pid, code in told["ended"].items():
                said = (folder / pid).read_text()
                assert (code, f"pid {winner} on host" in said) == (3, True), f"round {number}: {code} {said}"
            lab.until(crowd, lambda: ("wait-1", winner) in lab.marked("wait"))  # noqa: B023 (called at once)
            crowd.communicate("end\n")
    assert lab.ran("draw") == {"draw-0": 1}
    assert lab.ran("wait") == {"wait-1": rounds + 1}
    lab.mark("go")
    assert lab.go_on().code == 0
    assert len(lab.records()) == 3
    tell(f"{rounds} rounds of {count} starters")


def test_g09_of_many_starters_on_one_run_one_wins_and_the_others_name_it(lab: Any, tell: Tell) -> None:
    """10 starters, 3 rounds, each on a run whose owner was just killed: one goes on, 9 name it (exit 3)."""
    rounds_of_starters(lab, count=10, rounds=3, tell=tell)


@pytest.mark.long
def test_g09_of_fifty_starters_one_wins_in_a_hundred_rounds(lab: Any, tell: Tell) -> None:
    """50 starters, 100 rounds: the same with 49 that name the one."""
    rounds_of_starters(lab, count=50, rounds=100, tell=tell)


@pytest.mark.parametrize("where", ["inside", "sealed", "committed"])
def test_g10_a_stopped_writer_that_was_taken_over_commits_nothing_more(lab: Any, where: str) -> None:
    """SIGSTOP in a step, before its commit and before publication; taken over from elsewhere; SIGCONT."""
    stopped = lab.start(
        "wait", "draw", env={"LAB_AT": f"SIGSTOP@{where}:wait", "LAB_NAME": "first", "MML_LEASE_TTL": "1"}
    )
    lab.mark("go")
    lab.until_stopped(stopped)
    taken_over = lab.go_on(env={**ELSEWHERE, "LAB_NAME": "second"})
    assert taken_over.code == 0, taken_over
    before = lab.contents(), lab.told(), [path.read_bytes() for path in lab.records()]

    stopped.send_signal(signal.SIGCONT)
    _, err = stopped.communicate(timeout=120)
    assert stopped.returncode == 3, err
    assert "taken over by" in err
    assert "Traceback" not in err
    assert (lab.contents(), lab.told(), [path.read_bytes() for path in lab.records()]) == before
    first = where == "committed"  # the first had committed, the second has published for it
    assert lab.contents()["DRAWN/wait/drawn_0001.txt"] == f"waited by {'first' if first else 'second'}"
    assert lab.ran("wait", "draw") == {"wait-0": 1 if first else 2, "draw-1": 1}
    assert len(lab.records()) == 3
    assert not list((lab.project.path() / ".mml" / "attempts").glob("*/*"))


def test_g10_two_pilots_commit_each_step_once(lab: Any) -> None:
    """Two pilots drain one run at the same time: each step is begun and committed once."""
    ended = lab.run(
        "fail_once",
        *["free"] * 12,
        options=("executor=processes", "executor.preload=[]", "executor.workers=1"),
    )
    assert ended.code == 1, ended
    lab.mark("mended")
    (run,) = lab.project.runs()
    already = lab.ran("free")
    pilots = [lab.process.start("work", run.name) for _ in range(2)]
    for pilot in pilots:
        out, err = pilot.communicate(timeout=120)
        assert pilot.returncode == 0, (out, err)
    assert RunDirectory(run).done() is not None
    assert lab.ran("free") == {f"free-{number}": 1 for number in range(1, 13)}
    assert len(already) < 12
    assert sorted(lab.contents().values()) == sorted(map(str, range(1, 13)))


def test_g10_a_pilot_that_stopped_too_long_cannot_commit_its_step(lab: Any) -> None:
    """SIGSTOP in a pilot elsewhere; whoever drives the run does its step, and the pilot ends with 3."""
    options = ("executor=processes", "executor.preload=[]", "executor.workers=1")
    driver = lab.start("wait", "free", options=options, env={"MML_LEASE_TTL": "1"})
    lab.until(driver, lambda: lab.marked("wait"))
    (run,) = lab.project.runs()
    pilot = lab.process.start("work", run.name, env={**ELSEWHERE, "LAB_AT": "SIGSTOP@sealed:free"})
    lab.until_stopped(pilot)
    lab.mark("go")
    out, err = driver.communicate(timeout=120)
    assert driver.returncode == 0, (out, err)
    pilot.send_signal(signal.SIGCONT)
    _, err = pilot.communicate(timeout=120)
    assert pilot.returncode == 3, err
    assert "taken over by" in err
    assert lab.ran("free", "wait") == {"free-1": 2, "wait-0": 1}
    assert sorted(lab.contents()) == ["DRAWN/free/drawn_0001.txt", "DRAWN/wait/drawn_0001.txt"]


def test_g10_a_driver_that_was_taken_over_does_not_wind_up_the_run(lab: Any) -> None:
    """SIGSTOP of a process that drives workers; taken over from elsewhere while a worker still works."""
    options = ("executor=processes", "executor.preload=[]", "executor.workers=1")
    driver = lab.start("wait", "free", options=options, env={"MML_LEASE_TTL": "1"})
    lab.until(driver, lambda: lab.marked("wait"))
    driver.send_signal(signal.SIGSTOP)
    second = lab.process.start("run", "--continue", env=ELSEWHERE)
    lab.until(second, lambda: lab.marked("free"))  # what nobody works on
    lab.mark("go")
    out, err = second.communicate(timeout=120)
    assert second.returncode == 0, (out, err)
    before = lab.told(), (lab.project.runs()[0] / "done.json").read_bytes()
    driver.send_signal(signal.SIGCONT)
    _, err = driver.communicate(timeout=120)
    assert (driver.returncode, "taken over by" in err) == (3, True), err
    assert (lab.told(), (lab.project.runs()[0] / "done.json").read_bytes()) == before
    assert lab.ran("wait", "free") == {"wait-0": 1, "free-1": 1}


def test_a_run_can_be_removed_whose_pilot_elsewhere_is_silent_for_good(lab: Any) -> None:
    assert lab.run("fail_once", "sleeping", options=("executor=processes", "executor.preload=[]")).code == 1
    lab.mark("mended")
    (run,) = lab.project.runs()
    pilot = lab.process.start("work", run.name, env={"LAB_HOST": "elsewhere"})
    lab.until(pilot, lambda: lab.marked("sleeping"))
    pilot.kill()
    pilot.communicate()
    assert lab.process("runs", "rm", run.name, "--yes", env={"MML_LEASE_TTL": "1"}).code == 0
    assert not run.exists()


# A machine of its own: another name, and the results mounted with attributes that are cached for a minute.
MACHINE = """
set -e
hostname "$1"; shift
mount --make-rprivate /
bindfs -o attr_timeout=60,entry_timeout=60,negative_timeout=0,ac_attr_timeout=60 "$1" "$2"; shift 2
trap 'umount "$MML_RESULTS_PATH"' EXIT
"$@"
"""


class Machines:
    """Starts ``mml`` as on machines of their own, which share the results by mounts that cache.

    Attributes:
        shared: Where the results really are.
        results: Where each machine has mounted them.
    """

    def __init__(self, shared: Path, results: Path) -> None:
        self.shared = shared
        self.results = results

    def start(
        self, name: str, *arguments: str, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        code = "import sys; from mml_core.cli.main import main; sys.exit(main())"
        command = ["unshare", "--mount", "--uts", "bash", "-c", MACHINE, "bash", name]
        command += [str(self.shared), str(self.results), sys.executable, "-c", code, *arguments]
        environment = {**os.environ, "MML_LEASE_TTL": "2", **(env or {})}
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


@pytest.fixture
def machines(mml_project: MMLProject, tmp_path: Path) -> Machines:
    shared = tmp_path / "shared"
    for folder in (shared, mml_project.results):
        folder.mkdir()
    found = Machines(shared, mml_project.results)
    tried = found.start("tried", "--version") if shutil.which("bindfs") else None
    if tried is None or tried.wait() != 0:
        why = "bindfs is not installed" if tried is None else tried.communicate()[1].strip()
        pytest.skip(f"no two machines can be made here: {why}")
    return found


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.long
def test_g10_two_machines_that_cache_commit_each_step_once(lab: Any, machines: Machines, tell: Tell) -> None:
    """Pilots on mounts with cached attributes (bindfs), one of them stopped for too long, drain one run."""
    options = ("executor=processes", "executor.preload=[]", "executor.workers=1")
    begun = machines.start("first", *lab.arguments("fail_once", *["free"] * 100, options=options))
    assert "fail_once(0) failed" in begun.communicate()[1]
    lab.mark("mended")
    (run,) = (machines.shared / "default" / "runs").iterdir()
    stopped = machines.start("second", "work", run.name, env={"LAB_AT": "SIGSTOP@sealed:free"})
    lab.until(stopped, lambda: lab.marked("free"))
    ((step, pid),) = lab.marked("free")
    lab.until(stopped, lambda: is_stopped(pid))

    pilots = [machines.start(name, "work", run.name) for name in ("third", "fourth")]
    for pilot in pilots:
        out, err = pilot.communicate(timeout=300)
        assert pilot.returncode == 0, (out, err)
    os.kill(pid, signal.SIGCONT)
    _, err = stopped.communicate(timeout=120)
    assert stopped.returncode == 3, err
    assert RunDirectory(run).done() is not None
    assert len(list((run / "steps").glob("*.json"))) == 102
    assert lab.ran("free") == {f"free-{number}": 1 for number in range(1, 101)} | {step: 2}
    drawn = (machines.shared / "default" / "DRAWN" / "free").iterdir()
    assert sorted(int(path.read_text()) for path in drawn) == list(range(1, 101))
    tell("100 steps by two pilots, one of them taken over from a third")
