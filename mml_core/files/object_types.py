"""The type of the objects a path key takes: named by a reference, and checked without importing it."""

from __future__ import annotations

import importlib
import re
import sys
import typing

from mml_core.files.errors import AssignmentError

ObjectType = type | str | None
"""A type, a reference ``"pkg.mod:Name"`` to one, or None for any."""


def reference_to(obj_cls: ObjectType) -> str | None:
    """Return the reference to a type; None for what any object is of.

    Raises:
        AssignmentError: It is neither a plain class nor a reference.
    """
    if obj_cls is None or obj_cls is object:
        return None
    if isinstance(obj_cls, str) and re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", obj_cls):
        return obj_cls
    if isinstance(obj_cls, type) and typing.get_origin(obj_cls) is None:  # list[int] passes for a type
        return f"{obj_cls.__module__}:{obj_cls.__qualname__}"
    raise AssignmentError(
        f"The type {obj_cls!r} is neither a class nor a reference to one; write it as 'pkg.mod:Name'."
    )


def is_instance_of(obj: object, reference: str) -> bool:
    """Tell whether an object is of a type named ``"pkg.mod:Name"`` without loading a package for it.

    Args:
        obj: The object.
        reference: The type, under its own or any re-exported name.
    """
    bases = type(obj).__mro__
    if any(f"{base.__module__}:{base.__qualname__}" == reference for base in bases):
        return True
    module_name, _, name = reference.partition(":")
    module = sys.modules.get(module_name)
    if module is None:
        package = module_name.partition(".")[0]
        if all(base.__module__.partition(".")[0] != package for base in bases):
            return False  # whoever made the object would have imported the package
        try:
            module = importlib.import_module(module_name)
        except ImportError:
            return False
    found: object = module
    for attribute in name.split("."):
        found = getattr(found, attribute, None)
    return isinstance(found, type) and isinstance(obj, found)
