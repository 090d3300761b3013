"""Templates: each rule, each violation by name; types by reference."""

from __future__ import annotations

import collections
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.files.assignments import Assignment, Assignments
from mml_core.files.errors import AssignmentError, SavingPathError, UnknownKeyError
from mml_core.files.manager import MMLFileManager
from mml_core.files.object_types import is_instance_of


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/PROJ_PATH/A/x.json", "absolute"),
        ("C:/PROJ_PATH/x.json", "absolute"),
        ("DATA_PATH/A/x.json", "must begin with PROJ_PATH or TEMP_PATH"),
        ("A/x.json", "must begin with PROJ_PATH or TEMP_PATH"),
        ("", "must begin with"),
        ("PROJ_PATH", "a file must come last"),
        ("PROJ_PATH/A/TASK_NAME", "a file must come last"),
        ("PROJ_PATH/A/", "empty component"),
        ("PROJ_PATH//x.json", "empty component"),
        ("PROJ_PATH/../x.json", r"component '\.\.'"),
        ("PROJ_PATH/./x.json", r"component '\.'"),
        ("PROJ_PATH/FILE_NAME/x.json", "FILE_NAME may only come last"),
        ("PROJ_PATH/TEMP_PATH/x.json", "TEMP_PATH may only come first"),
        ("PROJ_PATH/A/RUN_NAME/x.json", "unknown placeholder 'RUN_NAME'"),
        ("PROJ_PATH/A/TASK_NAME.json", "TASK_NAME must be a whole component"),
        ("PROJ_PATH/A/x_FILE_NAME", "FILE_NAME"),
        ("PROJ_PATH/TASK_NAME/TASK_NAME/x", "TASK_NAME may be used once"),
        ("PROJ_PATH/A/x\n.json", "contains"),
        ("PROJ_PATH/A/x:y.json", "contains ':'"),
        ("PROJ_PATH/A/x\\y.json", "contains"),
        ("PROJ_PATH/.hidden/x", "begins with a dot"),
        ("PROJ_PATH/runs/x.json", "belongs to mml"),
        ("PROJ_PATH/Sweeps/x.json", "belongs to mml"),
        ("PROJ_PATH/.mml/x.json", "begins with a dot"),
        ("PROJ_PATH/A/x_0001.json", "like a number"),
    ],
)
def test_each_violation_is_named(path: str, problem: str) -> None:
    with pytest.raises(AssignmentError, match=problem) as caught:
        Assignment.parse("maps", path)
    assert "'maps'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_violations_are_named_at_once() -> None:
    with pytest.raises(AssignmentError) as caught:
        Assignment.parse("Maps", "PROJ_PATH/runs//TASK_NAME/TASK_NAME")
    for problem in (
        "a key consists of",
        "ends in a folder",
        "empty component",
        "used once",
        "belongs to mml",
    ):
        assert problem in str(caught.value)


@pytest.mark.parametrize("path", [None, 5, b"PROJ_PATH/A/x", ["PROJ_PATH"]])
def test_a_template_that_is_no_text_is_refused(path: Any) -> None:
    with pytest.raises(AssignmentError, match=f"texts, not str and {type(path).__name__}"):
        MMLFileManager.add_assignment_path(None, "maps", path)


def test_a_key_that_is_no_text_is_refused() -> None:
    key: Any = None
    with pytest.raises(AssignmentError, match="texts, not NoneType and str"):
        MMLFileManager.add_assignment_path(None, key, "PROJ_PATH/A/x")


@pytest.mark.parametrize("obj_cls", [list[int], (int, str), dict | None, 5, "torch.Tensor", "a:b c"])
def test_a_type_that_is_no_class_is_refused(obj_cls: Any) -> None:
    with pytest.raises(AssignmentError, match=r"neither a class nor a reference.*pkg\.mod:Name"):
        MMLFileManager.add_assignment_path(obj_cls, "maps", "PROJ_PATH/A/x")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("TEMP_PATH/x.json", "below TEMP_PATH"),
        ("PROJ_PATH/maps/TASK_NAME/x.json", "PROJ_PATH/<UPPER CASE>/TASK_NAME/<file>"),
        ("PROJ_PATH/TASK_NAME/x.json", "PROJ_PATH/<UPPER CASE>/TASK_NAME/<file>"),
        ("PROJ_PATH/A/B/TASK_NAME/x.json", "PROJ_PATH/<UPPER CASE>/TASK_NAME/<file>"),
    ],
)
def test_reusable_templates_have_one_form(path: str, problem: str) -> None:
    Assignment.parse("maps", path)
    with pytest.raises(AssignmentError, match=problem):
        Assignment.parse("maps", path, reusable=True)


