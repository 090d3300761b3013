"""A project folder, the built-in kinds of path assignments, and a runner in miniature."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mml_core.files.artefacts import Artefact
from mml_core.files.manager import MMLFileManager
from mml_core.plugins.records import PathAssignment

RECORDS = (
    PathAssignment(key="parameters", path="PROJ_PATH/PARAMETERS/TASK_NAME/model.safetensors", reusable=True),
    PathAssignment(
        key="models",
        path="PROJ_PATH/MODELS/TASK_NAME/model.json",
        type="mml_core.tasks.models:ModelStorage",
        reusable=True,
    ),
    PathAssignment(key="pipeline", path="PROJ_PATH/PIPELINES/TASK_NAME/pipeline.yaml", reusable=True),
    PathAssignment(key="predictions", path="PROJ_PATH/PREDICTIONS/TASK_NAME/FILE_NAME", reusable=True),
    PathAssignment(key="img_examples", path="PROJ_PATH/IMG_EXAMPLES/TASK_NAME/examples.png", numbered=False),
    PathAssignment(key="ranking", path="PROJ_PATH/RANKING/ranking.json", reusable=True),
    PathAssignment(key="temp", path="TEMP_PATH/FILE_NAME", numbered=False),
    PathAssignment(key="scratch", path="TEMP_PATH/TASK_NAME/scratch.bin"),
)


@dataclass
class Contribution:
    provider: str
    record: PathAssignment


@dataclass
class FakeRegistry:
    records: tuple[PathAssignment, ...]

    def items(self) -> list[Contribution]:
        return [Contribution("mml-core", record) for record in self.records]


@dataclass
class FakePlugins:
    path_assignments: FakeRegistry = field(default_factory=lambda: FakeRegistry(RECORDS))


@dataclass
class Project:
    root: Path

    def open(self, project: str = "proj", **options: Any) -> MMLFileManager:
        return MMLFileManager(
            data=self.root / "data",
            results=self.root / "results",
            project=project,
            plugins=FakePlugins(),
            **options,
        )

    def step(
        self, manager: MMLFileManager, name: str, work: Callable[[MMLFileManager], None], *, attempt: int = 1
    ) -> list[Artefact]:
        folder = manager.layout.attempts / f"{name}-{attempt}"
        with manager.attempt(folder, f"{manager.layout.run}/{name}") as current:
            work(manager)
            artefacts = current.seal()
        manager.publish(artefacts, folder, step=name)
        return artefacts

    def save(
        self,
        manager: MMLFileManager,
        key: str,
        content: bytes,
        *,
        step: str,
        task: str | None = "digits",
        **options: Any,
    ) -> Artefact:
        def work(fm: MMLFileManager) -> None:
            fm.construct_saving_path(b"", key, task_name=task, **options).write_bytes(content)

        return self.step(manager, step, work)[0]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(autouse=True)
def no_leftovers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(MMLFileManager, "_declared", {})
    monkeypatch.setattr(MMLFileManager, "_installed", [])
    yield
