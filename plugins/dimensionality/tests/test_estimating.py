"""Estimates of one task: densities, duplicates, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from mml_dimensionality.estimating import TooFewSamplesError, estimate
from mml_dimensionality.options import Options

from mml_core.api import OptionError

POINTS = np.random.default_rng(0).standard_normal((400, 3))
GIVEN = {"estimators": ["mle", "two_nn"], "mle": {"first": 4, "last": 8}, "two_nn": {}, "scales": [1, 2]}


def options(**changes) -> Options:
    return Options.from_config({**GIVEN, **changes})


def test_there_is_one_for_each_estimator_and_scale():
    found = estimate("a", POINTS, options(), seed=1)
    assert [(each.scale, each.estimator) for each in found] == [
        (1, "mle"),
        (1, "two_nn"),
        (2, "mle"),
        (2, "two_nn"),
    ]
    assert [each.samples for each in found] == [400, 400, 200, 200]
    assert [each.spread is None for each in found] == [True, True, False, False]


def test_a_scale_is_estimated_the_same_whatever_other_scales_there_are():
    both, alone = (estimate("a", POINTS, options(scales=scales), seed=1) for scales in ([1, 2], [2]))
    assert both[2:] == alone


def test_parts_follow_from_the_seed():
    first, again, other = (estimate("a", POINTS, options(scales=[4]), seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first[0].dimension != other[0].dimension


def test_samples_that_occur_again_change_nothing_but_their_number():
    once, twice = (
        estimate("a", points, options(), seed=1) for points in (POINTS, np.concatenate([POINTS, POINTS[:50]]))
    )
    assert [each.dimension for each in twice] == [each.dimension for each in once]
    assert {each.duplicates for each in twice} == {50}


def test_an_infinite_estimate_is_none():
    found = estimate("a", np.eye(60), options(scales=[1]), seed=1)
    assert [(each.dimension, each.spread) for each in found] == [(None, None)] * 2


def test_too_few_different_samples_are_refused():
    points = np.concatenate([POINTS[:17]] * 3)
    with pytest.raises(TooFewSamplesError, match="Task 'a' has 17 different samples, and 18 are needed"):
        estimate("a", points, options(), seed=1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"estimators": ["mlee"]}, "Did you mean 'mle'"),
        ({"estimators": []}, r"mode.estimators is \[\]; write a list"),
        ({"estimators": "mle"}, "write a list"),
        ({"estimators": ["mle", "mle"]}, "name each once"),
        ({"mle": {"fisrt": 4}}, r"mode.mle.fisrt.*Did you mean 'first'"),
        ({"mle": {"first": 1}}, "mode.mle.first is 1; write a whole number from 2"),
        ({"mle": {"first": 9, "last": 8}}, "mode.mle.last is 8; write a whole number from 9"),
        ({"two_nn": {"discard": 1}}, "mode.two_nn.discard is 1; write a share"),
        ({"two_nn": {"discard": True}}, "write a share"),
        ({"scales": [0]}, "mode.scales is 0; write a whole number from 1"),
        ({"scales": [2, 2]}, "name each once"),
    ],
)
def test_impossible_options_are_refused(changes, said):
    with pytest.raises(OptionError, match=said):
        options(**changes)
