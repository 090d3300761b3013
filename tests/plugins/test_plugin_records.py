"""Records and hooks: what they hold, what they refuse, and that each hook says when it is called."""

import dataclasses
import inspect
import pickle
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mml_core import plugins
from mml_core.files.assignments import Assignment
from mml_core.files.errors import AssignmentError
from mml_core.plugins import RecordError, hookspecs
from mml_core.plugins.kinds import OBSERVING_HOOKS, RECORDS, REFERENCES

MINIMAL = {
    "SchedulerSpec": {"name": "x", "target": "a.b:C"},
    "PathAssignment": {"key": "x", "path": "PROJ_PATH/X/x.json"},
    "ConfigDir": {"package": "a.b"},
    "DatasetSpec": {"name": "x", "create": "a.b:c"},
    "TaskSpec": {"name": "x", "dataset": "d", "create": "a.b:c", "task_type": "regression"},
    "TagSpec": {"name": "x", "apply": "a.b:c"},
    "ArchitectureSpec": {"name": "X", "target": "a.b:c", "task_types": ("regression",)},
    "ExecutorSpec": {"name": "x", "target": "a.b:C"},
    "HealthCheck": {"name": "x", "run": "a.b:c"},
}
# The tables of the design: hook to record, fields in order; and the arguments of all other hooks.
DESIGN = {
    "mml_schedulers": "SchedulerSpec(name, target, subroutines=(), summary='', defaults={}, writes=True)",
    "mml_path_assignments": "PathAssignment(key, path, type=None, numbered=True, reusable=False)",
    "mml_config_dirs": "ConfigDir(package, path='conf')",
    "mml_datasets": "DatasetSpec(name, create, license='', summary='')",
    "mml_tasks": "TaskSpec(name, dataset, create, task_type, keywords=())",
    "mml_tags": "TagSpec(name, apply, args=(), summary='')",
    "mml_architectures": "ArchitectureSpec(name, target, task_types, summary='')",
    "mml_executors": "ExecutorSpec(name, target, summary='')",
    "mml_health_checks": "HealthCheck(name, run, summary='')",
}
LIFECYCLE = {
    "mml_find_task": ["name"],
    "mml_scheduler_created": ["scheduler"],
    "mml_step_started": ["scheduler", "run", "step"],
    "mml_step_finished": ["scheduler", "run", "step", "outcome"],
    "mml_metrics_logged": ["run", "step", "metrics"],
    "mml_trainer_callbacks": ["scheduler", "task"],
    "mml_run_started": ["run"],
    "mml_run_finished": ["run", "outcome"],
}
VIEWS = {
    "RunView": ["id", "project", "mode", "dir", "config"],
    "StepView": ["id", "name", "params", "arguments"],
    "MetricsView": ["fit", "epoch", "values"],
    "Outcome": ["ok", "value", "error", "seconds", "taken_from", "interrupted"],
    "Health": ["ok", "message"],
}
HOOKS = [name for name in vars(hookspecs) if name.startswith("mml_")]


def make(kind, **changes):
    return getattr(plugins, kind)(**{**MINIMAL[kind], **changes})


def written(record):
    fields = []
    for field in dataclasses.fields(record):
        if field.default is not dataclasses.MISSING:
            fields.append(f"{field.name}={field.default!r}")
        elif field.default_factory is not dataclasses.MISSING:
            fields.append(f"{field.name}={field.default_factory()!r}")
        else:
            fields.append(field.name)
    return f"{record.__name__}({', '.join(fields)})"


def test_hooks_and_records_are_those_of_the_design():
    assert {f"mml_{kind}": written(record) for kind, record in RECORDS.items()} == DESIGN
    takes = {name: list(inspect.signature(getattr(hookspecs, name)).parameters) for name in HOOKS}
    assert takes == {**{name: [] for name in DESIGN}, **LIFECYCLE}
    for name, fields in VIEWS.items():
        assert [field.name for field in dataclasses.fields(getattr(plugins, name))] == fields
    assert set(OBSERVING_HOOKS) == set(LIFECYCLE) - {"mml_find_task", "mml_trainer_callbacks"}


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_says_when_it_is_called_with_an_example_that_works(name):
    doc = inspect.getdoc(getattr(hookspecs, name))
    assert re.search(r"^Called ", doc, re.MULTILINE), "does not say when it is called"
    for argument in inspect.signature(getattr(hookspecs, name)).parameters:
        assert re.search(rf"^\s+{argument}: ", doc, re.MULTILINE), f"does not explain {argument}"
    example = doc.partition("Example:")[2]
    lines = example.splitlines()[3:]
    source = inspect.cleandoc("\n".join(lines))
    assert source.startswith("@hookimpl")
    space = {each: getattr(plugins, each) for each in plugins.__all__}
    exec(source, space)
    manager = plugins.PluginManager(builtin=False)
    example_plugin = type("Example", (), {name: staticmethod(space[name])})
    if name == "mml_config_dirs":
        (record,) = space[name]()
        assert isinstance(record, plugins.ConfigDir)
    else:
        assert name in manager.register(example_plugin, "example").hooks


