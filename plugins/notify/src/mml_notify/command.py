"""Send a trial message all ways that are set up."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    test = actions.add_parser("test", help="send a trial message, and say whether it went")
    test.add_argument(
        "--event", choices=("started", "done", "failed", "interrupted"), default="done", help="what it tells"
    )


def run(args: argparse.Namespace) -> int:
    """Send, and print how each way went; the exit code is 1 where one failed."""
    from pathlib import Path

    from mml_core.plugins import Outcome, RunView
    from mml_notify.message import message_of
    from mml_notify.secrets import NotifyError
    from mml_notify.settings import read_settings
    from mml_notify.telling import send

    settings = read_settings()
    if not settings.channels:
        raise NotifyError(
            "Nothing is set up: set MML_NOTIFY_SLACK_URL, MML_NOTIFY_SMTP_HOST or MML_NOTIFY_COMMAND, or"
            " write ~/mml/notify.yaml."
        )
    trial = RunView(id="trial", project="trial", mode="trial", dir=Path.cwd())
    failed = args.event in ("failed", "interrupted")
    outcome = Outcome(
        ok=not failed,
        value=None if failed else {"trial/accuracy": 0.95},
        error="This is a trial." if failed else None,
        seconds=0.0,
    )
    message = message_of(args.event, trial, None if args.event == "started" else outcome)
    problems = send(settings, message)
    for label, problem in problems.items():
        print(f"{label}: {problem or 'sent'}")
    return 1 if any(problems.values()) else 0
