"""The Fisher information of a backbone's weights equals closed forms, and says which tasks are alike."""

from __future__ import annotations

import gc
from dataclasses import replace
from weakref import WeakSet

import numpy as np
import pytest
import torch
from mml_similarity.distances.fisher import fisher_distance
from mml_similarity.fisher_file import (
    EmbeddingFileError,
    TaskEmbedding,
    load_embedding,
    require_comparable,
    save_embedding,
)
from mml_similarity.heads import HeadError, LinearHead, fit_head
from mml_similarity.network_fisher import BackboneError, FisherViewer
from scipy.special import expit, log_softmax, softmax
from torch import nn

from mml_core.api import Features


@pytest.fixture
def random():
    return np.random.default_rng(0)


def head_of(random, likelihood, *, width=3, outputs=3):
    return LinearHead(
        likelihood=likelihood,
        weights=random.normal(size=(width, outputs)),
        constant=random.normal(size=outputs),
        variance=random.uniform(0.5, 2, outputs) if likelihood == "gaussian" else None,
    )


def viewed(network, head, images, *, batch=4, **options):
    viewer = FisherViewer(network, head, **options)
    for number, part in enumerate(torch.as_tensor(images).split(batch)):
        viewer.predict_step({"image": part}, number)
    return viewer


def convolutional():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.ConvTranspose2d(4, 6, 2, groups=2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(6, 3),
    ).double()  # fmt: skip


# -- the information


def test_of_a_linear_layer_under_a_softmax_it_is_the_closed_form(random):
    # z = V'(Wx + b) + c: F of W[u, d] is E_x[x_d² · v_u' (diag(p) - pp') v_u]
    layer, head = nn.Linear(5, 3).double(), head_of(random, "softmax")
    x = random.normal(size=(7, 5))
    chances = softmax(layer(torch.from_numpy(x)).detach().numpy() @ head.weights + head.constant, axis=1)
    of_unit = chances @ (head.weights.T**2) - (chances @ head.weights.T) ** 2  # (N, U)
    expected = (of_unit[:, :, None] * x[:, None, :] ** 2).mean(axis=(0, 2))
    found = viewed(layer, head, x)
    assert found.information == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert found.filters == [("", 0), ("", 1), ("", 2)]
    assert found.samples == 7


def log_likelihood(head, outputs, target):
    if head.likelihood == "softmax":
        return outputs.log_softmax(0)[target]
    if head.likelihood == "bernoulli":
        return -nn.functional.binary_cross_entropy_with_logits(outputs, target, reduction="sum")
    return -((outputs - target) ** 2 / torch.from_numpy(head.variance) / 2).sum()


def targets_of(head, outputs):
    """All targets with their chances; of a Gaussian those of a quadrature that is exact for squares."""
    values = outputs.detach().numpy()
    if head.likelihood == "softmax":
        return list(enumerate(softmax(values)))
    corners = np.array(np.meshgrid(*[[0.0, 1.0]] * len(values))).reshape(len(values), -1).T
    if head.likelihood == "bernoulli":
        p = expit(values)
        return [(torch.from_numpy(y), np.prod(np.where(y > 0, p, 1 - p))) for y in corners]
    away = (2 * corners - 1) * np.sqrt(head.variance)
    return [(torch.from_numpy(values + each), 1 / len(away)) for each in away]


