"""What the configuration says about data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mml_core.data.augmentation import Augmentation
from mml_core.data.loader import LoaderOptions
from mml_core.data.preprocessing import Preprocessing
from mml_core.data.sampling import SamplingOptions


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """The groups of the configuration that decide about data.

    Attributes:
        preprocessing: What is done to every image and mask before it is stored.
        sampling: Which training samples an epoch shows, in which order.
        loader: How batches are made.
        augmentation: What is done to training batches.
    """

    preprocessing: Preprocessing
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    loader: LoaderOptions = field(default_factory=LoaderOptions)
    augmentation: Augmentation = field(default_factory=Augmentation)

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any]) -> DataOptions:
        """Read the groups of a composed configuration; all but ``preprocessing`` may be absent.

        With ``trainer.overfit_batches`` every epoch shows the samples in the order of the table.

        Raises:
            PreprocessingError: The preprocessing is impossible.
            LoaderError: Another group is.
        """
        sampling = SamplingOptions.from_config(cfg.get("sampling") or {})
        if (cfg.get("trainer") or {}).get("overfit_batches"):
            sampling = SamplingOptions(name="sequential")
        return cls(
            preprocessing=Preprocessing.from_config(cfg["preprocessing"]),
            sampling=sampling,
            loader=LoaderOptions.from_config(cfg.get("loader") or {}),
            augmentation=Augmentation.from_config(cfg.get("augmentations") or {}),
        )
