"""Every hook of mml: when it is called, with what, and an example of each.

A plugin is one light module, named by the entry-point group ``mml.plugins``, that implements any of these::

    from mml_core.plugins import SchedulerSpec, hookimpl

    MML_PLUGIN_API = 1

    @hookimpl
    def mml_schedulers():
        yield SchedulerSpec(name="count", target="mml_count.scheduler:CountScheduler")
"""

from __future__ import annotations

from mml_core.plugins.contribution_hooks import mml_architectures as mml_architectures
from mml_core.plugins.contribution_hooks import mml_config_dirs as mml_config_dirs
from mml_core.plugins.contribution_hooks import mml_datasets as mml_datasets
from mml_core.plugins.contribution_hooks import mml_executors as mml_executors
from mml_core.plugins.contribution_hooks import mml_health_checks as mml_health_checks
from mml_core.plugins.contribution_hooks import mml_path_assignments as mml_path_assignments
from mml_core.plugins.contribution_hooks import mml_schedulers as mml_schedulers
from mml_core.plugins.contribution_hooks import mml_tags as mml_tags
from mml_core.plugins.contribution_hooks import mml_tasks as mml_tasks
from mml_core.plugins.lifecycle_hooks import mml_find_task as mml_find_task
from mml_core.plugins.lifecycle_hooks import mml_metrics_logged as mml_metrics_logged
from mml_core.plugins.lifecycle_hooks import mml_run_finished as mml_run_finished
from mml_core.plugins.lifecycle_hooks import mml_run_started as mml_run_started
from mml_core.plugins.lifecycle_hooks import mml_scheduler_created as mml_scheduler_created
from mml_core.plugins.lifecycle_hooks import mml_step_finished as mml_step_finished
from mml_core.plugins.lifecycle_hooks import mml_step_started as mml_step_started
from mml_core.plugins.lifecycle_hooks import mml_trainer_callbacks as mml_trainer_callbacks
from mml_core.plugins.markers import PLUGIN_API as PLUGIN_API
from mml_core.plugins.markers import PROJECT as PROJECT
from mml_core.plugins.markers import hookimpl as hookimpl
from mml_core.plugins.markers import hookspec as hookspec
