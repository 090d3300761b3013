"""The executor ``processes`` does what every executor has to do."""

from mml_core.testing.executors import ExecutorContract

pytest_plugins = ["mml_core.testing.fixtures"]


class TestProcesses(ExecutorContract):
    executor = "processes"
    options = ("executor.workers=2", "executor.preload=[]")
