"""The marks by which hooks and their implementations are known."""

from __future__ import annotations

import pluggy

PROJECT = "mml"
PLUGIN_API = 1
"""What a plugin's ``MML_PLUGIN_API`` must equal."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
