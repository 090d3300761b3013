"""A plugin whose steps can be killed, stopped or signalled at a chosen moment."""

import os
import signal
import socket
import sys
import threading

from mml_core.plugins import DatasetSpec, PathAssignment, SchedulerSpec, TaskSpec, hookimpl

if os.environ.get("LAB_HOST"):  # this process believes itself to be on another machine
    socket.gethostname = lambda: os.environ["LAB_HOST"]


def at(where, method):
    """Send this process, once, the signal that ``LAB_AT`` asks for: ``SIGNAL@WHERE:METHOD``."""
    if os.environ.get("LAB_AT", "").partition("@")[2] == f"{where}:{method}":
        number = getattr(signal, os.environ.pop("LAB_AT").partition("@")[0])
        os.kill(os.getpid(), number)


def dying(call, removals):
    """Return ``call`` so that this process is killed at its n-th removal of a file or folder."""

    def hook(event, arguments):
        nonlocal removals
        if armed and event in ("os.remove", "os.rmdir"):
            removals -= 1
            if removals < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def killed(*arguments):
        armed.append(True)
        done = call(*arguments)
        armed.clear()
        return done

    armed = []
    sys.addaudithook(hook)
    return killed


@hookimpl
def mml_schedulers():
    defaults = {"steps": [], "value": 0, "task": None}
    yield SchedulerSpec(name="lab", target="mml_lab.scheduler:Lab", defaults=defaults)


@hookimpl
def mml_path_assignments():
    yield PathAssignment(key="drawn", path="PROJ_PATH/DRAWN/TASK_NAME/drawn.txt", reusable=True)
    yield PathAssignment(key="last", path="PROJ_PATH/LAST/last.txt", numbered=False)


@hookimpl
def mml_datasets():
    yield DatasetSpec(name="dots", create="mml_lab.dots:draw", license="CC0-1.0", summary="dots")


@hookimpl
def mml_tasks():
    yield TaskSpec(name="dots", dataset="dots", create="mml_lab.dots:describe", task_type="classification")


@hookimpl
def mml_step_started(scheduler, step):
    at("before", step.name)
    if os.environ.get("LAB_AT", "").endswith(f"@during:{step.name}"):
        threading.Timer(float(os.environ["LAB_DELAY"]), at, ("during", step.name)).start()


@hookimpl
def mml_step_finished(scheduler, step, outcome):
    at("after", step.name)


@hookimpl
def mml_scheduler_created(scheduler):
    from mml_core.scheduling.ledger import Ledger

    publish, commit = scheduler.fm.publish, Ledger.commit

    def publishing(artefacts, folder, **more):
        at("committed", more["step"].partition("-")[0])
        publish(artefacts, folder, **more)

    def committing(ledger, position, record, folder):
        at("sealed", record.method)
        return commit(ledger, position, record, folder)

    scheduler.fm.publish, Ledger.commit = publishing, committing
    if "LAB_REMOVALS" in os.environ:
        scheduler.fm.clean_up = dying(scheduler.fm.clean_up, int(os.environ["LAB_REMOVALS"]))
