"""What can be wrong about files: templates, names, keys, and artefacts that are not what was committed."""

from __future__ import annotations

from mml_core.errors import MMLError


class FilesError(MMLError):
    """The base of all errors about the files of a project."""


class AssignmentError(FilesError):
    """A path assignment breaks a rule or contradicts another one."""


class UnknownKeyError(FilesError):
    """No path assignment has this key."""


class SavingPathError(FilesError):
    """No saving path can be made from what was given."""


class NoAttemptError(FilesError):
    """A file was to be written outside of a step and outside of a ``with MMLFileManager(...)`` block."""


class NoManagerError(FilesError):
    """There is no file manager to return."""


class UnwrittenPathError(FilesError):
    """A step hands on a path that will not exist after it."""


class SealError(FilesError):
    """What lies at a saving path is no file that can be kept."""


class DamagedArtefactError(FilesError):
    """A committed file is missing or is not what was committed."""


class TakenPathError(FilesError):
    """The final name of an artefact is taken by a file that mml did not put there."""


class ReuseError(FilesError):
    """What is to be reused does not exist."""


class UnsafePathError(FilesError):
    """A path leads out of the project or through a symbolic link."""
