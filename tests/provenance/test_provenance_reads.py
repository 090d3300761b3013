"""What of a config is read is noted, however it is read, and the config behaves as it did."""

from __future__ import annotations

import copy
import pickle
from collections import ChainMap
from collections.abc import Callable
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf, open_dict

from mml_core.config.reads import ABSENT, Reads, value_of

PLAIN = {
    "lr": 0.1,
    "group": {"a": 1, "b": {"c": 2, "d": None}, "also": "${lr}"},
    "tasks": ["x", "y"],
    "linked": "${group.b}",
    "text": "lr is ${group.a}",
    "odd": {"with.dot": 1, 7: 2},
    "empty": {},
    "none": None,
}


@pytest.fixture
def reads() -> Reads:
    return Reads()


@pytest.fixture
def cfg(reads: Reads) -> DictConfig:
    made = OmegaConf.create(copy.deepcopy(PLAIN))
    reads.track(made)
    return made


@pytest.mark.parametrize(
    ("read", "noted"),
    [
        (lambda cfg: cfg.lr, ["lr"]),
        (lambda cfg: cfg["lr"], ["lr"]),
        (lambda cfg: cfg.group.b.c, ["group.b.c"]),
        (lambda cfg: cfg.get("group").get("a"), ["group.a"]),
        (lambda cfg: OmegaConf.select(cfg, "group.b.c"), ["group.b.c"]),
        (lambda cfg: cfg.group.also, ["group.also", "lr"]),
        (lambda cfg: cfg.text, ["group.a", "text"]),
        (lambda cfg: cfg.linked.c, ["group.b.c", "linked"]),
        (lambda cfg: "a" in cfg.group, ["group.a"]),
        (lambda cfg: cfg.get("gone"), ["gone"]),
        (lambda cfg: OmegaConf.select(cfg, "group.gone.deeper"), ["group.", "group.gone"]),
        (lambda cfg: cfg.group is None, ["group."]),
        (lambda cfg: (cfg.get("group") or {}).get("a"), ["group.*", "group.a"]),
        (lambda cfg: len(cfg.empty), ["empty.*"]),
        (lambda cfg: cfg.tasks[0], ["tasks"]),
        (lambda cfg: list(cfg.tasks), ["tasks"]),
        (lambda cfg: cfg.none, ["none"]),
        (lambda cfg: cfg.odd["with.dot"], ["odd"]),
        (lambda cfg: cfg.odd[7], ["odd"]),
        (lambda cfg: OmegaConf.create(PLAIN).group.b == cfg.group.b, ["group.b.*", "group.b.c", "group.b.d"]),
        (lambda cfg: ChainMap({"lr": 1}, cfg)["lr"], []),
        (lambda cfg: ChainMap({"lr": 1}, cfg).get("none", 0), ["none"]),
    ],
)
def test_a_value_is_noted_by_its_key(
    cfg: DictConfig, reads: Reads, read: Callable[[DictConfig], Any], noted: list[str]
) -> None:
    read(cfg)

    assert reads.take() == noted


@pytest.mark.parametrize(
    "hand_on",
    [
        lambda node: list(node),
        lambda node: list(node.keys()),
        lambda node: list(node.values()),
        lambda node: dict(node.items()),
        lambda node: dict(**node),
        lambda node: OmegaConf.to_container(node),
        lambda node: OmegaConf.to_yaml(node),
        lambda node: OmegaConf.create(node),
        lambda node: OmegaConf.create({"inner": node}),
        lambda node: OmegaConf.merge(node, {"a": 3}),
        lambda node: OmegaConf.masked_copy(node, ["a"]),
        lambda node: node == PLAIN["group"],
        lambda node: PLAIN["group"] == node,
        copy.copy,
        copy.deepcopy,
        lambda node: copy.deepcopy({"nested": [node]}),
        lambda node: node.copy(),
        str,
        repr,
        hash,
    ],
)
def test_a_node_that_is_handed_on_is_noted_as_a_whole(
    cfg: DictConfig, reads: Reads, hand_on: Callable[[DictConfig], Any]
) -> None:
    hand_on(cfg.group)

    assert "group" in reads.take()


def test_a_pickled_node_is_noted_with_all_it_can_be_resolved_by(cfg: DictConfig, reads: Reads) -> None:
    copied = pickle.loads(pickle.dumps(cfg.group))

    assert copied == PLAIN["group"] | {"also": 0.1}
    assert reads.take() == [""]


def test_a_node_that_is_kept_is_noted_when_it_is_read(cfg: DictConfig, reads: Reads) -> None:
    kept = cfg.group
    assert reads.take() == ["group."]

    assert kept.a == 1
    assert reads.take() == ["group.a"]


def test_a_copy_takes_no_notes(cfg: DictConfig, reads: Reads) -> None:
    copied = copy.deepcopy(cfg)
    reads.take()

    assert copied.group.a == 1
    assert reads.take() == []


def test_what_is_put_into_a_config_is_noted_as_a_whole(cfg: DictConfig, reads: Reads) -> None:
    with open_dict(cfg):
        cfg.group.new = {"e": 1}
    reads.take()

    assert cfg.group.new.e == 1
    assert reads.take() == ["group.new"]


def test_a_tracked_config_is_what_it_was(cfg: DictConfig) -> None:
    assert type(cfg) is DictConfig
    assert type(cfg.group.b) is DictConfig
    assert cfg == OmegaConf.create(PLAIN)
    assert cfg.linked.c == 2
    assert OmegaConf.to_container(cfg, resolve=True)["group"]["also"] == 0.1
    with pytest.raises(AttributeError):
        _ = cfg.group.b.gone.deeper
    OmegaConf.set_readonly(cfg, True)
    with pytest.raises(Exception, match="read-only"):
        cfg.lr = 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lr", 0.1),
        ("group.b", {"c": 2, "d": None}),
        ("group.b.d", None),
        ("group.b.e", ABSENT),
        ("lr.deeper", ABSENT),
        ("group.b.*", ["c", "d"]),
        ("group.", "<a node>"),
        ("none.", None),
        ("gone.*", ABSENT),
        ("", PLAIN),
    ],
)
def test_the_value_of_a_noted_key(key: str, value: Any) -> None:
    assert value_of(PLAIN, key) == value
