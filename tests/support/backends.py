"""The three loops that every asynchronous test runs on."""

from __future__ import annotations

__all__ = ("BACKENDS", "Backend")

from typing import Any, TypeAlias

Backend: TypeAlias = tuple[str, dict[str, Any]]

BACKENDS: dict[str, Backend] = {
    "asyncio": ("asyncio", {"debug": True}),
    "uvloop": ("asyncio", {"debug": True, "use_uvloop": True}),
    "trio": ("trio", {}),
}
