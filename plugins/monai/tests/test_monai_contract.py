"""The plugin keeps the contract of plugins."""

from __future__ import annotations

import pytest

from mml_core.testing import PluginContract


@pytest.mark.long
class TestPlugin(PluginContract):
    plugin = "mml-plugin-monai"
