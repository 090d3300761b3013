"""Finding misuse of the training groups before the first step, when nothing has been written yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mml_core.learning.averaging_rules import check_averaging
from mml_core.learning.compiling import check_compiling
from mml_core.learning.evaluation_options import EvaluationOptions
from mml_core.learning.factory import pipeline_of, recipe_of, start
from mml_core.learning.fit_checks import check_fit
from mml_core.learning.losses import check_loss
from mml_core.learning.optimisation import build_optimizer, build_schedule
from mml_core.learning.options import OptionError, section
from mml_core.learning.outputs import CLASSIFICATION, TaskOutput
from mml_core.learning.parameter_groups import trained_parameters
from mml_core.learning.trainer import check_trainer

if TYPE_CHECKING:
    from mml_core.learning.pipeline import Pipeline
    from mml_core.plugins import PluginManager


def check_use(cfg: Any, structs: Iterable[Any], plugins: PluginManager) -> None:
    """Refuse a config that no trainer can be made of, or whose metrics do not fit the tasks.

    Raises:
        OptionError: An option is unknown or impossible.
        UnknownPluginError: ``callbacks.disabled_plugins`` names a plugin that is not installed.
    """
    check_trainer(cfg)
    for name in section(cfg, "callbacks").get("disabled_plugins") or []:
        plugins.plugin(str(name))
    for struct in structs:
        EvaluationOptions.from_config(section(cfg, "metrics"), TaskOutput.of(struct).task_type)


def check_training(cfg: Any, structs: Iterable[Any], plugins: PluginManager) -> None:
    """Refuse a config that cannot train on a task, by making all that a training step makes of it.

    Raises:
        ArchitectureError: The architecture refuses its arguments.
        OptionError: An option of loss, metrics, optimiser or schedule is unknown or impossible.
        WeightsError: ``arch.weights`` cannot be read, or does not fit.
        AdapterError: The network cannot be adapted.
    """
    check_fit(cfg)
    check_averaging(cfg)
    check_compiling(cfg)
    recipe, trainer = recipe_of(cfg), section(cfg, "trainer")
    endless = (trainer.get("max_epochs"), trainer.get("max_steps", -1)) == (-1, -1)
    if endless and (recipe.lr_scheduler.get("name") or "none") != "none":
        raise OptionError(
            f"lr_scheduler={recipe.lr_scheduler['name']} needs an end, found trainer.max_epochs=-1; set"
            " trainer.max_epochs or trainer.max_steps, or choose lr_scheduler=none."
        )
    tried: list[Pipeline] = []
    for struct in structs:
        pipeline = pipeline_of(cfg, struct)
        (output,) = pipeline.outputs
        network = replace(pipeline, outputs=(replace(output, task="any"),), normalisation={}, classes={})
        if network not in tried:
            tried.append(network)
            model = network.build(plugins, recipe)
            check_loss(model.loss_of("any"), network.outputs[0], shares=_mixes(cfg, output))
            start(cfg, model)
            model.configure_model()
            parameters = trained_parameters(model.network, model.heads, recipe.optimizer)
            optimizer = build_optimizer(parameters, recipe.optimizer)
            build_schedule(optimizer, recipe.lr_scheduler, total_steps=100, total_epochs=100, swa=recipe.swa)


def _mixes(cfg: Any, output: TaskOutput) -> bool:
    """Say whether targets of a task become shares of its classes."""
    options = section(cfg, "augmentations")
    mixed = any(options.get(key) for key in ("mixup", "cutmix")) and options.get("mix_probability", 1)
    return bool(mixed) and output.task_type == CLASSIFICATION
