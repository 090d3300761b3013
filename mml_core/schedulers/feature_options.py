"""Which features a mode takes: of which backbone, and of which samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mml_core.learning.options import OptionError, choose, is_whole, plain

SPLITS = ("all", "train", "test", "unlabelled")
NORMALISATIONS = ("imagenet", "task")
BACKBONE, PIXELS = "features", "pixels"


@dataclass(frozen=True, kw_only=True)
class FeatureOptions:
    """Which features are taken, as ``mode`` says.

    Attributes:
        of: ``features`` of a backbone, or ``pixels``.
        model: The stored model whose backbone is taken; None for the one of ``arch``.
        split: The split whose samples are taken, or ``all``.
        samples: At most so many of each task; None for all.
        normalisation: What images are normalised by for the backbone of ``arch``.
    """

    of: str = BACKBONE
    model: str | None = None
    split: str = "all"
    samples: int | None = None
    normalisation: str = NORMALISATIONS[0]

    @classmethod
    def from_config(cls, mode: Mapping[str, Any]) -> FeatureOptions:
        """Read ``of``, ``model``, ``split``, ``samples`` and ``normalisation`` of a mode.

        Raises:
            OptionError: A value is impossible.
        """
        of, split = mode.get("of") or BACKBONE, mode.get("split") or SPLITS[0]
        normalisation, samples = mode.get("normalisation") or NORMALISATIONS[0], plain(mode.get("samples"))
        choose("mode.of", of, dict.fromkeys((BACKBONE, PIXELS)))
        choose("mode.split", split, dict.fromkeys(SPLITS))
        choose("mode.normalisation", normalisation, dict.fromkeys(NORMALISATIONS))
        if samples is not None and not is_whole(samples, least=2):
            raise OptionError(f"mode.samples must be a whole number from 2, or null, found {samples!r}.")
        model = mode.get("model")
        return cls(
            of=of, model=None if model is None else str(model), split=split, samples=samples,
            normalisation=normalisation,
        )  # fmt: skip

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are taken."""
        return SPLITS[1:] if self.split == "all" else (self.split,)
