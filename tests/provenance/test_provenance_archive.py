"""A project packed into an archive is the same when it is unpacked; an archive that lies is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mml_core.scheduling import sealed

if TYPE_CHECKING:
    from mml_core.testing.fixtures import CommandRunner, MMLProject
    from tests.provenance.conftest import Rests

MANIFEST = "mml-project.json"


class Archive:
    """An archive that can be changed in any way, as by somebody who knows its form well."""

    def __init__(self, path: Path) -> None:
        self.members: list[tuple[tarfile.TarInfo, bytes]] = []
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                self.members.append((member, content.read()))
        self.manifest = json.loads(self.members.pop(0)[1])

    def names(self) -> list[str]:
        return [member.name for member, _ in self.members]

    def read(self, name: str) -> bytes:
        return next(content for member, content in self.members if member.name == name)

    def add(self, name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "") -> None:
        """Add a member, and name it in the manifest."""
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.size = kind, target, len(content)
        self.members.append((member, content))
        self.declare(name, content)

    def replace(self, name: str, content: bytes) -> None:
        """Change the content of a member, and what the manifest says of it."""
        self.members = [(member, kept) for member, kept in self.members if member.name != name]
        self.add(name, content)

    def declare(self, name: str, content: bytes) -> None:
        self.manifest["files"][name] = [len(content), hashlib.sha256(content).hexdigest()]

    def change_record(self, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change a sealed record, and its seal."""
        body = json.loads(self.read(name))["body"]
        change(body)
        self.replace(name, sealed.seal(json.dumps(body, separators=(",", ":")).encode()))

    def write(self, path: Path) -> Path:
        with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
            content = json.dumps(self.manifest).encode()
            for member, data in [(tarfile.TarInfo(MANIFEST), content), *self.members]:
                if member.isfile():
                    member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        return path


@pytest.fixture
def packed(rests: Rests) -> Path:
    """An archive of a project with two runs."""
    rests("mode.keep=true")
    rests("reuse.auto=true", "mode.one=2")
    path = rests.project.root / "packed.tar"
    result = rests.mml("files", "export", "default", str(path))
    assert result.code == 0, result.err
    return path


_packed: list[bytes] = []


@pytest.fixture
def archived(request: pytest.FixtureRequest, mml_project: MMLProject) -> Path:
    """The same archive, made once for all tests that do not run anything themselves."""
    if not _packed:
        _packed.append(request.getfixturevalue("packed").read_bytes())
    path = mml_project.root / "archived.tar"
    path.write_bytes(_packed[0])
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder, empty folders left out."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_unpacked_project_is_the_one_that_was_packed(rests: Rests, packed: Path) -> None:
    assert rests.mml("files", "import", str(packed), "--proj", "again").code == 0

    assert rests.project.files("again") == rests.project.files()
    assert rests.mml("files", "verify", "--proj", "again").code == 0
    assert sorted(run.name for run in rests.project.runs("again")) == sorted(
        run.name for run in rests.project.runs()
    )
    told = rests.mml("files", "why", "KEPT/kept_0001.json", "--proj", "again").out
    assert "task dots: samples" in told


def test_steps_are_taken_over_from_an_unpacked_project(rests: Rests, packed: Path) -> None:
    rests.mml("files", "import", str(packed), "--proj", "again")

    assert rests("--proj", "new", "reuse.auto=again", "mode.keep=true") == []
    made = (rests.project.path("again") / "KEPT/kept_0001.json").read_text()
    assert made in (rests.project.path() / "KEPT/kept_0001.json").read_text()
    assert rests.mml("files", "verify", "--proj", "new").code == 0


def test_numbers_go_on_in_an_unpacked_project(rests: Rests, packed: Path) -> None:
    rests.mml("files", "import", str(packed), "--proj", "again")

    rests("--proj", "again")

    assert (rests.project.path("again") / "DRAWN/dots/drawn_0002.json").is_file()


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_one_project_gives_one_archive(rests: Rests, packed: Path, suffix: str) -> None:
    names = [str(rests.project.root / f"{number}{suffix}") for number in range(2)]

    for name in names:
        assert rests.mml("files", "export", "default", name).code == 0

    assert Path(names[0]).read_bytes() == Path(names[1]).read_bytes()


def test_files_of_other_projects_are_named_as_missing(rests: Rests) -> None:
    rests("--proj", "other")
    rests("reuse.auto=other")

    result = rests.mml("files", "export", "default", str(rests.project.root / "packed.tar"))

    assert result.code == 0
    assert str(rests.project.path("other") / "DRAWN/dots/drawn_0001.json") in result.err


