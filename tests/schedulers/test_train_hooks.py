"""What a scheduler that inherits from mode train may override around a training."""

from __future__ import annotations

import json

from safetensors.numpy import load_file

pytest_plugins = ["mml_core.testing.fixtures"]

PLUGIN = """
from mml_core.plugins import SchedulerSpec, hookimpl

MML_PLUGIN_API = 1

@hookimpl
def mml_schedulers():
    yield SchedulerSpec(name="frozen", target="mml_frozen.scheduler:Frozen", subroutines=("train",),
                        defaults={"folds": "all"})
"""
SCHEDULER = """
import torch
from mml_core.schedulers.train import TrainScheduler

class Frozen(TrainScheduler):
    def before_training(self, training):
        for parameter in training.model.network.parameters():
            parameter.requires_grad_(False)
        self.before = {name: each.clone() for name, each in training.model.network.named_parameters()}

    def after_training(self, training):
        network = dict(training.model.network.named_parameters())
        assert all(torch.equal(network[name], each) for name, each in self.before.items())
        del self.before
        with torch.no_grad():
            head = training.model.head(training.struct.name)
            head.bias.fill_(7.0 + training.holdout.fold)
"""


def test_the_hooks_frame_each_training_and_change_what_is_stored(
    mml, install, inline_plugin, mml_project
) -> None:
    install("a", num_folds=2)
    inline_plugin("frozen", PLUGIN, {"scheduler.py": SCHEDULER})
    result = mml(
        "run",
        "--mode=frozen",
        "--tasks=a",
        "trainer.max_epochs=1",
        "trainer.accelerator=cpu",
        "preprocessing=none",
    )
    assert result.code == 0, result.err
    biases = []
    for path in sorted(mml_project.path().glob("MODELS/a/*.json")):
        model = json.loads(path.read_text())
        weights = load_file(mml_project.path() / model["weights"])
        (bias,) = (value for name, value in weights.items() if name == "heads.task:a.bias")
        biases.append((model["fold"], set(bias.tolist())))
    assert biases == [(0, {7.0}), (1, {8.0})]
