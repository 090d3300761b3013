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
    "ViT": ("vit", "vision transformer; needs a fixed image size"),
}

# name -> (function in mml_monai.segmentation, what it is)
SEGMENTATION_NETS = {
    "UNet": ("unet", "U-Net with residual units"),
    "BasicUNet": ("basic_unet", "U-Net of the original form"),
    "BasicUNetPlusPlus": ("basic_unet_plus_plus", "U-Net++ with nested skip connections"),
    "AttentionUnet": ("attention_unet", "U-Net with attention gates"),
    "DynUNet": ("dynunet", "U-Net in the form of nnU-Net"),
    "FlexibleUNet": ("flexible_unet", "U-Net decoder on a ResNet or EfficientNet encoder"),
    "SegResNet": ("segresnet", "residual encoder and decoder"),
    "SegResNetDS": ("segresnet_ds", "residual encoder and decoder of any depth"),
    "VNet": ("vnet", "V-Net"),
    "HighResNet": ("highresnet", "dilated residual network at full resolution"),
    "MedNeXt": ("mednext", "ConvNeXt blocks in a U-shape"),
    "SwinUNETR": ("swin_unetr", "shifted-window transformer encoder, convolutional decoder"),
    "UNETR": ("unetr", "vision transformer encoder, convolutional decoder; needs a fixed image size"),
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
        ArchitectureSpec(
            name=name, target=f"mml_monai.segmentation:{function}", task_types=DENSE, summary=summary
        )
        for name, (function, summary) in SEGMENTATION_NETS.items()
    ]
    return specs


@hookimpl
def mml_config_dirs() -> list[ConfigDir]:
    """Contribute the presets ``arch=resnet_tiny`` and others, and MONAI's losses."""
    return [ConfigDir(package="mml_monai", path="conf")]