@pytest.mark.parametrize("kind", MINIMAL)
def test_a_record_is_frozen_keyword_only_and_can_be_sent_to_a_process(kind):
    record = make(kind)
    first = next(iter(MINIMAL[kind]))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, first, "other")
    with pytest.raises(TypeError):
        getattr(plugins, kind)(*MINIMAL[kind].values())
    assert pickle.loads(pickle.dumps(record)) == record


NAMED = [kind for kind in MINIMAL if "name" in MINIMAL[kind]]
ALLOWED = set(string.ascii_lowercase + string.digits + "_.-")


def fits(name, kind):
    text = name.lower() if kind == "ArchitectureSpec" and name.isascii() else name
    return bool(text) and set(text) <= ALLOWED and text[0] not in "_.-"


@pytest.mark.parametrize("kind", NAMED)
@settings(max_examples=40)
@given(
    name=st.text(max_size=8) | st.text(string.ascii_letters + string.digits + "_.-\n", min_size=1, max_size=8)
)
def test_exactly_the_names_that_fit_are_taken(kind, name):
    if fits(name, kind):
        assert make(kind, name=name).name == name
    else:
        with pytest.raises(RecordError, match=rf"^{kind}: name=") as caught:
            make(kind, name=name)
        assert isinstance(caught.value, ValueError)
        assert len(str(caught.value).splitlines()) == 1


WORD = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)


@pytest.mark.parametrize("record", list(REFERENCES), ids=lambda record: record.__name__)
@settings(max_examples=40)
@given(
    module=st.lists(WORD, min_size=1, max_size=3).map(".".join), name=WORD, noise=st.sampled_from(" \n:./-")
)
def test_references_are_checked_as_text(record, module, name, noise):
    attribute, kind = REFERENCES[record], record.__name__
    assert getattr(make(kind, **{attribute: f"{module}:{name}"}), attribute) == f"{module}:{name}"
    for wrong in (
        module,
        f"{module}:",
        f":{name}",
        f"{module}:{name}{noise}",
        f"{noise}{module}:{name}",
        None,
        3,
    ):
        with pytest.raises(RecordError, match=f"{kind}: {attribute}="):
            make(kind, **{attribute: wrong})


@pytest.mark.parametrize(
    ("kind", "changes", "must"),
    [
        ("SchedulerSpec", {"subroutines": "all"}, "tuple of strings"),
        ("SchedulerSpec", {"subroutines": ("a", "a")}, "twice"),
        ("SchedulerSpec", {"summary": "two\nlines"}, "one line"),
        ("SchedulerSpec", {"writes": 1}, "True or False"),
        ("SchedulerSpec", {"defaults": {"a": object()}}, "JSON"),
        ("SchedulerSpec", {"defaults": {1: 2}}, "JSON"),
        ("SchedulerSpec", {"defaults": {"name": "y"}}, "leave 'name' to mml"),
        ("SchedulerSpec", {"defaults": [1]}, "mapping"),
        ("PathAssignment", {"key": "A"}, "a key consists of a-z"),
        ("PathAssignment", {"path": "/x"}, "must begin with PROJ_PATH or TEMP_PATH"),
        ("PathAssignment", {"path": "PROJ_PATH"}, "a file must come last"),
        ("PathAssignment", {"path": "PROJ_PATH/runs/../x_0001"}, r"mml; its file name ends like a number"),
        ("PathAssignment", {"path": "PROJ_PATH/x/TASK_NAME/y", "reusable": True}, "UPPER CASE"),
        ("PathAssignment", {"path": 3}, "must be text"),
        ("PathAssignment", {"type": "Module"}, "reference"),
        ("PathAssignment", {"numbered": None}, "True or False"),
        ("ConfigDir", {"package": "a-b"}, "dotted name"),
        ("ConfigDir", {"path": "../conf"}, "inside the package"),
        ("TaskSpec", {"task_type": "regresion"}, "Did you mean 'regression'"),
        ("TaskSpec", {"dataset": ""}, "letters"),
        ("ArchitectureSpec", {"task_types": ()}, "at least one"),
        ("ArchitectureSpec", {"task_types": ("pets",)}, "must come from"),
    ],
)
def test_each_rule_of_a_record_is_named(kind, changes, must):
    with pytest.raises(RecordError, match=must) as caught:
        make(kind, **changes)
    assert str(caught.value).startswith(f"{kind}: {next(iter(changes))}=")


PARTS = st.sampled_from(["PROJ_PATH", "TEMP_PATH", "TASK_NAME", "FILE_NAME", "A", "runs", "..", "", "x_0001"])


@given(
    key=st.sampled_from(["maps", "clean_up", ""]), parts=st.lists(PARTS, max_size=5), reusable=st.booleans()
)
def test_a_record_is_made_of_exactly_the_templates_that_the_file_manager_takes(key, parts, reusable):
    def taken(make, error):
        try:
            make()
        except error:
            return False
        return True

    path = "/".join(parts)
    as_record = taken(lambda: make("PathAssignment", key=key, path=path, reusable=reusable), RecordError)
    assert as_record is taken(lambda: Assignment.parse(key, path, reusable=reusable), AssignmentError)


def test_a_record_keeps_nothing_that_can_change():
    inner = {"depth": [1]}
    record = make("SchedulerSpec", defaults=inner, subroutines=["a", "b"])
    inner["depth"].append(2)
    assert record.defaults == {"depth": [1]}
    assert record.subroutines == ("a", "b")