@pytest.mark.parametrize("likelihood", ["softmax", "bernoulli", "gaussian"])
def test_of_a_deep_net_it_is_the_sum_over_samples_and_labels_by_autograd(random, likelihood):
    network, head = convolutional().eval(), head_of(random, likelihood)
    images = random.normal(size=(5, 1, 6, 6))
    found = viewed(network, head, images, batch=2)
    layers = [network[0], network[3], network[7]]
    weights = [layer.weight for layer in layers]
    total = [torch.zeros_like(each) for each in weights]
    for image in torch.from_numpy(images):
        outputs = network(image[None])[0] @ torch.from_numpy(head.weights) + torch.from_numpy(head.constant)
        for target, chance in targets_of(head, outputs):
            likelihood_of = log_likelihood(head, outputs, target)
            for part, gradient in zip(
                total, torch.autograd.grad(likelihood_of, weights, retain_graph=True), strict=True
            ):
                part += chance * gradient**2 / len(images)
    first, middle, last = (each.detach().numpy() for each in total)
    # a transposed convolution in two groups: (in, out / groups, ...) with two inputs and three outputs each
    expected = [
        *first.mean(axis=(1, 2, 3)),
        *middle[:2].mean(axis=(0, 2, 3)), *middle[2:].mean(axis=(0, 2, 3)),
        *last.mean(axis=1),
    ]  # fmt: skip
    assert found.information == pytest.approx(np.array(expected), rel=1e-6, abs=1e-12)
    assert {name for name, _ in found.filters} == {"0", "3", "7"}


@pytest.mark.parametrize("likelihood", ["softmax", "bernoulli", "gaussian"])
def test_labels_that_are_drawn_give_the_expectation_on_average(random, likelihood):
    head, outputs = head_of(random, likelihood), random.normal(size=3)
    roots, drawn = head.exact_roots(outputs), head.drawn_roots(outputs, 200_000, random)
    assert drawn.T @ drawn == pytest.approx(roots.T @ roots, abs=0.02)


def test_labels_are_drawn_by_the_seed(random):
    layer, head = nn.Linear(5, 3).double(), head_of(random, "softmax")
    x = random.normal(size=(6, 5))
    one, same, other = (viewed(layer, head, x, exact=2, seed=seed).information for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_batches_do_not_count_and_weights_stay(random):
    network, head = convolutional(), head_of(random, "softmax")
    images = random.normal(size=(5, 1, 6, 6))
    before = {name: each.clone() for name, each in network.state_dict().items()}
    one, two = (viewed(network, head, images, batch=size, exact=0) for size in (1, 5))
    assert np.array_equal(one.information, two.information)
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())


class Saved:
    """Holds an activation that a backward pass will need."""

    def __init__(self, tensor):
        self.tensor = tensor


def test_the_gradients_of_one_image_are_all_that_is_alive(random):
    activations, tensors, saved = [], [], WeakSet()

    class Counting(nn.Sequential):
        def forward(self, x):
            activations.append(len(saved))
            tensors.append(sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects()))
            return super().forward(x)

    def pack(tensor):
        held = Saved(tensor)
        saved.add(held)
        return held

    images = random.normal(size=(12, 1, 6, 6))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda held: held.tensor):
        viewed(Counting(*convolutional()), head_of(random, "softmax"), images, batch=12)
    assert activations == [0] * 12
    assert max(tensors[2:]) <= tensors[1]


def test_a_weight_that_features_do_not_depend_on_has_none(random):
    network = nn.Linear(5, 3).double()
    network.unused = nn.Linear(2, 2).double()
    found = viewed(network, head_of(random, "softmax"), random.normal(size=(3, 5)))
    assert not found.information[3:].any()
    assert found.information[:3].all()


def test_a_backbone_without_layers_is_refused(random):
    with pytest.raises(BackboneError, match="parameters=head"):
        FisherViewer(nn.Flatten(), head_of(random, "softmax"))


# -- the head


def task(values, targets, task_type="classification", classes=("a", "b", "c")):
    return Features(
        task="t",
        task_type=task_type,
        sample_ids=[str(row) for row in range(len(values))],
        splits=["train"] * len(values),
        values=np.asarray(values, dtype=np.float32),
        targets=targets,
        classes=classes,
    )


def test_a_head_takes_features_as_they_are_and_ignores_samples_without_label(random):
    values = random.normal(5, 3, size=(60, 4))
    labels = values[:, :3].argmax(axis=1)
    unknown = np.where(np.arange(60) < 50, labels, -1)
    head = fit_head(task(values, unknown), l2=1e-3)
    outputs = values @ head.weights + head.constant
    assert (outputs.argmax(axis=1) == labels).mean() > 0.9
    assert -log_softmax(outputs, axis=1)[np.arange(60), labels].mean() < 0.5


