"""timm's networks by name: shapes, layers, published weights; nothing is downloaded."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mml_timm.networks import TimmError
from mml_timm.published import HubError, UnfitWeightsError

from mml_core.config.compose import compose
from mml_core.learning.architectures import ArchitectureError, build_network, choose_architecture
from mml_core.learning.layers import layers_of
from mml_core.plugins import PluginManager

MANAGER = PluginManager.discover()
BUILD: Any = MANAGER.resolve(MANAGER.architectures.entry("mml-plugin-timm:timm"))
# The smallest of each kind: convolutions, a transformer of patches, one of windows, and mixtures.
QUICK = [
    "test_resnet",
    "test_vit",
    "test_convnext",
    "test_efficientnet",
    "test_byobnet",
    "test_nfnet",
    "test_mambaout",
    "test_coatnet",
    "test_vit_relpos",
]
# One of each further family, as small as it comes.
SLOW = [
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256",
    "maxvit_pico_rw_256",
    "pvt_v2_b0",
    "dla46x_c",
    "densenet121",
    "mobilenetv3_small_050",
    "hrnet_w18_small",
    "deit_tiny_distilled_patch16_224",
    "levit_128s",
    "regnetx_002",
    "edgenext_xx_small",
    "eva02_tiny_patch14_224",
    "xcit_nano_12_p16_224",
    "repvgg_a0",
    "coat_lite_tiny",
    "davit_tiny",
    "focalnet_tiny_srf",
    "tiny_vit_5m_224",
    "hiera_tiny_224",
    "gcvit_xxtiny",
    "twins_svt_small",
    "poolformer_s12",
    "visformer_tiny",
    "mvitv2_tiny",
    "ghostnet_050",
    "rdnet_tiny",
    "inception_next_atto",
    "starnet_s1",
    "fastvit_t8",
    "selecsls42",
    "convmixer_768_32",
    "nest_tiny",
    "vgg11",
    "sequencer2d_s",
    "volo_d1_224",
    "cait_xxs24_224",
    "naflexvit_base_patch16_gap",
    "beit_base_patch16_224",
]
MODELS = [*QUICK, *(pytest.param(model, marks=pytest.mark.long) for model in SLOW)]


def backbone(model: str, channels: int = 1, size: tuple[int, int] = (64, 64), **kwargs: Any) -> Any:
    return BUILD("classification", channels, 3, size, model=model, **kwargs)


def segmenter(model: str, channels: int = 1, size: tuple[int, int] = (64, 64), **kwargs: Any) -> Any:
    return BUILD("semantic_segmentation", channels, 3, size, model=model, **kwargs)


# -- shapes


@pytest.mark.parametrize("model", MODELS)
def test_a_backbone_puts_out_one_vector_per_image(model: str) -> None:
    network = backbone(model, channels=4).eval()
    with torch.inference_mode():
        assert network(torch.randn(2, 4, 64, 64)).shape == (2, network.feature_dim)


@pytest.mark.parametrize("decoder", ["unet", "fpn"])
@pytest.mark.parametrize("model", MODELS)
def test_a_segmenter_puts_out_logits_of_every_pixel_of_images_of_odd_sizes(model: str, decoder: str) -> None:
    network = segmenter(model, size=(70, 51), decoder=decoder).eval()
    with torch.inference_mode():
        assert network(torch.randn(2, 1, 70, 51)).shape == (2, 3, 70, 51)


def test_padding_does_not_change_the_logits_of_other_pixels() -> None:
    network, images = segmenter("test_resnet").eval(), torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network(images[..., :60, :62])[..., 0, 0], network(images_of(images))[..., 0, 0])


def images_of(images: torch.Tensor) -> torch.Tensor:
    cut = images[..., :60, :62]
    return torch.nn.functional.pad(cut, (0, 2, 0, 4), mode="replicate")


def test_a_net_of_one_size_pads_smaller_images_and_refuses_larger_ones() -> None:
    network = segmenter("test_vit", size=(64, 64)).eval()
    with torch.inference_mode():
        assert network(torch.randn(1, 1, 40, 64)).shape == (1, 3, 40, 64)
        with pytest.raises(TimmError, match="up to 64x64 pixels, found 80x64"):
            network(torch.randn(1, 1, 80, 64))


def test_images_of_a_size_that_a_backbone_cannot_take_are_refused_when_it_is_built() -> None:
    with pytest.raises(TimmError, match=r"'test_vit' does not take images of 70x50 pixels .* multiple of 32"):
        backbone("test_vit", size=(70, 50))


@pytest.mark.parametrize("model", QUICK)
@pytest.mark.parametrize("build", [backbone, segmenter], ids=["backbone", "segmenter"])
def test_every_parameter_is_trained_deterministically(build: Any, model: str) -> None:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        network = build(model)
        network(torch.randn(2, 1, 64, 64)).square().sum().backward()
    finally:
        torch.use_deterministic_algorithms(before)
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


# -- layers


@pytest.mark.parametrize("model", QUICK)
@pytest.mark.parametrize("build", [backbone, segmenter], ids=["backbone", "segmenter"])
def test_layers_hold_each_parameter_once_and_begin_at_the_input(build: Any, model: str) -> None:
    network = build(model)
    layers = layers_of(network)  # refuses a parameter in none or in two
    first, *_, last = layers
    assert len(layers) >= 5
    assert any(word in " ".join(first.prefixes) for word in ("conv", "stem", "patch_embed", "cls_token"))
    assert (last.name == "decoder.finish") == (build is segmenter)


def test_telling_the_layers_leaves_the_random_numbers_alone() -> None:
    network = backbone("test_resnet")
    before = torch.get_rng_state()
    network.layer_groups()
    assert torch.equal(torch.get_rng_state(), before)


# -- published weights


def published(model: str) -> dict[str, torch.Tensor]:
    import timm

    tensors: dict[str, torch.Tensor] = timm.create_model(model).state_dict()
    return tensors


@pytest.mark.parametrize("model", QUICK)
@pytest.mark.parametrize("build", [backbone, segmenter], ids=["backbone", "segmenter"])
def test_published_weights_fill_the_whole_net(build: Any, model: str) -> None:
    network = build(model, channels=3, size=(160, 160))
    tensors, own = published(model), network.net.state_dict()
    found = network.fit_weights(tensors)
    assert found.keys() == own.keys()
    assert {name: tensor.shape for name, tensor in found.items()} == {n: t.shape for n, t in own.items()}


def test_the_first_convolution_sums_colours_for_grey_images() -> None:
    tensors = published("test_resnet")
    found = backbone("test_resnet", channels=1).fit_weights(tensors)
    torch.testing.assert_close(found["conv1.0.weight"], tensors["conv1.0.weight"].sum(1, keepdim=True))


def test_embeddings_of_positions_follow_the_size_of_the_images() -> None:
    network = backbone("test_vit", channels=3, size=(96, 96))
    assert network.fit_weights(published("test_vit"))["pos_embed"].shape == network.net.pos_embed.shape


def test_fitting_changes_nothing_of_the_network() -> None:
    network = backbone("test_resnet")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.fit_weights(published("test_resnet"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_weights_of_another_net_are_refused() -> None:
    network = backbone("test_vit")
    tensors = {**published("test_vit"), "patch_embed.proj.weight": torch.zeros(7, 5, 2, 2)}
    with pytest.raises(UnfitWeightsError, match="no weights of timm's 'test_vit' for images of 1 channels"):
        network.fit_weights(tensors)


def test_offline_the_hub_is_not_asked_and_the_error_says_what_to_do(tmp_path: Path) -> None:
    probe = (
        "from mml_core.plugins import PluginManager\n"
        "plugins = PluginManager.discover()\n"
        "build = plugins.resolve(plugins.architectures.entry('mml-plugin-timm:timm'))\n"
        "build('classification', 1, 3, (64, 64), model='test_resnet').published_weights()\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", probe], env=environment, capture_output=True, text=True)
    assert (
        "The weights of 'test_resnet.r160_in1k' are not on this machine and cannot be downloaded"
        in done.stderr.splitlines()[-1]
    )
    assert "hf download timm/test_resnet.r160_in1k model.safetensors" in done.stderr.splitlines()[-1]


def test_a_net_without_published_weights_says_so() -> None:
    network = backbone("resnet18")
    network.net.pretrained_cfg = {**network.net.pretrained_cfg, "hf_hub_id": None, "url": None}
    with pytest.raises(HubError, match="in the hub; train it from scratch"):
        network.published_weights()


# -- misuse


def test_a_wrong_name_gives_near_matches() -> None:
    with pytest.raises(TimmError, match=r"has no network 'resnet81'\. Did you mean .*resnet"):
        backbone("resnet81")


def test_a_wrong_tag_gives_the_known_ones() -> None:
    with pytest.raises(TimmError, match=r"no weights 'r160_in2k' of test_resnet\. Did you mean 'r160_in1k'"):
        backbone("test_resnet.r160_in2k")


def test_nothing_is_fetched_by_a_name() -> None:
    with pytest.raises(TimmError, match="no name of a network"):
        backbone("hf-hub:somebody/something")


@pytest.mark.parametrize("name", ["pretrained", "num_classes", "in_chans", "checkpoint_path"])
def test_what_mml_decides_is_refused_as_an_argument(name: str) -> None:
    with pytest.raises(TimmError, match=rf"arch.kwargs.{name} is no option"):
        backbone("test_resnet", **{name: 1})


@pytest.mark.parametrize(("kwargs", "said"), [({"decoder": "unett"}, "unet"), ({"decoder_channels": 0}, "0")])
def test_impossible_decoders_are_refused(kwargs: dict[str, Any], said: str) -> None:
    with pytest.raises(TimmError, match=said):
        segmenter("test_resnet", **kwargs)


def test_arguments_that_the_net_does_not_take_are_refused() -> None:
    cfg = compose(["arch=timm", "arch.kwargs.model=test_resnet", "+arch.kwargs.patch=3"], MANAGER)
    architecture = choose_architecture(cfg.arch, "classification")
    shape: dict[str, Any] = {"in_channels": 1, "out_channels": 2, "image_size": (64, 64)}
    with pytest.raises(ArchitectureError, match="unexpected keyword argument 'patch'"):
        build_network(architecture, MANAGER, task_type="classification", **shape)


def test_the_preset_serves_every_task_type() -> None:
    cfg = compose(["arch=timm", "arch.kwargs.model=test_resnet"], MANAGER)
    for task_type in ("classification", "multilabel", "regression", "semantic_segmentation"):
        architecture = choose_architecture(cfg.arch, task_type)
        network = build_network(
            architecture,
            MANAGER,
            task_type=task_type,
            in_channels=1,
            out_channels=2,
            image_size=(64, 64),
        )
        assert hasattr(network, "feature_dim") == (task_type != "semantic_segmentation")


def test_the_hook_module_imports_nothing_heavy() -> None:
    probe = "import sys, mml_timm.plugin; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert not {"torch", "timm", "torchvision", "numpy", "omegaconf", "hydra"} & set(done.stdout.split())


def test_the_health_check_names_the_versions() -> None:
    from mml_timm.health import check

    assert check().ok
    assert "torchvision" in check().message
