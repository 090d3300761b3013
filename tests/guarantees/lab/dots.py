"""A small dataset and its task."""

import os
import signal

from PIL import Image

COUNT = 12


def draw(target, sources):
    last = int(os.environ.get("LAB_IMAGES", COUNT + 1))
    for number in range(COUNT):
        if number == last:
            (target / f"{number}.png").write_bytes(b"half an ima")
            os.kill(os.getpid(), signal.SIGKILL)
        Image.new("L", (4, 4), color=number * 20).save(target / f"{number}.png")


def describe(dataset, builder):
    builder.describe(idx_to_class={"0": "a", "1": "b"}, license="CC0-1.0", reference="drawn")
    for number in range(COUNT):
        split = "test" if number >= 8 else "train"
        builder.add(sample_id=str(number), image=f"{number}.png", label=number % 2, split=split)
