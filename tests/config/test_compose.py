"""Composing configs from the core, from plugins' folders and from records."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mml_core.config.compose import compose
from mml_core.config.errors import (
    ConfigError,
    OverrideSyntaxError,
    UnknownKeyError,
    UnknownModeError,
    UnknownOptionError,
)
from mml_core.config.folder_source import ConfigFileError
from mml_core.config.folders import CORE_CONF, options_in
from mml_core.config.search_path import AmbiguousOptionError
from mml_core.errors import MMLError
from mml_core.plugins import (
    ConfigDir,
    PathAssignment,
    PluginInfo,
    PluginManager,
    SchedulerSpec,
    Status,
    hookimpl,
)


class Plugin:
    """A plugin with a mode, a path key and, where it is given a package, a config folder."""

    def __init__(self, mode: str = "toy", package: str | None = None, key: str = "maps") -> None:
        self.mode, self.package, self.key = mode, package, key

    @hookimpl
    def mml_schedulers(self):  # type: ignore[no-untyped-def]
        return [
            SchedulerSpec(
                name=self.mode,
                target="pkg.mod:Scheduler",
                subroutines=("one", "two"),
                summary="a toy",
                defaults={"depth": {"levels": 3}},
            )
        ]

    @hookimpl
    def mml_path_assignments(self):  # type: ignore[no-untyped-def]
        yield PathAssignment(
            key=self.key, path=f"PROJ_PATH/{self.key.upper()}/TASK_NAME/map.json", reusable=True
        )

    @hookimpl
    def mml_config_dirs(self):  # type: ignore[no-untyped-def]
        return [ConfigDir(package=self.package)] if self.package else []


@pytest.fixture
def plugins() -> PluginManager:
    manager = PluginManager()
    manager.register(Plugin(), "mml-plugin-toy")
    return manager


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Write packages with a config folder; importing one of them fails."""

    def write(name: str, **files: str) -> str:
        conf = tmp_path / name / "conf"
        conf.mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported')\n")
        for option, text in files.items():
            path = conf / f"{option.replace('__', '/')}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return name

    monkeypatch.syspath_prepend(str(tmp_path))
    return write


def test_a_record_alone_makes_a_mode(plugins: PluginManager) -> None:
    mode = OmegaConf.to_container(compose(["mode=toy", "mode.depth.levels=4"], plugins).mode)
    assert mode == {
        "name": "toy",
        "scheduler": {"_target_": "pkg.mod.Scheduler"},
        "subroutines": ["one", "two"],
        "depth": {"levels": 4},
    }


@pytest.mark.parametrize("name", ["mml-plugin-toy:toy", "toy:toy"])
def test_a_mode_can_be_named_by_its_provider(plugins: PluginManager, name: str) -> None:
    assert compose([f"mode={name}"], plugins).mode.name == "toy"


def test_a_mode_of_two_providers_is_an_error_when_used_only(plugins: PluginManager) -> None:
    plugins.register(Plugin(key="other"), "mml-plugin-yot")
    assert compose(["mode=info"], plugins).mode.name == "info"
    with pytest.raises(MMLError, match=r"mml-plugin-toy:toy.*mml-plugin-yot:toy"):
        compose(["mode=toy"], plugins)
    assert compose(["mode=mml-plugin-yot:toy"], plugins).mode.name == "mml-plugin-yot:toy"


def test_a_yaml_file_wins_over_the_record_and_its_package_is_not_imported(package) -> None:  # type: ignore[no-untyped-def]
    manager = PluginManager()
    name = package("toyconf", mode__toy="name: toy\nscheduler: {_target_: a.b.C}\nfrom_file: true\n")
    manager.register(Plugin(package=name), "mml-plugin-toy")
    assert compose(["mode=toy"], manager).mode.from_file is True


def test_a_yaml_file_that_names_a_scheduler_is_a_mode_of_the_files_name(package) -> None:  # type: ignore[no-untyped-def]
    manager = PluginManager()
    name = package(
        "bareconf",
        mode__bare="scheduler: {_target_: a.b.C}\n",
        mode__heir="defaults: [train, _self_]\n",
    )
    manager.register(Plugin(package=name), "mml-plugin-bare")
    assert compose(["mode=bare"], manager).mode.name == "bare"
    assert compose(["mode=heir"], manager).mode.name == "heir"


def test_the_name_of_a_mode_is_that_of_the_mode_that_runs(plugins: PluginManager) -> None:
    assert compose(["mode=info", "mode.name=toy"], plugins).mode.name == "info"


