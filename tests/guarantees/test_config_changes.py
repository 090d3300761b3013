"""What may change of a run that was begun, key by key: what cannot change results, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from mml_core.config.compose import compose
from mml_core.plugins import PluginManager
from mml_core.scheduling.continuing import OverrideRefusedError, apply_overrides

Tell = Callable[[str], None]

FREE = re.compile(
    r"(executor(?!\.threads)|logging|callbacks\.(progress|checkpoint)|reuse\.auto|on_error|retries|debug)\b.*"
    r"|loader\.(cache|num_workers|persistent_workers|pin_memory|prefetch_factor)|trainer\.enable_progress_bar"
)
"""Keys that cannot change what a run computes."""


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key of a config that has no keys below it, with its value."""
    if isinstance(node, dict) and node:
        for name, value in node.items():
            yield from leaves(value, f"{key}.{name}" if key else name)
    else:
        yield key, node


def another(value: Any) -> str:
    """Return the text of a value that a key could have instead."""
    if isinstance(value, bool):
        return str(not value).lower()
    if isinstance(value, (int, float)):
        return str(value + 1)
    return {str: "other", list: "[other]", dict: "{other: 1}"}.get(type(value), "1")


@pytest.fixture(scope="module")
def plugins() -> PluginManager:
    return PluginManager.discover()


@pytest.fixture(scope="module")
def stored(plugins: PluginManager) -> DictConfig:
    """The config of a training as a run stores it."""
    return OmegaConf.create(OmegaConf.to_container(compose(["mode=train"], plugins), resolve=True))


def test_g17_every_key_that_can_change_results_is_refused_by_name_with_both_values(
    stored: DictConfig, plugins: PluginManager, tell: Tell
) -> None:
    """Each key of the config of a training is changed: taken if it cannot change results, else named."""
    refused, taken = [], []
    for key, value in leaves(OmegaConf.to_container(stored)):
        new = another(value)
        if FREE.fullmatch(key):
            changed = apply_overrides(stored, [f"{key}={new}"], plugins)
            assert OmegaConf.select(changed, key) != value
            taken.append(key)
            continue
        with pytest.raises(OverrideRefusedError) as error:
            apply_overrides(stored, [f"{key}={new}"], plugins)
        was = f"{key}.other was None" if value == {} else f"{key} was {value!r}"
        assert f"{was} when the run began and cannot become" in str(error.value)
        refused.append(key)
        assert apply_overrides(stored, [f"{key}={text_of(value)}"], plugins) == stored, key
    both = [f"seed={another(42)}", "loader.num_workers=3", "optimizer=sgd"]
    with pytest.raises(
        OverrideRefusedError, match=r"seed was 42 .*; optimizer\.name was 'adamw' .*; optimizer\."
    ):
        apply_overrides(stored, both, plugins)
    tell(f"{len(refused)} keys refused, {len(taken)} taken")
    assert len(refused) > 100
    assert len(taken) > 5


def text_of(value: Any) -> str:
    """Return the text by which a user says what the config has already."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{text_of(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


CLASSES = {
    "mode.value=1": "mode.value was 0 when the run began and cannot become 1",
    "seed=1": "seed was 42 when the run began and cannot become 1",
    "task_list=[a]": "task_list was [] when the run began and cannot become ['a']",
    "optimizer=adam": "optimizer.name was 'adamw' when the run began and cannot become 'adam'",
    "trainer.devices=2": "trainer.devices was",
    "executor.threads=2": "executor.threads was 1 when the run began and cannot become 2",
    "reuse.drawn=default": "reuse.drawn was None when the run began and cannot become 'default'",
    "+reuse.clean_up.drawn=true": "reuse.clean_up.drawn was",
    "+new.key=1": "new.key was",
}


def test_g17_a_refused_change_leaves_the_run_as_it_was(lab: Any, mml: Any, tell: Tell) -> None:
    """One of each class of keys on the command line: exit code 2, one line, and the run can be continued."""
    assert lab.run("draw", "fail_once").code == 1
    (run,) = lab.project.runs()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "log.txt"}
    for override, words in CLASSES.items():
        refused = mml("run", "--continue", override)
        assert (refused.code, words in refused.err) == (2, True), (override, refused)
        assert refused.err.count("\n") == 1
    assert {path: path.read_bytes() for path in before} == before
    lab.mark("mended")
    free = ("executor=processes", "executor.workers=1", "executor.preload=[]", "loader.num_workers=2")
    assert lab.go_on(*free).code == 0
    assert lab.ran("draw") == {"draw-0": 1}
    tell(f"{len(CLASSES)} classes of keys")