@pytest.mark.parametrize(
    "path",
    [
        "PROJ_PATH/A/TASK_NAME/x.json",
        "PROJ_PATH/A/TASK_NAME/FILE_NAME",
        "PROJ_PATH/deep/er/x",
        Path("PROJ_PATH") / "A" / "x",
    ],
)
def test_legal_templates_are_taken(path: str | Path) -> None:
    Assignment.parse("maps", path, reusable=isinstance(path, Path))


@pytest.mark.parametrize("key", ["", "Maps", "1maps", "ma-ps", "clean_up", "a b"])
def test_keys_are_checked(key: str) -> None:
    with pytest.raises(AssignmentError, match="a key consists of"):
        Assignment.parse(key, "PROJ_PATH/A/x")


@given(
    st.text(max_size=40)
    | st.lists(
        st.sampled_from(["PROJ_PATH", "TEMP_PATH", "TASK_NAME", "FILE_NAME", "A", "..", "", "x.y"])
    ).map("/".join)
)
def test_g21_any_text_is_taken_or_refused_and_what_is_taken_stays_inside(path: str) -> None:
    try:
        assignment = Assignment.parse("maps", path)
    except AssignmentError:
        return
    assert assignment.parts[0] in ("PROJ_PATH", "TEMP_PATH")
    assert all(part not in ("", ".", "..") and "\\" not in part for part in assignment.parts)


def test_two_keys_with_one_path_are_refused() -> None:
    known = Assignments([Assignment.parse("a", "PROJ_PATH/A/TASK_NAME/x", provider="mml-p")])
    for path in ("PROJ_PATH/A/TASK_NAME/x", "PROJ_PATH/a/TASK_NAME/X", "PROJ_PATH/A/TASK_NAME/FILE_NAME"):
        with pytest.raises(AssignmentError, match=r"'a' of mml-p .* and 'b' of this process"):
            known.add(Assignment.parse("b", path))
    known.add(Assignment.parse("b", "PROJ_PATH/A/TASK_NAME/y"))


def test_a_key_is_defined_once_but_may_be_repeated() -> None:
    MMLFileManager.add_assignment_path(dict, "maps", "PROJ_PATH/MAPS/x.json")
    MMLFileManager.add_assignment_path(dict, "maps", Path("PROJ_PATH") / "MAPS" / "x.json")
    with pytest.raises(AssignmentError, match="'maps' is defined differently"):
        MMLFileManager.add_assignment_path(dict, "maps", "PROJ_PATH/MAPS/y.json")
    with pytest.raises(AssignmentError, match="'maps' is defined differently"):
        MMLFileManager.add_assignment_path(list, "maps", "PROJ_PATH/MAPS/x.json")


def test_unknown_keys_have_near_matches() -> None:
    with pytest.raises(UnknownKeyError, match="Did you mean 'parameters'"):
        Assignments([Assignment.parse("parameters", "PROJ_PATH/A/x")]).get("parameter")


@pytest.mark.parametrize("key", [None, 5, ["parameters"]])
def test_a_key_that_is_asked_for_is_a_text(key: Any) -> None:
    with pytest.raises(UnknownKeyError, match="A path key is a text"):
        Assignments([Assignment.parse("parameters", "PROJ_PATH/A/x")]).get(key)


def test_types_are_checked_by_reference() -> None:
    assignment = Assignment.parse("maps", "PROJ_PATH/A/x", obj_cls="collections:OrderedDict")
    assignment.check_type(collections.OrderedDict())
    with pytest.raises(SavingPathError, match="takes a collections:OrderedDict, not a builtins:dict"):
        assignment.check_type({})
    Assignment.parse("maps", "PROJ_PATH/A/x", obj_cls=dict).check_type(collections.OrderedDict())
    with pytest.raises(AssignmentError, match=r"pkg\.mod:Name"):
        Assignment.parse("maps", "PROJ_PATH/A/x", obj_cls="dict")


def test_re_exported_names_and_bases_count(tmp_path: Path) -> None:
    assert is_instance_of(Path(), "pathlib:PurePath")
    assert is_instance_of(collections.OrderedDict(), "collections:OrderedDict")
    assert is_instance_of({}, "collections.abc:Mapping")
    assert not is_instance_of({}, "no.such.module:Name")
    assert not is_instance_of({}, "collections:NoSuchName")


def test_a_reference_imports_nothing() -> None:
    program = (
        "import sys; from mml_core.files.object_types import is_instance_of;"
        "assert not is_instance_of({}, 'torch.nn:Module'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_torch_modules_are_known_by_their_public_name() -> None:
    torch = pytest.importorskip("torch")
    assert is_instance_of(torch.nn.Linear(1, 1), "torch.nn:Module")
    assert not is_instance_of(torch.zeros(1), "torch.nn:Module")


def test_the_file_manager_imports_no_torch_and_no_numpy() -> None:
    program = (
        "import sys; import mml_core.files.manager, mml_core.storage.leases;"
        "assert not {'torch', 'numpy', 'pyarrow', 'hydra'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