def test_one_option_of_two_plugins_is_reported_by_both_names_when_chosen(package) -> None:  # type: ignore[no-untyped-def]
    manager = PluginManager()
    for each in ("aa", "bb"):
        name = package(f"{each}conf", mode__shared="name: shared\n")
        manager.register(Plugin(mode=each, package=name, key=each), f"mml-plugin-{each}")
    assert compose(["mode=aa"], manager).mode.name == "aa"
    with pytest.raises(AmbiguousOptionError, match="mode/shared is brought by mml-plugin-aa and"):
        compose(["mode=shared"], manager)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: [\n", "line 3: "),
        ("a: 1\na: 2\n", "line 2: found duplicate key a"),
        ("a: \x00\n", "control characters"),
        ("- 1\n", "it holds a list, must hold keys and values"),
        ("text\n", "it holds a str"),
        ("5\n", "it holds a int"),
        ("a: ${b\n", "b"),
    ],
)
def test_a_config_file_that_cannot_be_used_is_named_with_its_plugin(package, text: str, says: str) -> None:  # type: ignore[no-untyped-def]
    manager = PluginManager()
    name = package("brokenconf", optimizer__broken=text)
    manager.register(Plugin(package=name), "mml-plugin-broken")
    with pytest.raises(ConfigFileError) as caught:
        compose(["mode=info", "optimizer=broken"], manager)
    assert (
        str(caught.value).count("brokenconf/conf/optimizer/broken.yaml of mml-plugin-broken cannot be") == 1
    )
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert compose(["mode=info"], manager).mode.name == "info"


def test_managers_do_not_see_each_other(plugins: PluginManager) -> None:
    compose(["mode=toy"], plugins)
    with pytest.raises(UnknownModeError):
        compose(["mode=toy"], PluginManager())


def test_reuse_takes_numbers_and_path_keys_of_plugins(plugins: PluginManager) -> None:
    cfg = compose(["reuse.models=[a,b#2]", "reuse.maps=p#3", "reuse.clean_up.maps=true"], plugins)
    assert cfg.reuse.models == ["a", "b#2"]
    assert cfg.reuse.maps == "p#3"
    assert cfg.reuse.clean_up.maps is True


def test_paths_are_absolute_and_overridable(
    plugins: PluginManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MML_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    cfg = compose(["paths.results=res"], plugins)
    assert cfg.paths == {"data": str(tmp_path / "data"), "results": str(tmp_path / "res")}


@pytest.mark.parametrize(
    ("override", "error", "says"),
    [
        ("mode=tyo", UnknownModeError, "no mode 'tyo'. Did you mean 'toy'"),
        ("sede=3", UnknownKeyError, "no key 'sede'. Did you mean 'seed'"),
        ("pivot.nmae=a", UnknownKeyError, "no key 'pivot.nmae'. Did you mean 'pivot.name'"),
        ("max_epoch=3", UnknownKeyError, "no key 'max_epoch'"),
        ("executor=sequentail", ConfigError, "no option 'sequentail' of the group 'executor'. Did you mean"),
        ("seed", OverrideSyntaxError, "'seed' cannot be read"),
        ("task_list=[a", OverrideSyntaxError, "cannot be read"),
        ("seed=1,2", ConfigError, "multirun"),
        ("=1", OverrideSyntaxError, "The override '=1' has no key"),
        ("mode=null", UnknownOptionError, "The override 'mode=null' names no option of the group 'mode'"),
        ("mode=[tyo]", UnknownModeError, "no mode 'tyo'. Did you mean 'toy'?"),
        ("reuse.models=[a", OverrideSyntaxError, "The override 'reuse.models=[a' cannot be read"),
        ("reuse.clean_up=[a]", ConfigError, "Cannot merge DictConfig with ListConfig."),
        ("~paths", ConfigError, "paths.data is None; write a folder"),
        ("paths=null", ConfigError, "paths.data is None; write a folder"),
        ("paths.data=[a]", ConfigError, "paths.data is ['a']; write a folder"),
        ("paths.results=null", ConfigError, "paths.results is None; write a folder"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    plugins: PluginManager, override: str, error: type[MMLError], says: str
) -> None:
    with pytest.raises(error) as caught:
        compose([override], plugins)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "object_type" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("option", [each for each in options_in(CORE_CONF) if not each.startswith("hydra/")])
def test_an_option_that_a_group_does_not_have_is_refused_with_near_matches(option: str) -> None:
    group, _, name = option.rpartition("/")
    slip = name[0] + name[2:]
    with pytest.raises(UnknownOptionError, match=f"no .*'{slip}'.* Did you mean .*'{name}'"):
        compose([f"{group}={slip}"], PluginManager())


def test_a_failed_plugin_is_named_where_a_mode_is_missing(plugins: PluginManager) -> None:
    plugins.plugins["mml-plugin-bad"] = PluginInfo(name="mml-plugin-bad", status=Status.INVALID)
    with pytest.raises(UnknownModeError, match="Not loaded: mml-plugin-bad"):
        compose(["mode=nothing"], plugins)
