"""An honest scheduler, and one for each fault that the crash kit has to name."""

import json
import os
import random
import stat
from pathlib import Path

from mml_core.api import AbstractBaseScheduler, MMLFileManager

MMLFileManager.add_assignment_path(dict, "planted", "PROJ_PATH/PLANTED/drawn.json")
MMLFileManager.add_assignment_path(dict, "sum", "PROJ_PATH/SUM/sum.json", enable_numbering=False)
MMLFileManager.add_assignment_path(dict, "listed", "PROJ_PATH/LISTED/FILE_NAME", enable_numbering=False)


class Honest(AbstractBaseScheduler):
    """Two steps that draw a number each, and one that adds them up."""

    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self):
        drawn = [self.add_step("draw", number, after=()) for number in range(2)]
        self.add_step("add_up", after=drawn)

    def draw(self, number):
        value = random.random()
        path = self.fm.construct_saving_path({}, "planted")
        path.write_text(json.dumps([number, value]))
        return {"path": path, "value": value}

    def add_up(self):
        total = sum(json.loads(Path(each["path"]).read_text())[1] for each in self.drawn())
        self.fm.construct_saving_path({}, "sum").write_text(json.dumps(total))
        self.return_value = total

    def drawn(self):
        return self.results.by_method("draw")


class KeptInMemory(Honest):
    """Hands a number from one step to another on itself."""

    def draw(self, number):
        self.last = random.random()
        return super().draw(number)

    def add_up(self):
        super().add_up()
        self.return_value += self.last


class OutsideTheAttempt(Honest):
    """Writes into the project's folder by a path of its own."""

    def add_up(self):
        super().add_up()
        folder = self.fm.project_path / "NOTES"
        folder.mkdir(exist_ok=True)
        (folder / "notes.json").write_text(json.dumps(self.return_value))


class WithoutRename(Honest):
    """Appends to a file that another step has published."""

    def add_up(self):
        super().add_up()
        with Path(self.drawn()[0]["path"]).open("a") as file:
            file.write("\n")


class _Unsynced(Honest):
    def __init__(self, cfg):
        super().__init__(cfg)
        real = os.fsync
        os.fsync = lambda fd: None if self.is_left_out(os.fstat(fd).st_mode) else real(fd)


class FileNotSynced(_Unsynced):
    """Runs where the content of files is not forced to the disk."""

    is_left_out = staticmethod(stat.S_ISREG)


class FolderNotSynced(_Unsynced):
    """Runs where the names in folders are not forced to the disk."""

    is_left_out = staticmethod(stat.S_ISDIR)


class Unseeded(Honest):
    """Draws from a generator that no step seeds."""

    def draw(self, number):
        super().draw(number)
        return super().draw(int.from_bytes(os.urandom(4), "big"))


class EarlyCleanUp(Honest):
    """Removes what it has read before its own step is committed."""

    def add_up(self):
        super().add_up()
        for each in self.drawn():
            Path(each["path"]).unlink()


class Scaled(Honest):
    """Rests on a key of the config, and says so."""

    reuse_safe = True

    def __init__(self, cfg):
        super().__init__(cfg)
        self.scale = self.cfg.mode.get("scale", 1)

    def draw(self, number):
        path = self.fm.construct_saving_path({}, "planted")
        path.write_text(json.dumps([number, random.random() * self.scale]))
        return {"path": path}


class ScaledUnseen(Scaled):
    """Rests on a key that it reads where nobody notes it."""

    reuse_safe = True

    def __init__(self, cfg):
        Honest.__init__(self, cfg)
        with self.choosing_steps():
            self.scale = self.cfg.mode.get("scale", 1)


class NumberReused(Honest):
    """Numbers its files by counting on itself."""

    count = 0

    def create_routine(self):
        self.commands += ["draw", "draw", "add_up"]
        self.params += [[0], [1], []]

    def draw(self, number):
        self.count += 1
        path = self.fm.construct_saving_path({}, "listed", file_name=f"drawn-{self.count}.json")
        path.write_text(json.dumps([number, random.random()]))
        return {"path": path}
