"""The plugin keeps the contract of plugins."""

from __future__ import annotations

from mml_core.testing import PluginContract


class TestPlugin(PluginContract):
    plugin = "mml-plugin-trackers"
