"""Every network that is registered is built through the registry and tried on grey and colour images."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from mml_monai.plugin import BACKBONES, SEGMENTATION_NETS

from mml_core.learning.layers import layers_of
from mml_core.learning.options import plain
from mml_core.plugins import PluginManager
from mml_core.plugins.registry import UnknownNameError

MANAGER = PluginManager.discover()
ENTRIES = [entry for entry in MANAGER.architectures.items() if entry.provider == "mml-plugin-monai"]
# What is quick enough to be tried every time, made small where its size is free.
QUICK: dict[str, dict[str, Any]] = {
    "ResNet": {},
    "ResNet10": {},
    "DenseNet": {"init_features": 8, "growth_rate": 4, "block_config": (2, 2)},
    "SENet": {"inplanes": 16, "input_3x3": False},
    "EfficientNetB0": {},
    "Classifier": {},
    "ViT": {"hidden_size": 24, "mlp_dim": 48, "num_layers": 2, "num_heads": 3},
    "NaViT": {"hidden_size": 24, "mlp_dim": 48, "num_layers": 2, "num_heads": 3},
    "UNet": {},
    "BasicUNet": {"features": (8, 8, 16, 16, 32, 8)},
    "BasicUNetPlusPlus": {"features": (8, 8, 16, 16, 32, 8)},
    "DynUNet": {},
    "SegResNet": {},
    "SegResNetDS2": {"init_filters": 8},
    "SegResNetVAE": {},
    "MedNeXtS": {},
    "Quicknat": {"num_filters": 8},
    "DiNTS": {},
    "VNet": {},
}
# What MONAI exports that is not registered, and why.
LEFT_OUT = {
    "is no net by itself": {
        *(
            "BertAttention",
            "BertMixedLayer",
            "BertOutput",
            "BertPreTrainedModel",
            "HighResBlock",
            "MultiModal",
        ),
        *(
            "PatchMerging",
            "PatchMergingV2",
            "Pooler",
            "ResNetBlock",
            "ResNetBottleneck",
            "TopologyConstruction",
        ),
        *("TopologyInstance", "TopologySearch", "NetAdapter"),
    },
    "puts out features of several scales, for FlexibleUNet": {
        *("EfficientNetBNFeatures", "EfficientNetEncoder", "ResNetEncoder", "ResNetFeatures"),
    },
    "is built from text that EfficientNetBN has for each published scale": {"EfficientNet"},
    "is Classifier with another head": {"Regressor", "Discriminator", "Critic"},
    "takes vectors": {"FullyConnectedNet", "VarFullyConnectedNet"},
    "takes bags of images, reports, or tokens": {"MILModel", "Transchex", "DecoderOnlyTransformer"},
    "needs torchvision": {"TorchVisionFCModel"},
    "needs nvsubquadratic": {"HyenaNDUNETR"},
    "takes volumes only": {"DAF3D", "VISTA3D", "vista3d132"},
    "puts out instances, as three maps of the middle of an image": {"HoVerNet"},
    "makes or restores images": {
        *(
            "AutoEncoder",
            "AutoencoderKL",
            "ControlNet",
            "DiffusionModelUNet",
            "Generator",
            "MaskedAutoEncoderViT",
        ),
        *(
            "SPADEAutoencoderKL",
            "SPADEDiffusionModelUNet",
            "SPADENet",
            "VQVAE",
            "VarAutoEncoder",
            "ViTAutoEnc",
        ),
    },
    "tells made images from real ones": {"MultiScalePatchDiscriminator", "PatchDiscriminator"},
    "registers one image to another": {"GlobalNet", "LocalNet", "RegUNet", "VoxelMorph", "VoxelMorphUNet"},
}
SIZE = (64, 64)
CLASSES = 3


def build(name: str, *arguments: Any, **kwargs: Any) -> Any:
    entry = next(entry for entry in ENTRIES if entry.record.name == name)
    return MANAGER.resolve(entry)(*arguments, **kwargs)


def cases() -> list[Any]:
    return [
        pytest.param(
            entry,
            QUICK.get(entry.record.name, {}),
            id=entry.record.name,
            marks=() if entry.record.name in QUICK else pytest.mark.long,
        )
        for entry in ENTRIES
    ]


def test_all_of_the_plugin_are_there() -> None:
    names = {entry.record.name for entry in ENTRIES}
    assert names == {*BACKBONES, *SEGMENTATION_NETS}
    assert names >= set(QUICK)


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "rgb"])
@pytest.mark.parametrize(("entry", "kwargs"), cases())
def test_a_network_takes_images_of_its_task_type(entry: Any, kwargs: dict[str, Any], channels: int) -> None:
    task_type = entry.record.task_types[0]
    network = MANAGER.resolve(entry)(task_type, channels, CLASSES, SIZE, **kwargs).eval()
    with torch.inference_mode():
        outputs = network(torch.randn(2, channels, *SIZE))
    if task_type == "semantic_segmentation":
        assert outputs.shape == (2, CLASSES, *SIZE)
        assert not hasattr(network, "feature_dim")
    else:
        assert isinstance(network.feature_dim, int)
        assert outputs.shape == (2, network.feature_dim)
    assert torch.isfinite(outputs).all()


DENSE = [name for name in QUICK if name in SEGMENTATION_NETS]


@pytest.mark.parametrize("name", DENSE)
def test_segmentation_nets_take_odd_sizes(name: str) -> None:
    network = build(name, "semantic_segmentation", 1, 2, (37, 50), **QUICK[name]).eval()
    with torch.inference_mode():
        assert network(torch.randn(1, 1, 37, 50)).shape == (1, 2, 37, 50)


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize(("entry", "kwargs"), cases())
def test_every_parameter_is_trained(entry: Any, kwargs: dict[str, Any]) -> None:
    """What a net does not use would be saved, and stop training on several devices."""
    network = MANAGER.resolve(entry)(entry.record.task_types[0], 1, 2, SIZE, **kwargs)
    loss = network(torch.randn(2, 1, *SIZE)).square().sum()
    own_loss = getattr(network, "own_loss", None)
    (loss if own_loss is None else loss + own_loss).backward()
    assert [key for key, parameter in network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(("entry", "kwargs"), cases())
def test_layers_are_told_in_the_order_in_which_they_act(entry: Any, kwargs: dict[str, Any]) -> None:
    network = MANAGER.resolve(entry)(entry.record.task_types[0], 1, 2, SIZE, **kwargs).eval()
    layers = layers_of(network)  # refuses a parameter in none or in two
    order: dict[int, None] = {}
    for name, module in network.named_modules():
        number = next((at for at, layer in enumerate(layers) if layer.holds(name)), None)
        if number is not None and list(module.parameters(recurse=False)):
            module.register_forward_pre_hook(lambda *_, number=number: order.setdefault(number))
    with torch.inference_mode():
        network(torch.randn(1, 1, *SIZE))
    assert list(order) == sorted(order)
    assert all(any(layer.holds(name) for name, _ in network.named_parameters()) for layer in layers)
    assert len(layers) >= 3


@pytest.fixture
def deterministic() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.usefixtures("deterministic")
def test_unpooling_is_that_of_torch() -> None:
    network = build("Quicknat", "semantic_segmentation", 1, 2, SIZE, num_filters=8).eval()
    images = torch.randn(1, 1, 32, 48)
    found = network(images)
    torch.use_deterministic_algorithms(False)
    unpools = [module for module in network.modules() if hasattr(module, "un_pool")]
    assert unpools
    for module in unpools:
        module.un_pool = torch.nn.MaxUnpool2d(2)
    assert torch.equal(network(images), found)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("DynUNet", {"deep_supervision": True}),
        ("BasicUNetPlusPlus", {"deep_supervision": True}),
        ("MedNeXt", {"deep_supervision": True}),
        ("MedNeXtS", {"deep_supervision": True}),
        ("SegResNetDS", {"dsdepth": 2}),
        ("SegResNetDS2", {"dsdepth": 2}),
    ],
)
def test_several_resolutions_are_refused(name: str, kwargs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="several resolutions"):
        build(name, "semantic_segmentation", 1, 2, SIZE, **kwargs)


def test_a_loss_of_the_net_itself_is_there_in_training_only() -> None:
    network = build("SegResNetVAE", "semantic_segmentation", 1, 2, SIZE)
    network(torch.randn(1, 1, *SIZE))
    assert network.own_loss.item() > 0
    network.eval()(torch.randn(1, 1, *SIZE))
    assert network.own_loss is None


def test_every_net_of_monai_is_registered_or_left_out_for_a_reason() -> None:
    from monai.networks import nets

    registered, reasons = {entry.record.name for entry in ENTRIES}, set().union(*LEFT_OUT.values())
    named: dict[Any, list[str]] = {}
    for name, made in vars(nets).items():
        if isinstance(made, type) and issubclass(made, torch.nn.Module):
            named.setdefault(made, []).append(name)
    known = registered | reasons
    assert [names for names in named.values() if not known & set(names)] == []
    assert not registered & reasons
    assert [name for name in reasons if not hasattr(nets, name)] == []


@pytest.mark.parametrize(
    ("other", "registered"),
    {
        "Unet": "UNet",
        "basicunetplusplus": "BasicUNetPlusPlus",
        "DynUnet": "DynUNet",
        "FlexUNet": "FlexibleUNet",
        "densenet121": "DenseNet121",
        "SEResNeXt50": "SEResNext50",
        "resnet10": "ResNet10",
        "MedNext": "MedNeXt",
        "MedNeXtSmall": "MedNeXtS",
        "MedNextLarge": "MedNeXtL",
        "Senet154": "SENet154",
    }.items(),
)
def test_monais_other_names_lead_to_the_registered_one(other: str, registered: str) -> None:
    from monai.networks import nets

    assert hasattr(nets, other)
    with pytest.raises(UnknownNameError, match=f"Did you mean .*'{registered}'"):
        MANAGER.architectures.get(other)


def test_a_wrong_name_gives_near_matches() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean .*ResNet50"):
        MANAGER.architectures.get("ResNet5O")


@pytest.mark.parametrize("preset", ["resnet_tiny", "unet_tiny", "vit_tiny"])
def test_presets_name_registered_networks(preset: str) -> None:
    from mml_core.config.compose import compose

    cfg = compose([f"arch={preset}"], MANAGER)
    entry = next(entry for entry in ENTRIES if entry.record.name == cfg.arch.name)
    MANAGER.resolve(entry)(entry.record.task_types[0], 1, 2, SIZE, **cfg.arch.kwargs)


@pytest.mark.parametrize("task_type", ["classification", "multilabel", "regression"])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_stride_of_automatic_networks_is_an_option_of_each_task_type(task_type: str, stride: int) -> None:
    from mml_core.config.compose import compose
    from mml_core.learning.architectures import choose_architecture

    cfg = compose(["arch=auto", f"arch.auto.{task_type}.kwargs.conv1_t_stride={stride}"], MANAGER)
    chosen = choose_architecture(cfg.arch, task_type)
    network = MANAGER.resolve(MANAGER.architectures.entry(chosen.name))(
        task_type, 1, 2, SIZE, **chosen.kwargs
    )
    first = next(each for each in network.modules() if isinstance(each, torch.nn.Conv2d))
    assert first.stride == (stride, stride)


def test_the_loss_is_monais_and_deterministic_on_cuda() -> None:
    from monai.losses import DiceCELoss
    from torch.utils._python_dispatch import TorchDispatchMode

    from mml_core.config.compose import compose
    from mml_core.learning.losses import build_loss

    used = []

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            used.append(str(func))
            return func(*args, **(kwargs or {}))

    chosen = compose(["loss=monai_dice_ce"], MANAGER).loss
    loss = build_loss("semantic_segmentation", plain(chosen))
    logits, target = torch.randn(2, CLASSES, 8, 6), torch.randint(0, CLASSES, (2, 8, 6))
    with Recorder():
        found = loss(logits, target)
    expected = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False)(logits, target[:, None])
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    assert not [name for name in used if "nll_loss2d" in name]


def test_the_hook_module_imports_nothing_heavy() -> None:
    probe = "import sys, mml_monai.plugin; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    heavy = {"torch", "monai", "lightning", "numpy", "omegaconf", "hydra", "pandas", "pyarrow"}
    assert not heavy & set(done.stdout.split())
