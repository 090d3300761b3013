"""The LightningModule that shows images to a backbone and returns what it makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from typing_extensions import override


class FeatureModule(LightningModule):
    """Predicts features.

    Args:
        network: Images (B, C, H, W) to features (B, D).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval()

    @override
    def predict_step(
        self, batch: Mapping[str, Any], batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, Tensor]:
        """Return rows of the sample table (B,) and features (B, D) float32, on the CPU."""
        dtype = next((each.dtype for each in self.network.parameters()), torch.float32)
        features = self.network(batch["image"].to(dtype))
        return {"index": batch["index"].cpu(), "features": features.flatten(1).float().cpu()}
