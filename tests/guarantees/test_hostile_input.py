"""What comes from strangers is refused with a clear error, and nothing of it is ever executed."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pickle
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from mml_core.data.preprocessing import Preprocessing
from mml_core.data.sources import FileSource
from mml_core.errors import MMLError
from mml_core.files.manager import MMLFileManager
from mml_core.learning.checkpoints import AtomicCheckpointIO, CheckpointError, FitCheckpoints
from mml_core.learning.losses import build_loss
from mml_core.learning.pipeline import load_pipeline
from mml_core.learning.predictions import load_predictions
from mml_core.learning.weights import read_weights
from mml_core.plugins import PluginManager
from mml_core.scheduling import sealed
from mml_core.storage.hashing import sha256_bytes
from mml_core.tasks.header import encode_header
from mml_core.tasks.images import read_image
from mml_core.tasks.index import TaskIndex
from mml_core.tasks.models import ModelStorage

SMALL = Preprocessing(id="small", height=4, width=4, interpolation="bilinear", channels=None, fit="stretch")


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.marker}'",)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that is there once a payload was executed."""
    return tmp_path / "executed"


def torch_pickle(payload: object, *, new: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weights": payload}, buffer, _use_new_zipfile_serialization=new)
    return buffer.getvalue()


def numpy_pickle(payload: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([payload], dtype=object), allow_pickle=True)
    return buffer.getvalue()


PICKLES: dict[str, Callable[[object], bytes]] = {
    "pickle": pickle.dumps,
    "torch": lambda payload: torch_pickle(payload, new=True),
    "old torch": lambda payload: torch_pickle(payload, new=False),
    "numpy": numpy_pickle,
}
READERS: dict[str, Callable[[Path], object]] = {
    "model.safetensors": read_weights,
    "last.ckpt": lambda path: AtomicCheckpointIO().load_checkpoint(path),
    "predictions.parquet": load_predictions,
    "pipeline.yaml": load_pipeline,
    "image.npy": read_image,
    "image.png": read_image,
}


@pytest.mark.parametrize("kind", PICKLES)
@pytest.mark.parametrize("name", READERS)
def test_g21_a_pickle_under_another_name_is_refused(
    tmp_path: Path, marker: Path, name: str, kind: str
) -> None:
    """A pickle, torch's or NumPy's, lies where weights, a checkpoint, predictions … are expected."""
    path = tmp_path / name
    path.write_bytes(PICKLES[kind](Payload(marker)))
    with pytest.raises(MMLError, match=name.replace(".", r"\.")) as refused:
        READERS[name](path)
    assert "\n" not in str(refused.value)
    assert not marker.exists()


def test_the_payload_is_noticed_where_it_is_unpickled(marker: Path) -> None:
    pickle.loads(pickle.dumps(Payload(marker)))
    assert marker.exists()


def test_g21_a_checkpoint_that_carries_code_is_not_resumed_from(tmp_path: Path, marker: Path) -> None:
    """A checkpoint with a payload and the right hash at its end is left out."""
    checkpoints = FitCheckpoints(tmp_path / "own", [tmp_path / "earlier"])
    path = FitCheckpoints(tmp_path / "earlier").path_after(5)
    AtomicCheckpointIO().save_checkpoint({"state_dict": {}, "callbacks": Payload(marker)}, path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        AtomicCheckpointIO().load_checkpoint(path)
    assert checkpoints.newest_whole() is None
    assert not marker.exists()


NEEDED = "a subclass of AbstractBaseScheduler is needed"
TARGETS = ("os.system", "os:system", "subprocess.Popen", "builtins.exec", "hydra.utils.instantiate")


def test_g21_a_stored_config_that_names_a_function_is_refused(lab: Any, mml: Any, marker: Path) -> None:
    """A run directory from a stranger, whole by its hashes, names ``os.system`` as its scheduler."""
    assert lab.run("draw", "fail_once").code == 1
    (run,) = lab.project.runs()
    stored = (run / "config.yaml").read_text()
    plan = json.loads(sealed.read_sealed(run / "plan.json", ""))
    for target, command in product(TARGETS, (("run", "--continue"), ("work",))):
        text = stored.replace("mml_lab.scheduler.Lab", f"{target}\n    command: touch {marker}")
        assert "touch" in text
        (run / "config.yaml").write_text(text)
        changed = {**plan, "config_sha256": sha256_bytes(text.encode())}
        (run / "plan.json").write_bytes(sealed.seal(json.dumps(changed).encode()))
        refused = mml(*command, run.name)
        told = (refused.code, NEEDED in refused.err, refused.err.count("\n"))
        assert told == (2, True, 1), (target, refused)
    assert not marker.exists()


def test_g21_a_mode_from_a_folder_of_configs_is_a_scheduler_or_refused(
    lab: Any, mml: Any, tmp_path: Path, marker: Path
) -> None:
    """A folder of configs from a stranger has a mode whose scheduler is ``os.system``."""
    mode = tmp_path / "conf" / "mode" / "evil.yaml"
    mode.parent.mkdir(parents=True)
    mode.write_text(f"name: evil\nscheduler:\n  _target_: os.system\n  command: touch {marker}\n")
    refused = mml("run", "--config-dir", str(tmp_path / "conf"), "--mode=evil")
    assert (refused.code, "a subclass of AbstractBaseScheduler is needed" in refused.err) == (2, True), (
        refused
    )
    assert not marker.exists()


@pytest.mark.parametrize("name", ["os:system", "subprocess:getoutput", "builtins:exec", "torch:load"])
def test_g21_a_loss_that_is_no_module_is_refused(marker: Path, name: str) -> None:
    """A config names a function as loss, with arguments that would do harm."""
    for key in ("command", "cmd", "source", "f"):
        chosen = {"name": name, "kwargs": {key: f"touch {marker}"}}
        with pytest.raises(MMLError, match="loss"):
            build_loss("classification", {"classification": chosen})
    assert not marker.exists()


PIPELINES = {
    "yaml tag": "architecture: !!python/object/apply:os.system ['touch {marker}']",
    "yaml name": "architecture: !!python/name:os.system",
    "a function": "architecture: {name: 'os:system', kwargs: {command: 'touch {marker}'}}",
    "a dotted function": "architecture: {name: os.system, kwargs: {command: 'touch {marker}'}}",
}
REST = """
version: 1
in_channels: 1
image_size: [8, 8]
outputs: [{task: t, task_type: classification, classes: [a, b]}]
normalisation: {}
trained_on: {}
preprocessing: {}
"""


@pytest.mark.parametrize("kind", PIPELINES)
def test_g21_a_stored_pipeline_builds_registered_architectures_only(
    tmp_path: Path, marker: Path, kind: str
) -> None:
    """A pipeline file asks for an object by a YAML tag, or names a function as its architecture."""
    path = tmp_path / "pipeline.yaml"
    path.write_text(PIPELINES[kind].replace("{marker}", str(marker)) + REST)
    with pytest.raises(MMLError):
        load_pipeline(path).build(PluginManager.discover())
    assert not marker.exists()


OUTSIDE = ("../../../precious", "/etc/hostname", "PARAMETERS/../../../precious", "linked")


@pytest.mark.parametrize("place", OUTSIDE)
def test_g21_a_stored_model_that_leads_out_of_the_projects_is_refused(
    lab: Any, dots: str, place: str
) -> None:
    """A project from a stranger, whole by its hashes, has a model whose weights lie elsewhere."""
    precious = lab.project.root / "precious"
    precious.write_bytes(b"of the user")
    plugins, places = PluginManager.discover(), (lab.project.data, lab.project.results)

    def manager(project: str, **more: Any) -> MMLFileManager:
        return MMLFileManager(data=places[0], results=places[1], project=project, plugins=plugins, **more)

    with manager("strange") as fm:
        if place == "linked":
            (fm.project_path / "PARAMETERS").mkdir(parents=True)
            (fm.project_path / "PARAMETERS" / "linked").symlink_to(precious)
            place = "PARAMETERS/linked"
        model = ModelStorage(weights=precious, pipeline=precious, task=dots, fold=0)
        stored = {**dataclasses.asdict(model), "weights": place, "pipeline": place}
        fm.construct_saving_path(model, "models", dots).write_text(json.dumps(stored, default=str))
    with manager("mine", reuse={"models": "strange"}) as fm, pytest.raises(MMLError, match="model"):
        fm.load_struct(dots)


def test_g21_a_task_whose_files_lie_outside_of_its_dataset_is_refused(lab: Any, dots: str) -> None:
    """A task from a stranger names a dataset elsewhere, or images by absolute or climbing paths."""
    folder = lab.project.data / "tasks" / dots
    header = TaskIndex(lab.project.data).headers()[dots]
    for dataset in ("../../precious", "/etc", "..", ""):
        changed = msgspec.structs.replace(header, dataset=dataset)
        (folder / "task.json").write_bytes(encode_header(changed))
        with pytest.raises(MMLError, match="names the dataset"):
            TaskIndex(lab.project.data).get(dots)
    (folder / "task.json").write_bytes(encode_header(header))
    task = TaskIndex(lab.project.data).get(dots)
    samples = task.samples.take(np.arange(2)).with_columns({"image": ["/etc/hostname", "../../../precious"]})
    source = FileSource(samples, header, task.dataset_root, SMALL)
    for row in range(2):
        with pytest.raises(MMLError, match="lies outside of its dataset"):
            source.image(row)
