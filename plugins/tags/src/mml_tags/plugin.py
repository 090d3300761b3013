"""What this distribution contributes to mml: tags, each a change to the sample table of a task."""

from __future__ import annotations

from mml_core.plugins import TagSpec, hookimpl

MML_PLUGIN_API = 1


@hookimpl
def mml_tags() -> list[TagSpec]:
    """Name the tags; the functions behind them are imported when one is used."""
    return [
        TagSpec(
            name="subset",
            apply="mml_tags.fewer:apply_subset",
            args=("amount",),
            summary="keep a share (0.3) or number (200) of the training split, its validation folds included",
        ),
        TagSpec(
            name="shrink_train",
            apply="mml_tags.fewer:apply_shrink_train",
            args=("amount",),
            summary="train on a share (0.3) or number (200) of the training split, validate on whole folds",
        ),
        TagSpec(
            name="shrink_equal",
            apply="mml_tags.fewer:apply_shrink_equal",
            args=("per_class",),
            summary="keep as many training samples of every class",
        ),
        TagSpec(
            name="redistribute",
            apply="mml_tags.fewer:apply_redistribute",
            args=("weight_of_class...",),
            summary="drop training samples until the classes have these proportions, one weight per class",
        ),
        TagSpec(
            name="subclass",
            apply="mml_tags.classes:apply_subclass",
            args=("class...",),
            summary="keep some of the classes, in this order, and their samples",
        ),
        TagSpec(
            name="confuse",
            apply="mml_tags.classes:apply_confuse",
            args=("share", "class..."),
            summary="give a share of the training samples a wrong label, of any class or among those named",
        ),
    ]
