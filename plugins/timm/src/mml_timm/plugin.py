"""What this distribution contributes to mml: every network of timm, and a preset with its options."""

from __future__ import annotations

from mml_core.plugins import ArchitectureSpec, ConfigDir, HealthCheck, hookimpl

MML_PLUGIN_API = 1


@hookimpl
def mml_architectures() -> list[ArchitectureSpec]:
    """Contribute the architecture ``timm``, whose argument ``model`` names the network."""
    return [
        ArchitectureSpec(
            name="timm",
            target="mml_timm.networks:timm",
            task_types=("classification", "multilabel", "regression", "semantic_segmentation"),
            summary="any network of timm (arch.kwargs.model), for segmentation with a decoder",
        )
    ]


@hookimpl
def mml_config_dirs() -> list[ConfigDir]:
    """Contribute the preset ``arch=timm``."""
    return [ConfigDir(package="mml_timm", path="conf")]


@hookimpl
def mml_health_checks() -> list[HealthCheck]:
    """Contribute a look at timm and torchvision, which timm imports."""
    return [
        HealthCheck(name="timm", run="mml_timm.health:check", summary="timm and what it imports can be used")
    ]
