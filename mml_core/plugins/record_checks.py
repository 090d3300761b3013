"""What the attributes of a record may hold: each check raises an error that says what must be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mml_core.errors import near_matches
from mml_core.plugins.errors import RecordError
from mml_core.plugins.path_templates import template_problems
from mml_core.plugins.refs import is_ref

TASK_TYPES = ("classification", "multilabel", "regression", "semantic_segmentation", "unlabelled")
"""The task types that tasks and architectures may name."""

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
ANY_CASE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*", re.IGNORECASE)


def wrong(record: object, attribute: str, must: str) -> RecordError:
    """Return the error that a record's attribute deserves: what it holds and what it must hold."""
    value = getattr(record, attribute, None)
    return RecordError(f"{type(record).__name__}: {attribute}={value!r} {must}.")


def check_name(record: object, attribute: str, form: re.Pattern[str] = NAME) -> None:
    """Refuse what is no name."""
    value = getattr(record, attribute)
    if not isinstance(value, str) or not form.fullmatch(value):
        case = "" if form is ANY_CASE_NAME else "lower-case "
        raise wrong(
            record, attribute, f"must be {case}letters, digits, '_', '.' and '-', not beginning with a sign"
        )


def check_ref(record: object, attribute: str) -> None:
    """Refuse what has not the form of a reference; nothing is imported."""
    if not is_ref(getattr(record, attribute)):
        raise wrong(record, attribute, "must be a reference of the form 'package.module:Name'")


def check_line(record: object, attribute: str) -> None:
    """Refuse what is not one line of text."""
    value = getattr(record, attribute)
    if not isinstance(value, str) or "\n" in value:
        raise wrong(record, attribute, "must be one line of text")


def check_flag(record: object, attribute: str) -> None:
    """Refuse what is not a bool."""
    if not isinstance(getattr(record, attribute), bool):
        raise wrong(record, attribute, "must be True or False")


def check_words(record: object, attribute: str) -> None:
    """Refuse what is no collection of distinct strings, and keep it as a tuple."""
    value = getattr(record, attribute)
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise wrong(record, attribute, "must be a tuple of strings")
    words = tuple(value)
    if not all(isinstance(word, str) and word for word in words):
        raise wrong(record, attribute, "must be a tuple of strings, none of them empty")
    if len(set(words)) < len(words):
        raise wrong(record, attribute, "must not hold a string twice")
    object.__setattr__(record, attribute, words)


def task_type(record: object, attribute: str, value: object) -> str:
    """Return a task type as plain text, or refuse it."""
    plain = getattr(value, "value", value)  # an enumeration's member is taken by its value
    if not isinstance(plain, str) or plain not in TASK_TYPES:
        near = near_matches(plain, TASK_TYPES) if isinstance(plain, str) else ""
        raise wrong(record, attribute, f"must come from {', '.join(TASK_TYPES)}{near.rstrip('?')}")
    return plain


def check_template(record: object, path: object, *, reusable: bool) -> None:
    """Refuse a path that is no template of mml; every rule it breaks is named."""
    if not isinstance(path, str):
        raise wrong(record, "path", "must be text")
    if problems := template_problems(path, reusable=reusable):
        raise wrong(record, "path", f"breaks a rule: {'; '.join(problems)}")


def is_json(value: object) -> bool:
    """Say whether a value can be written as JSON."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_json(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return all(is_json(each) for each in value)
    return value is None or isinstance(value, bool | int | float | str)
