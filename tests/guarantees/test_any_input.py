"""Whatever is given as template, task name, tag or JSON header comes back as it was, or is refused."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mml_core.cli.main import main
from mml_core.errors import MMLError
from mml_core.files.artefacts import ArtefactStore
from mml_core.files.assignments import Assignment
from mml_core.files.layout import Layout
from mml_core.files.targets import check_names, target_of
from mml_core.scheduling import sealed
from mml_core.tasks.description import TaskType
from mml_core.tasks.header import Sizes, TaskHeader, decode_header, encode_header
from mml_core.tasks.tags import parse_task_name

NASTY = (
    "..",
    ".",
    "/",
    "\\",
    ":",
    "\n",
    "\0",
    "~",
    "%2e%2e",
    "+",
    "?",
    "",
    " ",
    "CON",
    "ü",
    "\ud800",
    "$HOME",
)
ODD = st.text(max_size=30) | st.lists(st.sampled_from(NASTY) | st.text(max_size=4), max_size=6).map("".join)
PARTS = st.sampled_from(["PROJ_PATH", "TEMP_PATH", "TASK_NAME", "FILE_NAME", "A", "x.y", *NASTY])
LEGAL = ("PROJ_PATH/A/TASK_NAME/FILE_NAME", "TEMP_PATH/TASK_NAME/x.y", "PROJ_PATH/FILE_NAME")
TEMPLATES = st.lists(PARTS, max_size=6).map("/".join) | st.sampled_from(LEGAL)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD, inner, max_size=3),
    max_leaves=6,
)


def is_refusal(error: MMLError) -> bool:
    """Whether a message can be read: it is there, and short however long what it refuses is."""
    return 0 < len(str(error)) < 2000


@given(TEMPLATES, st.none() | ODD, st.none() | ODD)
def test_g21_a_path_of_any_template_and_names_stays_in_the_project(
    template: str, task: str | None, file_name: str | None
) -> None:
    """Any template, task name and file name: refused, or a path inside of the project."""
    layout = Layout(Path("/results/proj"), "run")
    try:
        assignment = Assignment.parse("key", template)
        check_names(assignment, task, file_name)
        target = target_of(assignment, task, file_name, layout)
    except MMLError as error:
        assert is_refusal(error)
        return
    parts = PurePosixPath(target).parts
    assert not PurePosixPath(target).is_absolute()
    assert not {"..", ".", ""} & set(parts)
    assert all(len(part.encode()) <= 255 and "\0" not in part for part in parts)
    inside = (".mml", "temp", "run") if assignment.temporary else ()
    assert parts[: len(inside)] == inside
    assert assignment.temporary or parts[0].casefold() not in (".mml", "runs", "sweeps")


@given(ODD)
def test_g21_any_text_is_a_task_name_with_tags_or_refused(text: str) -> None:
    """Any text: refused, or task and tags that written again give the same text."""
    try:
        base, tags = parse_task_name(text)
    except MMLError as error:
        assert is_refusal(error)
        return
    written = "+".join([base, *map(str, tags)])
    assert text == written or text.partition(":")[2] == written
    assert "/" not in base
    assert base not in ("", ".", "..")
    assert all(not {"/", "\\", "\n", "\0"} & set(str(tag)) for tag in tags)


HEADER = TaskHeader(
    name="t",
    task_type=TaskType.CLASSIFICATION,
    dataset="d",
    idx_to_class={"0": "a", "1": "b"},
    channels=1,
    sizes=Sizes(min_height=1, min_width=1, max_height=2, max_width=2),
    means=[0.5],
    stds=[0.25],
    num_samples={"train": 3},
    num_folds=2,
)
FIELDS = sorted(TaskHeader.__struct_fields__)


@given(st.dictionaries(st.sampled_from(FIELDS) | ODD, JSON, max_size=3))
def test_g21_any_header_is_read_as_it_is_or_refused(changes: dict[str, Any]) -> None:
    """A header with any fields changed to any JSON: refused, or read and written the same."""
    try:
        data = msgspec.json.encode({**msgspec.to_builtins(HEADER), **changes})
    except (UnicodeEncodeError, msgspec.EncodeError):
        return  # no JSON
    try:
        header = decode_header(data, "task.json")
    except MMLError as error:
        assert is_refusal(error)
        return
    assert decode_header(encode_header(header), "again") == header
    assert "/" not in header.dataset


@given(st.binary(max_size=200))
def test_g21_any_bytes_are_no_header_no_record_and_no_provenance(tmp_path_factory: Any, data: bytes) -> None:
    """Any bytes in place of a header, a commit record or a provenance record: refused."""
    path = tmp_path_factory.getbasetemp() / "any-bytes.json"
    path.write_bytes(data)
    for read in (
        lambda: decode_header(data, path),
        lambda: sealed.read_sealed(path, "Start anew."),
        lambda: ArtefactStore.read(path),
    ):
        with pytest.raises(MMLError) as refused:
            read()
        assert is_refusal(refused.value)


@settings(max_examples=25, deadline=None)
@given(
    option=st.sampled_from(
        ["--tasks", "--proj", "--mode", "--continue", "seed=", "reuse.models=", "+x=", ""]
    ),
    text=ODD.filter(lambda text: "\0" not in text and text.isprintable()),
)
def test_g21_any_text_on_the_command_line_costs_no_traceback(
    tmp_path_factory: Any, option: str, text: str
) -> None:
    """Any text as task, project, mode, run or value: done, or refused."""
    root = tmp_path_factory.mktemp("any")
    (root / "work").mkdir()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(io.StringIO()) as err:
        patch.chdir(root / "work")
        patch.setenv("MML_DATA_PATH", str(root / "in" / "data"))
        patch.setenv("MML_RESULTS_PATH", str(root / "in" / "results"))
        given = [option + text] if option.endswith("=") else [option, text]
        code = main(["run", *([] if option == "--mode" else ["--mode=info"]), *given])
    assert code in (0, 2), (given, code, err.getvalue())
    assert "Traceback" not in err.getvalue()
    assert "unexpected" not in err.getvalue()
    assert code == 0 or err.getvalue().count("\n") == 1
    assert sorted(path.name for path in root.iterdir()) in (["work"], ["in", "work"])
    assert list((root / "work").iterdir()) == []
    assert not (root / "in" / "results").exists()
