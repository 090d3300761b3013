"""What this distribution contributes to mml: five tasks over images that lie inside ordinary packages."""

from __future__ import annotations

from mml_core.plugins import DatasetSpec, TaskSpec, hookimpl

MML_PLUGIN_API = 1

DIGITS_LICENSE = "CC-BY-4.0"
PHOTOS_LICENSE = "CC0-1.0 AND public domain"


@hookimpl
def mml_datasets() -> list[DatasetSpec]:
    """The images of scikit-learn and scikit-image, written as PNG."""
    return [
        DatasetSpec(
            name="sklearn_digits",
            create="mml_tasks.digits:create_images",
            license=DIGITS_LICENSE,
            summary="1,797 handwritten digits of 8 x 8 pixels, from scikit-learn",
        ),
        DatasetSpec(
            name="digits_ink",
            create="mml_tasks.ink:create_images",
            license=f"{DIGITS_LICENSE} AND CC0-1.0",
            summary="digits of scikit-learn drawn over textures of scikit-image, with masks of the ink",
        ),
        DatasetSpec(
            name="skimage_photos",
            create="mml_tasks.photos:create_images",
            license=PHOTOS_LICENSE,
            summary="patches of the colour photographs in scikit-image",
        ),
    ]


@hookimpl
def mml_tasks() -> list[TaskSpec]:
    """A task of every kind over them."""
    return [
        TaskSpec(
            name="digits",
            dataset="sklearn_digits",
            create="mml_tasks.digits:create_digits",
            task_type="classification",
            keywords=("digits", "handwriting", "grey"),
        ),
        TaskSpec(
            name="digits_parity",
            dataset="sklearn_digits",
            create="mml_tasks.digits:create_parity",
            task_type="classification",
            keywords=("digits", "handwriting", "grey", "binary"),
        ),
        TaskSpec(
            name="digits_value",
            dataset="sklearn_digits",
            create="mml_tasks.digits:create_value",
            task_type="regression",
            keywords=("digits", "handwriting", "grey"),
        ),
        TaskSpec(
            name="digits_ink",
            dataset="digits_ink",
            create="mml_tasks.ink:create_task",
            task_type="semantic_segmentation",
            keywords=("digits", "handwriting", "grey", "texture"),
        ),
        TaskSpec(
            name="photo_patches",
            dataset="skimage_photos",
            create="mml_tasks.photos:create_task",
            task_type="classification",
            keywords=("photographs", "colour", "patches"),
        ),
    ]
