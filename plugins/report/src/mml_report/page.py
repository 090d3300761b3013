"""The page: its sections in order, with all it needs inside."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from mml_report import sections
from mml_report.content import Content

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a browser may load: nothing from anywhere."""


def render(content: Content) -> str:
    """Return the page as HTML text; the same content gives the same text."""
    parts: list[tuple[str, str]] = [("Runs", sections.overview(content))]
    for task in content.tasks:
        drawn = (
            sections.scores,
            sections.curves,
            sections.confusion,
            sections.calibration,
            sections.extremes,
        )
        parts.append((task, "".join(section(content, task) for section in drawn)))
    parts += [("Models", sections.models(content)), ("How it was made", sections.record(content))]
    shown = [(f"s{number}", title, body) for number, (title, body) in enumerate(parts) if body]
    links = "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title, _ in shown)
    body = "".join(
        f'<section id="{name}"><h2>{escape(title)}</h2>{text}</section>' for name, title, text in shown
    )
    title, style = (
        escape(content.title),
        files("mml_report").joinpath("style.css").read_text(encoding="utf-8"),
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<link rel="icon" href="data:,"><style>{style}</style></head><body><header><h1>{title}</h1>'
        f"<nav><ul>{links}</ul></nav></header><main>{body}</main></body></html>\n"
    )
