"""A training gives the losses of a plain PyTorch loop over the same net, order and seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mml_core.data.datamodule import create_datamodule
from mml_core.data.joint import JointDataModule
from mml_core.learning.module import MMLModule, Recipe
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.trainer import create_trainer
from mml_core.tasks.description import TaskDescription, TaskType
from mml_core.tasks.index import TaskIndex
from mml_core.testing.fixtures import MMLProject

pytest_plugins = ["mml_core.testing.fixtures"]
on_each_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])

STEPS = 20
LR = 0.05
CFG = {
    "preprocessing": {"id": "none"},
    "loader": {"batch_size": 8},
    "trainer": {"max_steps": STEPS, "max_epochs": -1, "limit_val_batches": 0},
    "callbacks": {"progress": "none"},
}
RECIPE = Recipe(
    optimizer={"name": "sgd", "lr": LR, "momentum": 0.9},
    loss={
        "classification": {"name": "cross_entropy"},
        "multilabel": {"name": "bce"},
        "regression": {"name": "mse"},
        "semantic_segmentation": {"name": "cross_entropy"},
    },
    task_weights={"b": 0.5},
)


class Backbone(nn.Module):
    feature_dim = 6

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3)
        self.norm = nn.BatchNorm2d(6)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(images)).relu().mean((2, 3))


def network(task_type: TaskType) -> nn.Module:
    torch.manual_seed(4)
    if task_type is TaskType.SEGMENTATION:
        return nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 2, 1))
    return Backbone()


def losses_of_mml(model: MMLModule, data: Any, folder: Any, device: str) -> list[float]:
    found: list[float] = []
    step = model.training_step

    def noting(batch: Any, batch_idx: int) -> Tensor:
        loss = step(batch, batch_idx)
        found.append(float(loss.detach()))
        return loss

    model.training_step = noting  # type: ignore[method-assign]
    trainer = create_trainer(CFG, default_root_dir=folder, accelerator=device)
    trainer.fit(model, datamodule=data)
    return found


class PlainData:
    """What a loop without mml sees: images and targets of the training rows, in mml's order."""

    def __init__(self, data: Any, device: str) -> None:
        self.order = data.train_dataloader().batch_sampler
        rows = data.rows("train")
        dataset = data.dataset("train")
        whole = dataset.__getitems__(range(len(rows)))
        images = (whole["image"].float() / 255 - 0.5) / 0.25  # the header's mean and deviation
        self.images, self.targets = images.to(device), whole["target"].to(device)

    def epochs(self) -> Iterator[tuple[Tensor, Tensor]]:
        for epoch in range(STEPS):
            self.order.set_epoch(epoch)
            for batch in self.order:
                yield self.images[batch.samples], self.targets[batch.samples]


def plain_loss(task_type: TaskType, outputs: Tensor, target: Tensor, all_targets: Tensor) -> Tensor:
    if task_type is TaskType.MULTILABEL:
        return functional.binary_cross_entropy_with_logits(outputs, target)
    if task_type is TaskType.REGRESSION:
        mean, std = all_targets.mean(), all_targets.std(correction=0)
        return functional.mse_loss(outputs, (target - mean) / std)
    return functional.cross_entropy(outputs, target.long())


def describe(project: MMLProject, name: str) -> tuple[TaskDescription, Any]:
    task = TaskIndex(project.data).get(name)
    return task, create_datamodule(CFG, task, data_root=project.data, fold=0, seed=11 + ord(name))


def fit_targets(model: MMLModule, task: TaskDescription, data: PlainData) -> None:
    if task.task_type is TaskType.REGRESSION:
        model.fit_targets(task.name, data.targets)


@on_each_device
@pytest.mark.parametrize(
    "task_type", [TaskType.CLASSIFICATION, TaskType.MULTILABEL, TaskType.REGRESSION, TaskType.SEGMENTATION]
)
def test_losses_of_one_task(install, mml_project, tmp_path, task_type, device) -> None:
    install("a", task_type)
    task, data = describe(mml_project, "a")
    plain_data = PlainData(data, device)
    model = MMLModule(network(task_type), [TaskOutput.of(task)], RECIPE)
    fit_targets(model, task, plain_data)
    head = nn.Identity() if task_type is TaskType.SEGMENTATION else nn.Linear(6, task.num_outputs)
    plain = nn.Sequential(network(task_type), head)
    plain.load_state_dict(dict(zip(plain.state_dict(), _network_and_head(model), strict=True)))
    plain.to(device)
    torch.use_deterministic_algorithms(False)  # a trainer before has set it; torch's loss of pixels refuses
    optimizer = torch.optim.SGD(plain.parameters(), lr=LR, momentum=0.9)
    expected = []
    for _, (images, target) in zip(range(STEPS), plain_data.epochs(), strict=False):
        optimizer.zero_grad()
        loss = plain_loss(task_type, plain(images), target, plain_data.targets)
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    found = losses_of_mml(model, data, tmp_path / "fit", device)
    assert len(found) == STEPS
    assert found == pytest.approx(expected, abs=1e-5)
    assert expected[-1] < expected[0]


def _network_and_head(model: MMLModule) -> list[Tensor]:
    state = model.state_dict()
    return [
        value.clone() for name, value in state.items() if not name.endswith(("target_mean", "target_std"))
    ]


@on_each_device
def test_losses_of_several_tasks_together(install, mml_project, tmp_path, device) -> None:
    install("a")
    install("b", TaskType.REGRESSION, samples=20, seed=1)
    tasks, modules = zip(*(describe(mml_project, name) for name in "ab"), strict=True)
    data = JointDataModule({"a": modules[0], "b": modules[1]}, strategy="longest", seed=3)
    plain_data = [PlainData(module, device) for module in modules]
    outputs = [TaskOutput.of(task) for task in tasks]
    model = MMLModule(network(TaskType.CLASSIFICATION), outputs, RECIPE)
    fit_targets(model, tasks[1], plain_data[1])
    backbone = network(TaskType.CLASSIFICATION)
    heads = [nn.Linear(6, output.width) for output in outputs]
    plain = nn.ModuleList([backbone, *heads])
    plain.load_state_dict(dict(zip(plain.state_dict(), _network_and_head(model), strict=True)))
    plain.to(device)
    optimizer = torch.optim.SGD(plain.parameters(), lr=LR, momentum=0.9)
    expected = []
    for _, parts in zip(
        range(STEPS), zip(*(each.epochs() for each in plain_data), strict=False), strict=False
    ):
        optimizer.zero_grad()
        loss = torch.zeros((), device=device)
        for weight, head, task, own, (images, target) in zip(
            (1.0, 0.5), heads, tasks, plain_data, parts, strict=True
        ):
            found = plain_loss(task.task_type, head(backbone(images)), target, own.targets)
            loss = loss + weight * found
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    assert losses_of_mml(model, data, tmp_path / "fit", device) == pytest.approx(expected, abs=1e-5)
