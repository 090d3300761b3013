"""An honest scheduler, and one for each fault that the contract of schedulers has to name."""

import json
import random
from pathlib import Path

from mml_core.api import AbstractBaseScheduler, MMLFileManager

MMLFileManager.add_assignment_path(dict, "planted", "PROJ_PATH/PLANTED/drawn.json")  # this process keeps it


class Honest(AbstractBaseScheduler):
    """Draws a number for each of some letters, and adds them up."""

    letters = "abc"

    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])

    def create_routine(self):
        drawn = [self.add_step("draw", letter, after=()) for letter in self.letters]
        self.add_step("add_up", after=drawn)

    def draw(self, letter):
        value = random.random()
        self.fm.construct_saving_path({}, "planted").write_text(json.dumps([letter, value]))
        return value

    def add_up(self):
        self.return_value = sum(self.results.by_method("draw"))


class PlansASet(Honest):
    """Plans in the order of a set of words, which each process has its own of."""

    letters = frozenset("abcdefgh")


class ParamsNoJSON(Honest):
    """Gives a step what no plan can hold."""

    letters = (Path, object())


class WritesInInit(Honest):
    """Makes a file when it is constructed."""

    def __init__(self, cfg):
        super().__init__(cfg)
        Path("note.txt").write_text("made")


class WritesInRoutine(Honest):
    """Makes a file when it plans."""

    def create_routine(self):
        super().create_routine()
        Path("note.txt").write_text("made")


class Fails(Honest):
    """Fails in its last step."""

    def add_up(self):
        raise ValueError("no luck")


class CountsInMemory(Honest):
    """Hands a number from one step to the next on itself, which another process does not see."""

    count = 0

    def draw(self, letter):
        type(self).count += 1
        return super().draw(letter)

    def add_up(self):
        super().add_up()
        self.return_value += type(self).count
