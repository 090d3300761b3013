"""Read access to the fields of a header."""

from __future__ import annotations

from mml_core.tasks.header import Sizes, TaskHeader, TaskType


class HeaderView:
    """Read access to the fields of a header, for whatever carries one."""

    header: TaskHeader

    @property
    def name(self) -> str:
        """The task's name, with its tags where it has some."""
        return self.header.name

    @property
    def task_type(self) -> TaskType:
        """What a network has to put out."""
        return self.header.task_type

    @property
    def dataset(self) -> str:
        """The dataset whose images the samples name."""
        return self.header.dataset

    @property
    def idx_to_class(self) -> dict[str, str]:
        """Class index, as text, to class name."""
        return self.header.idx_to_class

    @property
    def class_names(self) -> list[str]:
        """Class names in the order of their indices."""
        names = self.header.idx_to_class
        return [names[str(index)] for index in range(len(names))]

    @property
    def num_classes(self) -> int:
        """Number of classes; of a segmentation with the background; 0 of a regression."""
        return len(self.header.idx_to_class)

    @property
    def num_outputs(self) -> int:
        """Channels a network has to put out: one per class, or one per value of a regression."""
        if self.header.task_type is TaskType.REGRESSION:
            return len(self.header.target_names)
        return len(self.header.idx_to_class)

    @property
    def channels(self) -> int:
        """Channels of an image as it is given to a network."""
        return self.header.channels

    @property
    def sizes(self) -> Sizes:
        """The extent of the images, in pixels."""
        return self.header.sizes

    @property
    def means(self) -> list[float]:
        """Mean of each channel over the training pixels, on the scale 0 to 1."""
        return self.header.means

    @property
    def stds(self) -> list[float]:
        """Standard deviation of each channel, on the scale 0 to 1."""
        return self.header.stds

    @property
    def num_samples(self) -> dict[str, int]:
        """Split to number of samples."""
        return self.header.num_samples

    @property
    def num_folds(self) -> int:
        """Number of folds the training split is divided into."""
        return self.header.num_folds

    @property
    def class_counts(self) -> dict[str, int]:
        """Class index to training samples, or training pixels, of it."""
        return self.header.class_counts

    @property
    def target_names(self) -> list[str]:
        """Names of the values of a regression."""
        return self.header.target_names

    @property
    def target_means(self) -> list[float]:
        """Mean of each value of a regression over the training samples."""
        return self.header.target_means

    @property
    def target_stds(self) -> list[float]:
        """Standard deviation of each value of a regression over the training samples."""
        return self.header.target_stds

    @property
    def bit_depth(self) -> int:
        """Bits per channel of the images, 8 or 16."""
        return self.header.bit_depth

    @property
    def ignore_index(self) -> int | None:
        """A number in the masks of a segmentation that is no class; None where each pixel has a class."""
        return self.header.ignore_index

    @property
    def keywords(self) -> list[str]:
        """Words to find the task by."""
        return self.header.keywords

    @property
    def license(self) -> str:
        """Under which terms the images may be used."""
        return self.header.license

    @property
    def reference(self) -> str:
        """What to cite."""
        return self.header.reference

    @property
    def summary(self) -> str:
        """One sentence on what the task is."""
        return self.header.summary

    @property
    def preprocessing(self) -> str:
        """Id of the preprocessing the folder holds, ``"none"`` for the raw images."""
        return self.header.preprocessing

    @property
    def dataset_sha256(self) -> str:
        """Digest of the dataset's manifest when the task was made."""
        return self.header.dataset_sha256

    @property
    def samples_sha256(self) -> str:
        """SHA-256 of the sample table; empty where a tag has changed it."""
        return self.header.samples_sha256

    @property
    def created(self) -> str:
        """When the task was made, ISO 8601 in UTC."""
        return self.header.created

    @property
    def schema_version(self) -> int:
        """Version of the header's layout."""
        return self.header.schema_version
