"""The contract of plugins names each way to break it; the tests of each plugin that ships hold it to that."""

from __future__ import annotations

import pytest

from mml_core.testing import PluginContract

pytest_plugins = ["mml_core.testing.fixtures"]


GOOD = """
from mml_core.plugins import *
from mml_core.plugins import hookimpl

MML_PLUGIN_API = 1

@hookimpl
def mml_path_assignments():
    return [PathAssignment(key="wrong", path="PROJ_PATH/WRONG/TASK_NAME/FILE_NAME", type="builtins:dict")]
"""
TARGETS = """
from mml_core.api import AbstractBaseScheduler

class Scheduler(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])

class NoExecutor:
    def __init__(self, cfg): ...
    def start(self, run_dir, step_id, resources): ...

def create(target): ...
def apply(task, amount, *, seed): ...
number = 3
"""


def yielding(hook: str, record: str) -> str:
    """Text of a hook that yields one record."""
    return f"{GOOD}\n@hookimpl\ndef mml_{hook}():\n    yield {record}\n"


FAULTS = {
    "a heavy import": (
        f"import numpy\n{GOOD}",
        "test_its_hook_module_is_light",
        "import mml_wrong.plugin pulls in numpy",
    ),
    "an import that fails": (
        f"import nowhere\n{GOOD}",
        "test_it_is_active_without_a_warning",
        "mml-plugin-wrong is import-failed: its import raised ModuleNotFoundError",
    ),
    "a forgotten mark": (
        f"{GOOD}\ndef mml_tags():\n    return []\n",
        "test_it_is_active_without_a_warning",
        "its function mml_tags is not decorated",
    ),
    "a name that is not there": (
        yielding("tags", 'TagSpec(name="t", apply="mml_wrong.targets:aply", summary="s")'),
        "test_every_reference_leads_to_what_it_must_be",
        "tag 't': .*has no 'aply'.* Did you mean 'apply'",
    ),
    "a tag with other arguments": (
        yielding("tags", 'TagSpec(name="t", apply="mml_wrong.targets:apply", args=("a", "b"), summary="s")'),
        "test_every_reference_leads_to_what_it_must_be",
        r"tag 't': apply\(task, amount, \*, seed\) is called as apply\(task, a, b, seed\): too many",
    ),
    "a dataset that takes no sources": (
        yielding("datasets", 'DatasetSpec(name="d", create="mml_wrong.targets:create")'),
        "test_every_reference_leads_to_what_it_must_be",
        r"dataset 'd': create\(target\) is called as create\(target, sources\)",
    ),
    "a scheduler that is none": (
        yielding("schedulers", 'SchedulerSpec(name="s", target="mml_wrong.targets:create")'),
        "test_every_reference_leads_to_what_it_must_be",
        "mode 's': names <function create.*no subclass of AbstractBaseScheduler",
    ),
    "half an executor": (
        yielding("executors", 'ExecutorSpec(name="e", target="mml_wrong.targets:NoExecutor")'),
        "test_every_reference_leads_to_what_it_must_be",
        "executor 'e': NoExecutor has no method poll",
    ),
    "a check that cannot be called": (
        yielding("health_checks", 'HealthCheck(name="h", run="mml_wrong.targets:number")'),
        "test_every_reference_leads_to_what_it_must_be",
        "health check 'h': names 3, which cannot be called",
    ),
    "a type that is none": (
        GOOD.replace("builtins:dict", "mml_wrong.targets:number"),
        "test_every_reference_leads_to_what_it_must_be",
        "path key 'wrong': 'mml_wrong.targets:number' is 3, which is no type",
    ),
    "a task without its dataset": (
        yielding(
            "tasks",
            'TaskSpec(name="t", dataset="none", create="mml_wrong.targets:apply", task_type="regression")',
        ),
        "test_every_task_has_its_dataset",
        "task 't': There is no dataset 'none'",
    ),
    "a mode with a default that is refused": (
        yielding("config_dirs", 'ConfigDir(package="mml_wrong")'),
        "test_its_modes_and_options_compose",
        r"\+wrong=broken: ",
    ),
    "a key without comment": (
        yielding("config_dirs", 'ConfigDir(package="mml_wrong")'),
        "test_every_key_of_its_config_has_a_comment",
        "wrong/broken.yaml: no comment stands above 'bare: 1'",
    ),
    "a path key of mml": (
        GOOD.replace('key="wrong"', 'key="models"'),
        "test_it_is_active_without_a_warning",
        "mml-plugin-wrong is conflicted: .*models",
    ),
    "no summary and no licence": (
        yielding("datasets", 'DatasetSpec(name="d", create="mml_wrong.targets:create")'),
        "test_everything_has_a_summary",
        "dataset 'd' has no summary\ndataset 'd' has no license",
    ),
}


@pytest.fixture
def wrong(inline_plugin):
    """Install a plugin from text, and return its contract."""

    def install(source: str) -> PluginContract:
        broken = "# commented\nfine: 1\nbare: 1\n# not there\nother: ${nowhere:1}\ndefaults: [nothing]\n"
        inline_plugin("wrong", source, {"targets.py": TARGETS, "conf/wrong/broken.yaml": broken})

        class Contract(PluginContract):
            plugin = "wrong"

        return Contract()

    return install


@pytest.mark.parametrize(("source", "test", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named(wrong, tmp_path, source, test, message):
    arguments = [tmp_path] if "compose" in test or "expand" in test else []
    with pytest.raises(AssertionError, match=message):
        getattr(wrong(source), test)(*arguments)


def test_a_plugin_that_is_not_installed_is_named():
    class Contract(PluginContract):
        plugin = "mml-plugin-nowhere"

    with pytest.raises(AssertionError, match="No distribution 'mml-plugin-nowhere' is installed"):
        Contract().test_it_is_found_by_its_metadata_alone()


def test_a_good_plugin_has_no_fault(wrong, tmp_path):
    contract = wrong(GOOD)
    for name in dir(contract):
        if name.startswith("test_"):
            arguments = [tmp_path] if "compose" in name or "expand" in name else []
            getattr(contract, name)(*arguments)


def test_a_plugin_of_commands_alone_has_no_fault(fake_distribution, tmp_path):
    """It has no hook module, so nothing is asked of one."""
    command = "def add_arguments(parser): ...\ndef run(args): return 0\n"
    points = {"mml.commands": {"alone": "mml_alone.command"}}
    fake_distribution("mml-plugin-alone", entry_points=points, files={"mml_alone/command.py": command})
    contract = type("Contract", (PluginContract,), {"plugin": "alone"})()
    for name in dir(contract):
        if name.startswith("test_"):
            arguments = [tmp_path] if "compose" in name or "expand" in name else []
            getattr(contract, name)(*arguments)
