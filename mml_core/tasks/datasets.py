"""Datasets: folders of images with a manifest, which exist whole or not at all."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import msgspec

from mml_core.storage.atomic import make_dirs
from mml_core.storage.errors import named_failures
from mml_core.storage.hashing import sha256_bytes, sha256_file
from mml_core.tasks.errors import CreationError, DamagedTaskError
from mml_core.tasks.publishing import publishing

if TYPE_CHECKING:
    from mml_core.plugins import DatasetSpec

MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True)
class Creation:
    """What became of a dataset or task that was to be created.

    Attributes:
        path: Its folder.
        created: Whether it was made now; False where it was there already and was kept.
        warnings: One line for everything the user should look at.
    """

    path: Path
    created: bool
    warnings: list[str] = field(default_factory=list)


class FileRecord(msgspec.Struct, frozen=True, gc=False):
    """Size and content of one file."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a published dataset consists of.

    Attributes:
        name: The dataset's name.
        license: Under which terms its images may be used.
        imported: Whether it came about by an import of files, not by a plugin's creator.
        files: Path below the dataset's folder to size and sha256, sorted by path.
        schema_version: Version of this very layout.
    """

    name: str
    license: str = ""
    imported: bool = False
    files: dict[str, FileRecord]
    schema_version: int = 1


def dataset_folder(data: Path, name: str) -> Path:
    """Where a dataset lies in a data folder."""
    return data / "datasets" / name


def create_dataset(spec: DatasetSpec, data: Path, *, force: bool = False) -> Creation:
    """Create a dataset; one that is there is kept, once every file of it has been checked.

    Args:
        spec: What is to be created, and by what.
        data: The data folder.
        force: Whether a dataset that is there is made anew and replaced.

    Raises:
        CreationError: The creator made no file, or links to files elsewhere.
        DamagedTaskError: The dataset that is there is not what was published.
    """
    from mml_core.plugins import load_ref

    final = dataset_folder(data, spec.name)
    with publishing(final, replace=force) as private:
        if private is None:
            if differences := verify_dataset(final):
                more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
                raise DamagedTaskError(
                    f"The dataset {final} is not what was published: {differences[0]}{more}; put that right, "
                    "or create it again with mode.force=true."
                )
            return Creation(final, created=False)
        sources = data / "sources" / spec.name
        with named_failures(sources):
            make_dirs(sources)
        create = load_ref(spec.create)
        if not callable(create):
            raise CreationError(f"Dataset '{spec.name}' cannot be created: {spec.create} is not callable.")
        create(private, sources)
        write_manifest(private, spec.name, spec.license)
    return Creation(final, created=True)


def write_manifest(folder: Path, name: str, license_name: str = "", *, imported: bool = False) -> Manifest:
    """Hash every file of a folder and write its manifest into it.

    Raises:
        CreationError: The folder holds no file, or something that is neither file nor folder.
    """
    files: dict[str, FileRecord] = {}
    for path in sorted(_files(folder), key=lambda path: path.relative_to(folder).as_posix()):
        if path.is_symlink() or not path.is_file():
            raise CreationError(
                f"Dataset '{name}' holds {path.name}, which is no plain file: copy files into it."
            )
        relative = path.relative_to(folder).as_posix()
        files[relative] = FileRecord(path.stat().st_size, sha256_file(path))
    if not files:
        raise CreationError(f"Dataset '{name}' cannot be created: its creator made no file.")
    manifest = Manifest(name=name, license=license_name, imported=imported, files=files)
    encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    (folder / MANIFEST_FILE).write_bytes(encoded + b"\n")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a published dataset.

    Raises:
        DamagedTaskError: There is none, or it cannot be read.
    """
    return _decode_manifest(_manifest_bytes(folder), folder)


def manifest_with_digest(folder: Path) -> tuple[Manifest, str]:
    """Read the manifest of a published dataset, and the sha256 that stands for all its files."""
    data = _manifest_bytes(folder)
    return _decode_manifest(data, folder), sha256_bytes(data)


def verify_dataset(folder: Path) -> list[str]:
    """Compare every file of a dataset with its manifest; one line per difference.

    Hidden files that came later, as file browsers and network mounts make them, are none.
    """
    manifest = read_manifest(folder)
    present = {path.relative_to(folder).as_posix() for path in _files(folder)} - {MANIFEST_FILE}
    added = sorted(
        name for name in present - manifest.files.keys() if not PurePath(name).name.startswith(".")
    )
    problems = [f"{name}: not in the manifest" for name in added]
    for name, record in manifest.files.items():
        if name not in present:
            problems.append(f"{name}: missing")
        elif (folder / name).stat().st_size != record.size or sha256_file(folder / name) != record.sha256:
            problems.append(f"{name}: changed since the dataset was published")
    return problems


def _files(folder: Path) -> list[Path]:
    found = []
    for root, folders, names in os.walk(folder):
        found += [Path(root, name) for name in names]
        found += [Path(root, name) for name in folders if Path(root, name).is_symlink()]
    return found


def _manifest_bytes(folder: Path) -> bytes:
    try:
        return (folder / MANIFEST_FILE).read_bytes()
    except OSError as error:
        raise DamagedTaskError(
            f"The dataset {folder} has no manifest that can be read ({error.strerror}): remove the folder "
            "and create the dataset again."
        ) from error


def _decode_manifest(data: bytes, folder: Path) -> Manifest:
    try:
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedTaskError(
            f"The manifest of the dataset {folder} is damaged ({error}): create the dataset again."
        ) from error
