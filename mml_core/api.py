"""What scripts, notebooks and plugins import from mml; each name is loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mml_core.config.compose import compose as compose
    from mml_core.config.locations import env_files as env_files
    from mml_core.config.locations import read_env_file as read_env_file
    from mml_core.config.locations import resolve_locations as resolve_locations
    from mml_core.errors import MMLError as MMLError
    from mml_core.errors import near_matches as near_matches
    from mml_core.files.artefacts import ArtefactStore as ArtefactStore
    from mml_core.files.manager import MMLFileManager as MMLFileManager
    from mml_core.learning.comparison import Comparison as Comparison
    from mml_core.learning.comparison import adjusted as adjusted
    from mml_core.learning.comparison import compare as compare
    from mml_core.learning.comparison import summarise_tasks as summarise_tasks
    from mml_core.learning.evaluation import evaluate as evaluate
    from mml_core.learning.features import Features as Features
    from mml_core.learning.features import load_features as load_features
    from mml_core.learning.features import save_features as save_features
    from mml_core.learning.intervals import Bootstrap as Bootstrap
    from mml_core.learning.layers import Layer as Layer
    from mml_core.learning.layers import layers_of as layers_of
    from mml_core.learning.metrics import LESS_IS_BETTER as LESS_IS_BETTER
    from mml_core.learning.options import OptionError as OptionError
    from mml_core.learning.options import choose as choose
    from mml_core.learning.options import require_known as require_known
    from mml_core.learning.pairing import ComparisonError as ComparisonError
    from mml_core.learning.predictions import Predictions as Predictions
    from mml_core.learning.predictions import load_predictions as load_predictions
    from mml_core.learning.probabilities import probabilities as probabilities
    from mml_core.learning.significance import holm as holm
    from mml_core.notebook.model import Model as Model
    from mml_core.notebook.model import Prediction as Prediction
    from mml_core.notebook.project import Project as Project
    from mml_core.notebook.project import open_project as open_project
    from mml_core.notebook.runs import continue_run as continue_run
    from mml_core.notebook.runs import plan as plan
    from mml_core.notebook.runs import run as run
    from mml_core.plugins import PluginManager as PluginManager
    from mml_core.schedulers.blueprints import load_blueprint as load_blueprint
    from mml_core.schedulers.features import FeatureScheduler as FeatureScheduler
    from mml_core.scheduling.base import AbstractBaseScheduler as AbstractBaseScheduler
    from mml_core.scheduling.describing import describe_run as describe_run
    from mml_core.scheduling.executors import Event as Event
    from mml_core.storage.atomic import writing as writing
    from mml_core.tasks.builder import TaskBuilder as TaskBuilder
    from mml_core.tasks.description import TaskDescription as TaskDescription
    from mml_core.tasks.description import TaskType as TaskType
    from mml_core.tasks.errors import CreationError as CreationError
    from mml_core.tasks.errors import sentence as sentence
    from mml_core.tasks.folds import assign_folds as assign_folds
    from mml_core.tasks.images import IMAGE_SUFFIXES as IMAGE_SUFFIXES
    from mml_core.tasks.images import read_image as read_image
    from mml_core.tasks.images import read_mask as read_mask
    from mml_core.tasks.models import ModelStorage as ModelStorage
    from mml_core.tasks.samples import SampleTable as SampleTable
    from mml_core.tasks.struct import TaskStruct as TaskStruct

_HOME = {
    "AbstractBaseScheduler": "mml_core.scheduling.base",
    "ArtefactStore": "mml_core.files.artefacts",
    "Bootstrap": "mml_core.learning.intervals",
    "Comparison": "mml_core.learning.comparison",
    "ComparisonError": "mml_core.learning.pairing",
    "CreationError": "mml_core.tasks.errors",
    "Event": "mml_core.scheduling.executors",
    "FeatureScheduler": "mml_core.schedulers.features",
    "Features": "mml_core.learning.features",
    "IMAGE_SUFFIXES": "mml_core.tasks.images",
    "LESS_IS_BETTER": "mml_core.learning.metrics",
    "Layer": "mml_core.learning.layers",
    "MMLError": "mml_core.errors",
    "MMLFileManager": "mml_core.files.manager",
    "Model": "mml_core.notebook.model",
    "ModelStorage": "mml_core.tasks.models",
    "OptionError": "mml_core.learning.options",
    "PluginManager": "mml_core.plugins",
    "Prediction": "mml_core.notebook.model",
    "Predictions": "mml_core.learning.predictions",
    "Project": "mml_core.notebook.project",
    "SampleTable": "mml_core.tasks.samples",
    "TaskBuilder": "mml_core.tasks.builder",
    "TaskDescription": "mml_core.tasks.description",
    "TaskStruct": "mml_core.tasks.struct",
    "TaskType": "mml_core.tasks.description",
    "adjusted": "mml_core.learning.comparison",
    "assign_folds": "mml_core.tasks.folds",
    "choose": "mml_core.learning.options",
    "compare": "mml_core.learning.comparison",
    "compose": "mml_core.config.compose",
    "continue_run": "mml_core.notebook.runs",
    "describe_run": "mml_core.scheduling.describing",
    "env_files": "mml_core.config.locations",
    "evaluate": "mml_core.learning.evaluation",
    "holm": "mml_core.learning.significance",
    "layers_of": "mml_core.learning.layers",
    "load_blueprint": "mml_core.schedulers.blueprints",
    "load_features": "mml_core.learning.features",
    "load_predictions": "mml_core.learning.predictions",
    "near_matches": "mml_core.errors",
    "open_project": "mml_core.notebook.project",
    "plan": "mml_core.notebook.runs",
    "probabilities": "mml_core.learning.probabilities",
    "read_env_file": "mml_core.config.locations",
    "read_image": "mml_core.tasks.images",
    "read_mask": "mml_core.tasks.images",
    "require_known": "mml_core.learning.options",
    "resolve_locations": "mml_core.config.locations",
    "run": "mml_core.notebook.runs",
    "save_features": "mml_core.learning.features",
    "sentence": "mml_core.tasks.errors",
    "summarise_tasks": "mml_core.learning.comparison",
    "writing": "mml_core.storage.atomic",
}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name and return that name from it."""
    if name not in _HOME:
        raise AttributeError(f"module 'mml_core.api' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
