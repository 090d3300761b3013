"""The data that a model of several tasks learns from: what is held out of one of them is held out of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.schedulers.holdouts import Holdout
from mml_core.storage.hashing import digest

if TYPE_CHECKING:
    from mml_core.data.datamodule import MMLDataModule
    from mml_core.data.joint import JointDataModule
    from mml_core.tasks.description import TaskDescription
    from mml_core.tasks.struct import TaskStruct

HELD_OUT = ("val", "outer", "test")


def create_data(
    cfg: Mapping[str, Any],
    structs: Sequence[TaskStruct],
    holdout: Holdout,
    *,
    data_root: Path,
    seed: int,
    joint: str | None,
) -> MMLDataModule | JointDataModule:
    """Make the data that a model of one or several tasks learns from.

    Tasks may share images, or subjects of one dataset, and have them in different folds: of each task those
    training samples are left out whose image or subject is held out of another one.

    Args:
        cfg: The config.
        structs: The task, and those that are learnt together with it.
        holdout: The folds that are held out of each.
        data_root: The data folder.
        seed: Of the step. The first task draws from it what it would draw alone, each other one from a seed
            that is made of it and its name.
        joint: How batches of several tasks are joined; None for one task.
    """
    from mml_core.data.datamodule import create_datamodule
    from mml_core.data.joint import JointDataModule

    first = structs[0].name

    def data_of(description: TaskDescription) -> MMLDataModule:
        name = description.name
        own_seed = seed if name == first else int(digest([seed, name])[:15], 16)
        return create_datamodule(
            cfg,
            description,
            data_root=data_root,
            fold=holdout.fold,
            outer=holdout.outer,
            seed=own_seed,
        )

    modules = {struct.name: data_of(struct.description) for struct in structs}
    if joint is None:
        return modules[first]
    for name, description in _without_what_others_hold_out(modules).items():
        modules[name] = data_of(description)
    return JointDataModule(modules, strategy=joint, seed=seed)


def _without_what_others_hold_out(modules: Mapping[str, MMLDataModule]) -> dict[str, TaskDescription]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    held_out = {}
    for name, module in modules.items():
        rows = np.concatenate([module.rows(part) for part in HELD_OUT])  # type: ignore[arg-type]
        samples = module.description.samples
        held_out[name] = {
            column: pc.drop_null(samples.column(column).take(rows).cast(pa.string()))
            for column in ("sha256", "group")
        }
    kept = {}
    for name, module in modules.items():
        samples = module.description.samples
        seen = np.zeros(len(samples), dtype=bool)
        for other, values in held_out.items():
            same_dataset = modules[other].description.dataset == module.description.dataset
            for column in ("sha256", "group") if same_dataset else ("sha256",):
                found = pc.is_in(samples.column(column).cast(pa.string()), value_set=values[column])
                seen |= np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool) & (other != name)
        training = np.zeros(len(samples), dtype=bool)
        training[module.rows("train")] = True
        lost = seen & training
        if lost.any():
            kept[name] = module.description.with_samples(samples.take(np.flatnonzero(~lost)))
    return kept