def test_g05_a_damaged_file_is_not_packed(rests: Rests) -> None:
    rests()
    (rests.project.path() / "DRAWN/dots/drawn_0001.json").write_text("{}")

    result = rests.mml("files", "export", "default", str(rests.project.root / "packed.tar"))

    assert result.code != 0
    assert "drawn_0001.json" in result.err
    assert not (rests.project.root / "packed.tar").exists()


def test_only_names_of_archives_are_written(rests: Rests) -> None:
    rests()

    assert (
        "'default.zip' is no name for an archive"
        in rests.mml("files", "export", "default", "default.zip").err
    )


def test_an_existing_project_is_not_touched(rests: Rests, packed: Path) -> None:
    before = tree(rests.project.results)

    result = rests.mml("files", "import", str(packed))

    assert "exists already" in result.err
    assert tree(rests.project.results) == before


def record_of(archive: Archive) -> str:
    return next(name for name in archive.names() if name.startswith(".mml/artefacts/drawn/dots/"))


def step_of(archive: Archive) -> str:
    names = [name for name in archive.names() if "/steps/take_task" in name]
    return next(name for name in names if "artefacts" in json.loads(archive.read(name))["body"])


def escape_in_record(archive: Archive) -> None:
    record = json.loads(archive.read(record_of(archive)))
    record["artefact"]["path"] = "../../evil"
    archive.replace(record_of(archive), json.dumps(record).encode())


def record_of_another(archive: Archive) -> None:
    record = json.loads(archive.read(record_of(archive)))
    record["artefact"]["key"] = "../kept"
    archive.replace(record_of(archive), json.dumps(record).encode())


def step_of_another_run(archive: Archive) -> None:
    archive.change_record(step_of(archive), lambda body: body.update(run="another"))


def escape_in_step(archive: Archive) -> None:
    archive.change_record(step_of(archive), lambda body: body["artefacts"][0].update(path="../../evil"))


def escape_in_struct(archive: Archive) -> None:
    structs = {"dots": {"paths": {"x": "../../evil"}}}
    archive.change_record(step_of(archive), lambda body: body.update(structs=structs))


def other_config(archive: Archive) -> None:
    name = next(name for name in archive.names() if name.endswith("/config.yaml"))
    archive.replace(name, archive.read(name) + b"evil: true\n")


def other_manifest(archive: Archive) -> None:
    archive.declare("DRAWN/dots/drawn_0001.json", b"another content")


def missing_member(archive: Archive) -> None:
    archive.declare("DRAWN/dots/drawn_0002.json", b"")


def undeclared_member(archive: Archive) -> None:
    archive.add("DRAWN/dots/drawn_0002.json", b"")
    del archive.manifest["files"]["DRAWN/dots/drawn_0002.json"]


def twice(archive: Archive) -> None:
    archive.members.append(archive.members[-1])


def bomb(archive: Archive) -> None:
    archive.add("DRAWN/dots/drawn_0002.json", bytes(200 << 20))


def declared_bomb(archive: Archive) -> None:
    archive.manifest["files"]["DRAWN/dots/drawn_0002.json"] = [10**15, "0" * 64]


