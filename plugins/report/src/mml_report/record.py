"""How a run was made: who drove it, what was repeated and what was reused, versions, steps and returns."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from mml_report.configs import changed_keys, differing_keys, whole
from mml_report.content import Content
from mml_report.html import Markup, flat, folded, note, table, text
from mml_report.pictures import pictures


def records(content: Content) -> str:
    """Of one run its record; of a project that of each of its newest runs, folded, and what differs."""
    if content.single:
        return "".join(_record(content, each, several=False) for each in content.described)
    left_out = len(content.runs) - len(content.described)
    return (
        differing_keys(content.configs)
        + "".join(folded(_named(each), _record(content, each)) for each in content.described)
        + note(f"{left_out} older runs: mml report RUN shows the record of one." if left_out > 0 else "")
    )


def _named(found: Mapping[str, Any]) -> str:
    return f"{found['run']}: {found['mode'] or 'mode unknown'}, {found['state']}"


def _record(content: Content, found: Mapping[str, Any], *, several: bool = True) -> str:
    config = content.configs.get(str(found["run"]), {})
    command = " ".join(map(quoted, found.get("started_by") or ()))
    return "".join(
        (
            f"<p>Started by <code>{text(command)}</code></p>" if command else "",
            f"<p>Go on with it: <code>{text(found['continue_with'])}</code></p>"
            if found["continue_with"]
            else "",
            table(
                "Failures", ("step", "error"), [(each["step"], each["error"]) for each in found["failures"]]
            ),
            "".join(note(f"Notice: {line}") for line in found.get("notices", ())),
            _sessions(found),
            _in_words(found),
            _versions(found),
            "" if several else changed_keys(content.project, config),
            flat(found["return_value"], "What the run returned"),
            "" if several or content.project is None else pictures(content.project.path, _made(found)),
            folded("Steps", _steps(found)),
            folded("Files", _files(found)),
            "" if several else whole(config),
        )
    )


def quoted(word: str) -> str:
    """Quote a word for a shell, in the way that is easier to read where it has quotes itself."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`!\\') else shlex.quote(word)


def _made(found: Mapping[str, Any]) -> list[str]:
    return [file for each in found["commits"] for file in each["files"]]


def _sessions(found: Mapping[str, Any]) -> str:
    rows = [
        (
            each["session"],
            "begun" if number == 0 else "continued",
            each["by"],
            ", ".join(each["overrides"]),
            ", ".join(each["accepted"]),
        )
        for number, each in enumerate(found["sessions"])
    ]
    columns = ("when", "", "by", "overrides", "accepted changes of versions")
    return table("Sessions: the processes that drove the run", columns, rows)


def _in_words(found: Mapping[str, Any]) -> str:
    """Say how many steps are done, were repeated, and were taken over from other runs."""
    commits = found["commits"]
    if not commits:
        return ""
    again = [each for each in commits if each["attempt"] > 1]
    taken = [each for each in commits if each["taken_from"]]
    hosts = sorted({each["host"] for each in commits})
    parts = [f"{len(commits)} of {len(found['plan'])} steps are done, on {', '.join(hosts)}"]
    parts.append(
        "attempted again after an interruption or a failure: "
        + ", ".join(f"{each['step']} (attempt {each['attempt']})" for each in again)
        if again
        else "none had to be attempted again"
    )
    if taken:
        runs = ", ".join(sorted({each["taken_from"] for each in taken}))
        parts.append(f"{len(taken)} were not run but taken over from {runs}")
    return f"<p>{text('; '.join(parts))}.</p>"


def _versions(found: Mapping[str, Any]) -> str:
    commits = {each["of"]: each for each in found["git"]}
    versions = found.get("versions") or {}
    rows = [
        (
            name,
            versions.get(name),
            commits[name]["commit"] if name in commits else None,
            "changed since the commit" if name in commits and commits[name]["dirty"] else None,
        )
        for name in sorted({*versions, *commits})
    ]
    return table("Versions", ("of", "version", "commit", "files"), rows)


def _steps(found: Mapping[str, Any]) -> str:
    done = {each["step"]: each for each in found["commits"]}
    rows = []
    for each in found["plan"]:
        known = done.get(each["step"], {})
        seconds = known.get("seconds")
        rows.append(
            (
                each["step"],
                each["state"],
                known.get("attempt"),
                known.get("host"),
                known.get("started"),
                None if seconds is None else Markup(f"{seconds:.1f} s"),
                known.get("taken_from"),
            )
        )
    columns = ("step", "state", "attempt", "host", "begun", "duration", "taken over from")
    return table("Steps", columns, rows)


def _files(found: Mapping[str, Any]) -> str:
    rows = [(file, each["step"]) for each in found["commits"] for file in each["files"]]
    return table("Files that the run made, or took over", ("file", "step"), rows)
