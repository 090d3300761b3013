"""What this distribution contributes to mml: MONAI's two-dimensional networks by name, and their presets."""

from __future__ import annotations

from mml_core.plugins import ArchitectureSpec, ConfigDir, hookimpl

MML_PLUGIN_API = 1

IMAGE_LEVEL = ("classification", "multilabel", "regression")
DENSE = ("semantic_segmentation",)

# name -> (function in mml_monai.backbones, what it is)
BACKBONES = {
    "ResNet": ("resnet", "residual network of any depth and width"),
    "ResNet10": ("resnet10", "residual network, 10 layers"),
    "ResNet18": ("resnet18", "residual network, 18 layers"),
    "ResNet34": ("resnet34", "residual network, 34 layers"),
    "ResNet50": ("resnet50", "residual network, 50 layers"),
    "ResNet101": ("resnet101", "residual network, 101 layers"),
    "ResNet152": ("resnet152", "residual network, 152 layers"),
    "ResNet200": ("resnet200", "residual network, 200 layers"),
    "DenseNet": ("densenet", "densely connected network of any depth and width"),
    "DenseNet121": ("densenet121", "densely connected network, 121 layers"),
    "DenseNet169": ("densenet169", "densely connected network, 169 layers"),
    "DenseNet201": ("densenet201", "densely connected network, 201 layers"),
    "DenseNet264": ("densenet264", "densely connected network, 264 layers"),
    "SENet": ("senet", "squeeze-and-excitation network of any depth"),
    "SENet154": ("senet154", "squeeze-and-excitation network, 154 layers"),
    "SEResNet50": ("seresnet50", "squeeze-and-excitation ResNet, 50 layers"),
    "SEResNet101": ("seresnet101", "squeeze-and-excitation ResNet, 101 layers"),
    "SEResNet152": ("seresnet152", "squeeze-and-excitation ResNet, 152 layers"),
    "SEResNext50": ("seresnext50", "squeeze-and-excitation ResNeXt, 50 layers"),
    "SEResNext101": ("seresnext101", "squeeze-and-excitation ResNeXt, 101 layers"),
    "EfficientNetB0": ("efficientnet_b0", "EfficientNet, scale 0"),
    "EfficientNetB1": ("efficientnet_b1", "EfficientNet, scale 1"),
    "EfficientNetB2": ("efficientnet_b2", "EfficientNet, scale 2"),
    "EfficientNetB3": ("efficientnet_b3", "EfficientNet, scale 3"),
    "EfficientNetB4": ("efficientnet_b4", "EfficientNet, scale 4"),
    "EfficientNetB5": ("efficientnet_b5", "EfficientNet, scale 5"),
    "EfficientNetB6": ("efficientnet_b6", "EfficientNet, scale 6"),
    "EfficientNetB7": ("efficientnet_b7", "EfficientNet, scale 7"),
    "EfficientNetB8": ("efficientnet_b8", "EfficientNet, scale 8"),
    "EfficientNetL2": ("efficientnet_l2", "EfficientNet, scale L2"),
    "EfficientNetBN": ("efficientnet", "EfficientNet, its scale by model_name"),
    "Classifier": ("classifier", "residual units one after the other; needs a fixed image size"),
    "ViT": ("vit", "vision transformer; needs a fixed image size"),
    "NaViT": ("navit", "vision transformer for images of any size"),
}

# name -> (function in mml_monai, what it is)
SEGMENTATION_NETS = {
    "UNet": ("segmentation:unet", "U-Net with residual units"),
    "BasicUNet": ("segmentation:basic_unet", "U-Net of the original form"),
    "BasicUNetPlusPlus": ("segmentation:basic_unet_plus_plus", "U-Net++ with nested skip connections"),
    "AttentionUnet": ("segmentation:attention_unet", "U-Net with attention gates"),
    "DynUNet": ("segmentation:dynunet", "U-Net in the form of nnU-Net"),
    "FlexibleUNet": ("segmentation:flexible_unet", "U-Net decoder on a ResNet or EfficientNet encoder"),
    "SegResNet": ("segresnet:segresnet", "residual encoder and decoder"),
    "SegResNetDS": ("segresnet:segresnet_ds", "residual encoder and decoder of any depth"),
    "SegResNetDS2": ("segresnet:segresnet_ds2", "encoder of VISTA3D with its decoder for whole images"),
    "SegResNetVAE": (
        "segresnet:segresnet_vae",
        "SegResNet with a variational branch; needs a fixed image size",
    ),
    "VNet": ("segmentation:vnet", "V-Net"),
    "AHNet": ("segmentation:ahnet", "anisotropic hybrid network"),
    "Quicknat": (
        "segmentation:quicknat",
        "QuickNAT, an encoder and decoder that remembers where maxima were",
    ),
    "DiNTS": ("segmentation:dints", "searched topology, with every path in use"),
    "HighResNet": ("segmentation:highresnet", "dilated residual network at full resolution"),
    "MedNeXt": ("mednext:mednext", "ConvNeXt blocks in a U-shape"),
    "MedNeXtS": ("mednext:mednext_s", "ConvNeXt blocks in a U-shape, small"),
    "MedNeXtB": ("mednext:mednext_b", "ConvNeXt blocks in a U-shape, base"),
    "MedNeXtM": ("mednext:mednext_m", "ConvNeXt blocks in a U-shape, medium"),
    "MedNeXtL": ("mednext:mednext_l", "ConvNeXt blocks in a U-shape, large"),
    "SwinUNETR": ("segmentation:swin_unetr", "shifted-window transformer encoder, convolutional decoder"),
    "UNETR": (
        "segmentation:unetr",
        "vision transformer encoder, convolutional decoder; needs a fixed image size",
    ),
}


@hookimpl
def mml_architectures() -> list[ArchitectureSpec]:
    """Contribute every MONAI network that works on two-dimensional images."""
    specs = [
        ArchitectureSpec(
            name=name, target=f"mml_monai.backbones:{function}", task_types=IMAGE_LEVEL, summary=summary
        )
        for name, (function, summary) in BACKBONES.items()
    ]
    specs += [
        ArchitectureSpec(name=name, target=f"mml_monai.{function}", task_types=DENSE, summary=summary)
        for name, (function, summary) in SEGMENTATION_NETS.items()
    ]
    return specs


@hookimpl
def mml_config_dirs() -> list[ConfigDir]:
    """Contribute the presets ``arch=resnet_tiny`` and others, and MONAI's losses."""
    return [ConfigDir(package="mml_monai", path="conf")]
