"""The example of timm, first weights and adapters does what it says."""

import re

import pytest


@pytest.mark.long  # seven commands, each a process of its own
def test_adapters_learn_on_top_of_the_weights_of_another_training(run_example) -> None:
    done = run_example("models.sh")
    shown = done.stdout[done.stdout.rindex("mml models show") :]
    found = {
        name: int(count) for name, count in re.findall(r"(trainable parameters|parameters) +(\d+)", shown)
    }
    assert 0 < found["trainable parameters"] < found["parameters"]
    assert re.search(r"began with +/.*/results/first/PARAMETERS/digits_parity/model_0001", shown)
    accuracy = re.search(r"val/accuracy: ?([\d.]+)|metric val/accuracy +([\d.]+)", shown)
    assert accuracy is not None
    assert float(accuracy[1] or accuracy[2]) > 0.3  # a tenth by chance