def negative_size(archive: Archive) -> None:
    archive.manifest["files"]["DRAWN/dots/drawn_0002.json"] = [-1, "0" * 64]


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (lambda archive: archive.add("../evil", b"x"), "leads out of the project"),
        (lambda archive: archive.add("DRAWN/../../evil", b"x"), "leads out of the project"),
        (lambda archive: archive.add("/tmp/evil", b"x"), "leads out of the project"),
        (lambda archive: archive.add("DRAWN//evil", b"x"), "leads out of the project"),
        (lambda archive: archive.add("DRAWN\\..\\evil", b"x"), "leads out of the project"),
        (lambda archive: archive.add(".git/hooks/post-checkout", b"x"), "begins with a dot"),
        (lambda archive: archive.add("evil", b"x"), "lies in no folder"),
        (lambda archive: archive.add("runs/evil/lease.1", b"x"), "is no record of a run"),
        (lambda archive: archive.add(".mml/locks/evil/x/y", b"x"), "is no record of a file"),
        (lambda archive: archive.add("DRAWN/link", kind=tarfile.SYMTYPE, target="/tmp"), "is no plain file"),
        (
            lambda archive: archive.add("DRAWN/link", kind=tarfile.LNKTYPE, target="/etc/passwd"),
            "is no plain file",
        ),
        (lambda archive: archive.add("DRAWN/pipe", kind=tarfile.FIFOTYPE), "is no plain file"),
        (lambda archive: archive.add("DRAWN/device", kind=tarfile.CHRTYPE), "is no plain file"),
        (lambda archive: archive.add("DRAWN/folder", kind=tarfile.DIRTYPE), "is no plain file"),
        (lambda archive: archive.add("DRAWN/sparse", kind=tarfile.GNUTYPE_SPARSE), ""),
        (
            lambda archive: archive.add("DRAWN/dots/stray.json", b"{}"),
            "no record names 'DRAWN/dots/stray.json'",
        ),
        (lambda archive: archive.replace("DRAWN/dots/drawn_0001.json", b"{}"), "has 2 bytes"),
        (escape_in_record, "leads out of the project"),
        (record_of_another, "is that of another file"),
        (step_of_another_run, "is that of step"),
        (escape_in_step, "leads out of the project"),
        (escape_in_struct, "leads out of the project"),
        (other_config, "is not the config that the run was planned with"),
        (other_manifest, "is not what its manifest says"),
        (missing_member, "is missing from it"),
        (undeclared_member, "its manifest does not name"),
        (twice, "twice"),
        (bomb, "claim to hold"),
        (declared_bomb, "claim to hold"),
        (negative_size, "negative size"),
        (lambda archive: archive.manifest.update(project="../evil"), "The project name"),
        (lambda archive: archive.manifest.update(format=2), "install that version"),
        (lambda archive: archive.manifest.update(files=None), "its manifest cannot be read"),
    ],
)
def test_g21_an_archive_that_lies_is_refused_and_leaves_nothing(
    mml: CommandRunner, archived: Path, lie: Callable[[Archive], None], why: str
) -> None:
    archive = Archive(archived)
    archive.manifest["project"] = "strange"
    lie(archive)
    written = archive.write(archived.with_name("strange.tar.gz"))
    before = tree(archived.parent)

    result = mml("files", "import", str(written))

    assert result.code != 0
    assert why in result.err
    assert result.err.count("\n") == 1
    assert tree(archived.parent) == before
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        ("cut", ""),
        ("garbage", "cannot be read"),
        ("empty", "cannot be read"),
        ("header", "a header wants to be 8589934592 bytes long"),
        ("compressed", "cannot be read"),
    ],
)
def test_g21_what_is_no_archive_is_refused(
    mml: CommandRunner, mml_project: MMLProject, archived: Path, harm: str, why: str
) -> None:
    content = archived.read_bytes()
    large = tarfile.TarInfo("x")
    large.type, large.size = tarfile.XHDTYPE, 1 << 33  # eight gigabytes of names
    archived.write_bytes(
        {
            "cut": content[: len(content) // 2],
            "garbage": os.urandom(2000),
            "empty": b"",
            "header": large.tobuf(tarfile.GNU_FORMAT),
            "compressed": gzip.compress(content)[:-100],
        }[harm]
    )

    result = mml("files", "import", str(archived), "--proj", "strange")

    assert result.code != 0
    assert "is not unpacked" in result.err
    assert why in result.err
    assert not mml_project.path("strange").exists()


def test_g21_nothing_in_an_archive_is_executed(
    rests: Rests, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = rests.project.root / "executed"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {marker}",)

    archive = Archive(packed)
    payload = pickle.dumps(Payload())
    record = json.loads(archive.read(record_of(archive)))
    record["artefact"] |= {"size": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
    archive.replace(record_of(archive), json.dumps(record).encode())
    archive.replace("DRAWN/dots/drawn_0001.json", payload)
    for name in [name for name in archive.names() if name.endswith("/config.yaml")]:
        config = archive.read(name).replace(b"mml_rests.scheduler.Rests", b"os.system")
        archive.replace(name, config)
        digest = hashlib.sha256(config).hexdigest()
        archive.change_record(
            name.replace("config.yaml", "plan.json"),
            lambda body, digest=digest: body.update(config_sha256=digest),
        )
        archive.members = [each for each in archive.members if not each[0].name.endswith("done.json")]
        archive.manifest["files"] = {
            key: value for key, value in archive.manifest["files"].items() if not key.endswith("done.json")
        }
    written = archive.write(packed.with_name("strange.tar"))

    assert rests.mml("files", "import", str(written), "--proj", "strange").code == 0
    for words in (["files", "why", "DRAWN/dots/drawn_0001.json"], ["files", "verify"], ["runs", "list"]):
        rests.mml(*words, "--proj", "strange")
    assert rests.mml("run", "--continue", "--proj", "strange").code != 0
    rests.run("reuse.auto=strange", "reuse.drawn=strange")

    assert not marker.exists()
