"""The health check: whether the settings hold; nothing is sent."""

from __future__ import annotations

from mml_core.api import MMLError
from mml_core.plugins import Health
from mml_notify.settings import read_settings


def check() -> Health:
    """Say who would be told of what."""
    try:
        settings = read_settings()
    except MMLError as error:
        return Health(ok=False, message=str(error))
    if not settings.channels:
        return Health(ok=True, message="nobody is told how runs end; see the plugin's README")
    ways = "; ".join(channel.label for channel in settings.channels)
    return Health(ok=True, message=f"{ways}: {', '.join(settings.events)}; `mml notify test` tries it")