def test_a_head_of_values_knows_what_it_leaves(random):
    values = random.normal(size=(200, 2))
    noise = random.normal(size=200)
    target = 10 * (values[:, 0] + 0.5 * noise)
    head = fit_head(task(values, target[:, None].astype(np.float32), "regression", ()), l2=1e-6)
    left = (target - np.column_stack([values, np.ones(200)]) @ np.linalg.lstsq(
        np.column_stack([values, np.ones(200)]), target, rcond=None)[0]).var()  # fmt: skip
    assert head.variance == pytest.approx([left / target.var()], rel=1e-3)


def test_labels_that_no_sample_has_are_left_out(random):
    labels = np.column_stack([np.arange(20) % 2, np.full(20, np.nan)]).astype(np.float32)
    head = fit_head(task(random.normal(size=(20, 3)), labels, "multilabel", ("a", "b")), l2=0.1)
    assert head.weights.shape == (3, 1)


def test_a_task_without_targets_is_refused(random):
    with pytest.raises(HeadError, match="No sample of task 't' has a target"):
        fit_head(task(random.normal(size=(4, 3)), np.full(4, -1)), l2=0.1)


# -- what it is for


def embedded(network, images, labels):
    network = network.float()
    with torch.no_grad():
        values = network(torch.from_numpy(images)).numpy()
    return viewed(network, fit_head(task(values, labels), l2=0.01), images).information


def test_two_tasks_of_one_source_are_nearer_than_one_of_another():
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images[:120, None] / 16).astype(np.float32)
    labels = digits.target[:120]
    random = np.random.default_rng(1)
    stripes = np.stack([np.roll(np.tile([0, 0, 1, 1], (8, 2)), shift, 1) for shift in range(4)])
    kinds = random.integers(0, 3, 60)
    other = (stripes[kinds][:, None] + random.normal(0, 0.3, (60, 1, 8, 8))).astype(np.float32)
    network = convolutional().eval()
    one = embedded(network, images[:60], labels[:60] % 3)
    two = embedded(network, images[60:], labels[60:] % 3)
    far = embedded(network, other, kinds)
    assert fisher_distance(one, two) < fisher_distance(one, far)
    assert fisher_distance(one, two) < fisher_distance(two, far)


# -- the file


@pytest.fixture
def embedding():
    return TaskEmbedding(
        task="shapes", likelihood="softmax", samples=5, filters=[("0", 0), ("0", 1)],
        information=np.array([0.25, 3.0]), backbone={"kind": "model"},
        options={"l2": 0.01, "exact": 10, "draws": 1},
    )  # fmt: skip


def test_an_embedding_is_read_as_it_was_saved_and_equal_ones_give_equal_bytes(embedding, tmp_path):
    for name in ("one", "two"):
        save_embedding(tmp_path / name, embedding)
    found = load_embedding(tmp_path / "one")
    assert np.array_equal(found.information, embedding.information)
    for name in ("task", "likelihood", "samples", "filters", "backbone", "options"):
        assert getattr(found, name) == getattr(embedding, name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("content", [None, b"PAR1 and more"])
def test_a_file_that_holds_no_embedding_is_named(tmp_path, content):
    path = tmp_path / "e.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EmbeddingFileError, match=r"e\.parquet"):
        load_embedding(path)


def test_information_that_is_no_number_is_not_saved(embedding, tmp_path):
    with pytest.raises(EmbeddingFileError, match="is not finite"):
        save_embedding(tmp_path / "e", replace(embedding, information=np.array([1.0, np.nan])))
    assert not (tmp_path / "e").exists()


def test_embeddings_of_different_backbones_or_options_are_refused(embedding):
    other = replace(embedding, task="other", backbone={"kind": "architecture"})
    with pytest.raises(EmbeddingFileError, match="'shapes' and 'other' come from different"):
        require_comparable([embedding, other], embedding.options)
    with pytest.raises(EmbeddingFileError, match=r"made with l2=0\.01; set mode.fisher so"):
        require_comparable([embedding], {**embedding.options, "l2": 1.0})
