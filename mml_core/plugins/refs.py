"""String references ``"pkg.mod:Name"``: checked as text, found without import, loaded on first use."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mml_core.errors import near_matches
from mml_core.plugins.errors import RefError

_WORD = r"[^\W\d]\w*"
_MODULE = re.compile(rf"{_WORD}(\.{_WORD})*")
_REF = re.compile(rf"{_WORD}(\.{_WORD})*:{_WORD}(\.{_WORD})*")


def is_ref(text: object) -> bool:
    """Say whether ``text`` has the form ``"pkg.mod:Name"``; nothing is imported."""
    return isinstance(text, str) and _REF.fullmatch(text) is not None


def is_module(text: object) -> bool:
    """Say whether ``text`` has the form ``"pkg.mod"``; nothing is imported."""
    return isinstance(text, str) and _MODULE.fullmatch(text) is not None


def split_ref(ref: str) -> tuple[str, str]:
    """Split a reference into module and attribute.

    Args:
        ref: ``"pkg.mod:Name"``, or ``"pkg.mod.Name"`` as Hydra's ``_target_`` writes it.

    Raises:
        RefError: ``ref`` has neither form.
    """
    if is_ref(ref):
        module, _, attribute = ref.partition(":")
        return module, attribute
    if is_module(ref) and "." in ref:
        module, _, attribute = ref.rpartition(".")
        return module, attribute
    raise RefError(f"{ref!r} is no reference: write it as 'package.module:Name'.")


def load_ref(ref: str) -> Any:
    """Import what a reference names.

    Args:
        ref: ``"pkg.mod:Name"``; the dotted ``"pkg.mod.Name"`` is understood too.

    Returns:
        The object.

    Raises:
        RefError: The form is wrong, the module is missing or fails to import, or it lacks the name.
    """
    from importlib import import_module

    module_name, attribute = split_ref(ref)
    try:
        found: Any = import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a reference must not end the program
        if isinstance(error, ModuleNotFoundError) and _is_or_holds(error.name, module_name):
            near = _near_modules(str(error.name))
            raise RefError(f"Cannot load {ref!r}: there is no module {error.name!r}.{near}") from error
        raise RefError(f"Cannot load {ref!r}: importing {module_name} raised {describe(error)}.") from error
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            near = near_matches(name, (each for each in dir(found) if not each.startswith("_")))
            near = near or _own_classes(found, module_name)
            raise RefError(f"Cannot load {ref!r}: {module_name} has no {name!r}.{near}") from error
    return found


def _is_or_holds(missing: str | None, module: str) -> bool:
    return missing is not None and (module == missing or module.startswith(missing + "."))


def _near_modules(missing: str) -> str:
    """Propose modules of the package in which one is missing."""
    import pkgutil

    package, _, name = missing.rpartition(".")
    folders = getattr(sys.modules.get(package), "__path__", ())
    return near_matches(name, (module.name for module in pkgutil.iter_modules(folders)))


def _own_classes(found: Any, module: str) -> str:
    """Return a sentence that names the classes which a module defines, where those are few."""
    own = [name for name, each in vars(found).items() if getattr(each, "__module__", None) == module]
    named = [repr(name) for name in own if isinstance(vars(found)[name], type) and not name.startswith("_")]
    return f" It defines {' and '.join(named)}." if 0 < len(named) <= 3 else ""


def describe(error: BaseException) -> str:
    """Return an exception in one short line: its type and the first line of its message."""
    name = type(error).__name__
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # its class is a plugin's
        return name
    return f"{name}: {lines[0].strip()[:200]}" if lines else name


def find_module(name: str) -> tuple[Path | None, list[Path]]:
    """Find a module or package on the import path without importing it or its parents.

    Args:
        name: Dotted name.

    Returns:
        Its file (``None`` for a namespace package or a built-in module) and, for a package, its folders.

    Raises:
        RefError: There is no such module.
    """
    from importlib.machinery import PathFinder
    from importlib.util import find_spec

    head, *rest = name.split(".")
    try:
        spec = find_spec(head)
    except (ImportError, ValueError):  # ValueError: in sys.modules without a spec
        spec = PathFinder.find_spec(head, sys.path)
    walked = head
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            break
        walked = f"{walked}.{part}"
        spec = PathFinder.find_spec(walked, list(spec.submodule_search_locations))
    if spec is None or walked != name:
        raise RefError(f"There is no module {name!r} ({walked!r} was not found).")
    file = Path(spec.origin) if spec.has_location and spec.origin else None
    return file, [Path(folder) for folder in spec.submodule_search_locations or ()]
