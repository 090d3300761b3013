#!/usr/bin/env bash
# Images of one's own: digits as MedMNIST packs them, ink as COCO annotates it, and what the models say of new files.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export MML_DATA_PATH=$folder/data MML_RESULTS_PATH=$folder/results

run() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}

# scikit-learn's digits as an .npz file, and their ink as run lengths; some are kept as 16-bit PNG and NumPy.
cd "$folder"
python - <<'PYTHON'
import json
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

digits = load_digits()
images = np.kron(np.rint(digits.images * (255 / 16)).astype(np.uint8), np.ones((1, 2, 2), np.uint8))
parts = {"train": slice(0, 1000), "val": slice(1000, 1200), "test": slice(1200, 1500)}
arrays = {f"{split}_images": images[rows] for split, rows in parts.items()}
labels = {f"{split}_labels": digits.target[rows, None] for split, rows in parts.items()}
np.savez_compressed("digits.npz", **arrays, **labels)

Path("pictures").mkdir()
listed, annotations = [], []
for number, image in enumerate(images[:240]):
    Image.fromarray(image).save(f"pictures/{number}.png")
    ink = (image > 96).T.ravel()
    runs = ([0] if ink[0] else []) + [len(list(group)) for _, group in groupby(ink)]
    segmentation = {"size": [16, 16], "counts": runs}
    listed.append({"id": number, "file_name": f"{number}.png", "height": 16, "width": 16})
    annotations.append({"id": number, "image_id": number, "category_id": 1, "segmentation": segmentation})
categories = [{"id": 1, "name": "ink"}]
Path("ink.json").write_text(json.dumps({"images": listed, "annotations": annotations, "categories": categories}))

Path("new").mkdir()
for number in range(1500, 1520):
    wide = images[number].astype(np.uint16) * 257
    digit = digits.target[number]
    if number % 2:
        Image.fromarray(wide).save(f"new/{number}_is_{digit}.png")
    else:
        np.save(f"new/{number}_is_{digit}.npy", wide)
PYTHON

run mml tasks add medmnist digits.npz --name numbers
run mml tasks add coco ink.json pictures --name ink
quick="mode.folds=2 preprocessing=none trainer.max_epochs=4"
run mml run --mode=train --tasks numbers $quick
run mml run --mode=train --tasks ink $quick
# Both folds' models predict together; the training data is not needed any more.
rm -r "$MML_DATA_PATH"
run mml predict default/numbers new --out numbers.parquet
run mml predict default/ink new --out ink.parquet
ls ink_masks | head -3
