"""Values that are refused before anything is written."""

import pytest

from mml_core.config.compose import compose
from mml_core.config.validation import mode_writes, validate
from mml_core.errors import MMLError
from mml_core.plugins import PluginManager


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["seed=abc"], "seed is 'abc'"),
        (["seed=-1"], "seed is -1"),
        (["seed=true"], "seed is True"),
        (["retries=-2"], "retries is -2"),
        (["proj='../x'"], "'../x' cannot be a folder"),
        (["proj='.'"], "cannot be a folder"),
        (["proj=null"], "The project name None cannot be a folder"),
        (["~proj"], "The project name None cannot be a folder"),
        (["~task_list"], "task_list is None; write a list"),
        (["pivot=digits"], "pivot is 'digits'; its values are set one by one, as in pivot.name=TASK"),
        (["pivot.tags=3"], "pivot.tags is 3; write a tag"),
        (["tagging.all={a: 1}"], "tagging.all is {'a': 1}; write a tag"),
        (["reuse.clean_up.models=no"], "reuse.clean_up.models is 'no'; write true or false"),
        (["reuse.clean_up=true"], "reuse.clean_up is True; write reuse.clean_up.<key>=true"),
        (["on_error=stopp"], "Did you mean 'stop'"),
        (["task_list=digits"], "write a list"),
        (["task_list=['a/b']"], "'a/b' in task_list is no task name"),
        (["task_list=['a+']"], "is no task name"),
        (["task_list=[a,a]"], "stands twice"),
        (["mode.subroutines=[task]"], "Did you mean 'tasks'"),
        (["++trainer.max_epochs=abc"], "trainer.max_epochs is 'abc'"),
        (["executor.name=nowhere"], "There is no executor 'nowhere'"),
    ],
)
def test_a_wrong_value_is_named_with_what_to_write(overrides: list[str], says: str) -> None:
    plugins = PluginManager()
    cfg = compose(["mode=info", *overrides], plugins)
    with pytest.raises(MMLError) as caught:
        validate(cfg, plugins)
    assert says in str(caught.value)


def test_without_a_mode_the_modes_are_named() -> None:
    plugins = PluginManager()
    with pytest.raises(MMLError, match=r"No mode is given.*info"):
        validate(compose([], plugins), plugins)


def test_what_is_right_passes() -> None:
    plugins = PluginManager()
    cfg = compose(["mode=info", "task_list=['digits+nested?0','b']", "mode.subroutines=[plugins]"], plugins)
    validate(cfg, plugins)
    assert not mode_writes(cfg, plugins)
    assert mode_writes(compose(["mode=train"], plugins), plugins)
