"""Telling: a message goes all ways that are set up, and whatever fails is one warning."""

from __future__ import annotations

import logging
import time
from threading import Thread

from mml_core.api import MMLError
from mml_core.plugins import Outcome, RunView
from mml_notify.channels import Channel
from mml_notify.message import Message, message_of
from mml_notify.secrets import scrub
from mml_notify.settings import Settings, read_settings

log = logging.getLogger(__name__)

_MARGIN = 0.5
"""Seconds beyond the timeout in which a command that is too slow is killed."""


def tell_start(run: RunView) -> None:
    """Tell that a run begins, where that is wanted; warn of settings that cannot work."""
    try:
        settings = read_settings()
    except MMLError as error:
        log.warning("Nobody will be told how this run ends: %s", error)
        return
    _tell(settings, message_of("started", run))


def tell_end(run: RunView, outcome: Outcome) -> None:
    """Tell how a run ended."""
    try:
        settings = read_settings()
    except MMLError:  # as was said when the run began
        return
    if outcome.seconds >= settings.after_seconds:
        event = "done" if outcome.ok else "interrupted" if outcome.interrupted else "failed"
        _tell(settings, message_of(event, run, outcome))


def send(settings: Settings, message: Message) -> dict[str, str]:
    """Send a message all ways at once, and wait no longer than the settings say, whatever a server does.

    Returns:
        Name of each way → what went wrong, in one line without secrets, or an empty text.
    """
    problems = {channel.label: _late(settings) for channel in settings.channels}

    def go(channel: Channel) -> None:
        problems[channel.label] = _send(channel, message, settings)

    # Timeouts of sockets hold for each of their operations, and none for looking up a name.
    threads = [Thread(target=go, args=(channel,), daemon=True) for channel in settings.channels]
    for thread in threads:
        thread.start()
    end = time.monotonic() + settings.timeout + _MARGIN
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return dict(problems)


def _send(channel: Channel, message: Message, settings: Settings) -> str:
    try:
        channel.send(message)
    except TimeoutError:
        return _late(settings)
    except Exception as error:
        found = f"{type(error).__name__}: {error}" if not isinstance(error, MMLError) else str(error)
        return scrub(found, channel.secrets)[:300] or "it failed"
    return ""


def _late(settings: Settings) -> str:
    return f"it did not end within {settings.timeout:g} s"


def _tell(settings: Settings, message: Message) -> None:
    if message.event not in settings.events:
        return
    problems = send(settings, message)
    causes = "; ".join(f"{label}: {problem}" for label, problem in problems.items() if problem)
    if causes:
        log.warning("A message about this run could not be sent: %s", causes)
