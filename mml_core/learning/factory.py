"""Creating the model of a task from the config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mml_core.learning.adapters import AdapterRule
from mml_core.learning.architectures import choose_architecture, find_architecture
from mml_core.learning.averaging_rules import SwaRule
from mml_core.learning.compiling import compile_mode, compile_network
from mml_core.learning.initial_weights import InitialWeights, results_of
from mml_core.learning.options import OptionError, section
from mml_core.learning.outputs import TaskOutput, check_together
from mml_core.learning.pipeline import Pipeline

if TYPE_CHECKING:
    from mml_core.learning.module import MMLModule, Recipe
    from mml_core.plugins import PluginManager

RECORDED = ("optimizer", "lr_scheduler", "loss", "augmentations", "sampling", "trainer", "adapter")


def create_model(cfg: Any, struct: Any, plugins: PluginManager, *co_tasks: Any) -> MMLModule:
    """Build the model the config asks for, with the weights of ``arch.weights`` or random ones.

    Args:
        cfg: The composed config; groups ``arch``, ``adapter``, ``optimizer``, ``lr_scheduler``, ``loss``,
            ``metrics``, ``preprocessing`` are read.
        struct: A TaskStruct (or TaskDescription).
        plugins: Where architectures are registered.
        *co_tasks: Further tasks that get a head on the same backbone.

    Raises:
        ArchitectureError: If the architecture does not fit the task.
        OptionError: If a training option is unknown.
        WeightsError: If ``arch.weights`` cannot be read, or does not fit.
    """
    model = pipeline_of(cfg, struct, *co_tasks).build(plugins, recipe_of(cfg))
    start(cfg, model)
    mode = compile_mode(cfg.get("arch"))
    if mode is not None:
        compile_network(model.network, mode)
    return model


def start(cfg: Any, model: MMLModule) -> None:
    """Give a new model the first weights that ``arch.weights`` names.

    Raises:
        WeightsError: They cannot be read, or do not fit.
    """
    wanted = InitialWeights.from_config(cfg.get("arch"))
    if wanted is not None:
        from mml_core.learning.pretrained import load_initial_weights

        load_initial_weights(model, wanted, results_of(cfg))


def check_model(cfg: Any, struct: Any, plugins: PluginManager, *co_tasks: Any) -> None:
    """Refuse a config that cannot make a model for a task, without importing torch or the architecture.

    Args:
        cfg: The composed config.
        struct: A TaskStruct (or TaskDescription).
        plugins: Where architectures are registered.
        *co_tasks: Further tasks that get a head on the same backbone.

    Raises:
        TogetherError: The tasks cannot share a network.
        OptionError: Their images have different numbers of channels, or different sizes.
        ArchitectureError: If the architecture does not serve the task.
        UnknownNameError: If no such architecture is registered.
        UntrainableTaskError: If the task has no targets.
    """
    pipeline = pipeline_of(cfg, struct, *co_tasks)
    check_together(pipeline.outputs)
    for output in pipeline.outputs:
        find_architecture(pipeline.architecture, plugins, output.task_type)


def recipe_of(cfg: Any) -> Recipe:
    """Read the training groups of the config."""
    from mml_core.learning.module import Recipe

    recipe = Recipe(
        optimizer=section(cfg, "optimizer"),
        lr_scheduler=section(cfg, "lr_scheduler"),
        loss=section(cfg, "loss"),
        metrics=section(cfg, "metrics"),
        adapter=AdapterRule.from_config(cfg.get("adapter")),
        swa=SwaRule.from_config(section(cfg, "callbacks").get("swa")),
    )
    if "lr" not in recipe.optimizer:
        raise OptionError("optimizer.lr is missing; set a learning rate, for example optimizer.lr=0.001.")
    return recipe


def pipeline_of(cfg: Any, struct: Any, *co_tasks: Any) -> Pipeline:
    """Describe the model the config asks for.

    Raises:
        OptionError: If the tasks have images with different numbers of channels, or of different sizes.
    """
    tasks = (struct, *co_tasks)
    inputs = {task.name: input_of(cfg, task) for task in tasks}
    if len({channels for channels, _ in inputs.values()}) > 1:
        found = ", ".join(f"{name}: {channels}" for name, (channels, _) in inputs.items())
        raise OptionError(f"Tasks of one model need images with equal numbers of channels, found {found}.")
    if len({size for _, size in inputs.values()}) > 1:
        found = ", ".join(f"{name}: {height}x{width}" for name, (_, (height, width)) in inputs.items())
        raise OptionError(
            f"Tasks of one model need images of one size, found {found}; choose a preprocessing with a size,"
            " as preprocessing=default."
        )
    outputs = tuple(TaskOutput.of(task) for task in tasks)
    return Pipeline(
        architecture=choose_architecture(cfg.get("arch"), outputs[0].task_type),
        in_channels=inputs[struct.name][0],
        image_size=inputs[struct.name][1],
        outputs=outputs,
        normalisation={task.name: {"means": list(task.means), "stds": list(task.stds)} for task in tasks},
        preprocessing=section(cfg, "preprocessing"),
        training={group: section(cfg, group) for group in RECORDED if cfg.get(group) is not None},
        classes={task.name: _classes_of(task) for task in tasks},
    )


def _classes_of(task: Any) -> list[str]:
    names: dict[str, str] = getattr(task, "idx_to_class", None) or {}
    return [names[index] for index in sorted(names, key=int)]


def input_of(cfg: Any, task: Any) -> tuple[int, tuple[int, int]]:
    """Return the channels and the height and width of the images a network gets.

    The size is that of ``preprocessing``; where each image keeps its own, that of the largest.
    """
    from mml_core.data.preprocessing import Preprocessing

    config = section(cfg, "preprocessing")
    if not config:
        return int(task.channels), (int(task.sizes.max_height), int(task.sizes.max_width))
    preprocessing = Preprocessing.from_config(config)
    return preprocessing.channels_of(int(task.channels)), preprocessing.extent(task.sizes)
