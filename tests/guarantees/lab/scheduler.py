"""A scheduler with a method for each thing that a step can do, or can be doing when something happens."""

import hashlib
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

from mml_lab.plugin import at

from mml_core.api import AbstractBaseScheduler

MARKS = Path(os.environ["LAB_MARKS"])
BLOCKS = 40


class Lab(AbstractBaseScheduler):
    def __init__(self, cfg):
        super().__init__(cfg, available_subroutines=[])
        if (MARKS / "broken-init").exists():
            raise RuntimeError("broken before any step")

    def create_routine(self):
        for number, method in enumerate(self.cfg.mode.steps):
            self.add_step(method, number, after=() if method in ("free", "wait") else None)

    def mark(self, what, number=0):
        with (MARKS / what).open("a") as file:
            file.write(f"{what}-{number} {os.getpid()}\n")

    def save(self, key, text, **names):
        path = self.fm.construct_saving_path(None, key, **names)
        path.write_text(text)
        return path

    def draw(self, number):
        self.mark("draw", number)
        drawn = str(random.random())
        path = self.save("drawn", drawn, task_name=f"a:{number}\n../b")
        self.save("last", drawn)
        at("inside", "draw")
        return {"drawn": drawn, "path": path}

    def free(self, number):
        self.mark("free", number)
        self.save("drawn", str(number), task_name="free")
        at("inside", "free")
        return number

    def wait(self, number):
        self.mark("wait", number)
        self.save("drawn", f"waited by {os.environ.get('LAB_NAME', 'nobody')}", task_name="wait")
        at("inside", "wait")
        while not (MARKS / "go").exists():
            time.sleep(0.01)
        return number

    def fail_once(self, number):
        self.mark("fail_once", number)
        if not (MARKS / "mended").exists():
            raise ValueError("not yet")

    def scratch(self, number):
        self.mark("scratch", number)
        return {"scratch": self.save("temp", self.fm.layout.run, file_name="notes.txt")}

    def reread(self, number):
        self.mark("reread", number)
        found = [Path(self.results[step]["scratch"]) for step in self.results if "scratch-" in step]
        return [path.read_text() == self.fm.layout.run for path in found]

    def attach(self, number):
        self.mark("attach", number)
        struct = self.get_struct(self.cfg.mode.task)
        struct.paths["drawn"] = self.save("drawn", str(random.random()), task_name=struct.name)
        return {"path": struct.paths["drawn"]}

    def use(self, number):
        self.mark("use", number)
        return self.get_struct(self.cfg.mode.task).paths["drawn"].read_text()

    def use_result(self, number):
        self.mark("use_result", number)
        return [Path(value["path"]).read_text() for value in map(self.results.get, self.results) if value]

    def big(self, number):
        self.mark("big", number)
        left = int(os.environ.get("LAB_BYTE", -1))
        for path in (
            self.fm.construct_saving_path(None, "drawn", task_name="big"),
            self.fm.construct_saving_path(None, "last"),
        ):
            state = hashlib.sha256()
            with path.open("wb", buffering=0) as file:
                for _ in range(BLOCKS):
                    block = random.randbytes(10_000)
                    if 0 <= left < len(block):
                        file.write(block[:left])
                        os.kill(os.getpid(), signal.SIGKILL)
                    left -= len(block)
                    state.update(block)
                    file.write(block)
                file.write(state.digest())

    # one method for each way in which a step can spend its time

    def _spend(self, kind, number):
        self.mark(kind, number)
        self.save("drawn", f"{kind} {random.random()}", task_name=kind)
        return MARKS / f"go-{kind}"

    def computing(self, number):
        go = self._spend("computing", number)
        while not go.exists():
            sum(range(100_000))
        return number

    def sleeping(self, number):
        go = self._spend("sleeping", number)
        while not go.exists():
            time.sleep(3600)
        return number

    def joining(self, number):
        go = self._spend("joining", number)
        if not go.exists():
            thread = threading.Thread(target=time.sleep, args=(3600,), daemon=True)
            thread.start()
            thread.join()
        return number

    def swallowing(self, number):
        go = self._spend("swallowing", number)
        while not go.exists():
            try:
                time.sleep(3600)
            except BaseException:
                break
        return number

    def delegating(self, number):
        go = self._spend("delegating", number)
        if not go.exists():
            program = 'touch "$0"; exec sleep 3600'
            subprocess.run(["sh", "-c", program, str(MARKS / "delegated")], check=True)
        return number

    def before_finishing_hook(self):
        self.mark("before_finishing_hook")
        at("inside", "before_finishing_hook")
        self.return_value = {step: self.results[step] for step in self.results}
