"""Which subroutines of a mode are asked for."""

from __future__ import annotations

from typing import Any

from mml_core.errors import MMLError, near_matches


class SubroutineError(MMLError):
    """``mode.subroutines`` names something the scheduler does not have."""


def chosen_subroutines(cfg: Any, available: tuple[str, ...]) -> list[str]:
    """Return those of the available subroutines that ``mode.subroutines`` asks for, in their own order.

    Raises:
        SubroutineError: It asks for another one.
    """
    mode = cfg.get("mode") or {}
    asked = mode.get("subroutines")
    names = ["all"] if asked is None else [asked] if isinstance(asked, str) else list(asked)
    if "all" in names:
        return list(available)
    for name in names:
        if name not in available:
            raise SubroutineError(
                f"Mode '{mode.get('name')}' has no subroutine '{name}'.{near_matches(str(name), available)} "
                f"It has: {', '.join(available) or 'none'}."
            )
    return [name for name in available if name in names]
