"""What features were made of: the samples, and the backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mml_core.learning.features import Features, FeaturesError, FeaturesHeader

if TYPE_CHECKING:
    from mml_core.learning.backbones import Backbone
    from mml_core.tasks.description import TaskDescription


def with_samples_of(task: TaskDescription, features: Features) -> TaskDescription:
    """Return a task with the samples alone that features were taken of, in the order of its table.

    Raises:
        FeaturesError: The task has no longer all of them.
    """
    known = task.samples.column("sample_id").to_pylist()
    wanted = set(features.sample_ids)
    missing = wanted.difference(known)
    if missing:
        raise FeaturesError(
            f"Task '{task.name}' has no sample '{min(missing)}', which its features were taken of; extract"
            " them again."
        )
    return task.with_samples(task.samples.take([row for row, name in enumerate(known) if name in wanted]))


def require_made_by(backbone: Backbone, features: FeaturesHeader | Features) -> None:
    """Refuse features that another backbone has made.

    Raises:
        FeaturesError: Says what differs.
    """
    found, wanted = features.backbone, backbone.description
    if not found:
        raise FeaturesError(
            f"Features of task '{features.task}' do not tell which backbone has made them; extract them"
            " again."
        )
    if found != wanted:
        differing = [key for key in sorted({*found, *wanted}) if found.get(key) != wanted.get(key)]
        raise FeaturesError(
            f"Features of task '{features.task}' come from another backbone than the one of the config (they"
            f" differ in {', '.join(differing)}); name that one by mode.model or arch, or extract them again."
        )
