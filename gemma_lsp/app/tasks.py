"""Work that a person may stop. Event loop only."""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def unless_stopped(task: asyncio.Task[T]) -> T | None:
    """The task's result, or None if somebody else cancelled it. Cancelling the caller cancels it, too."""
    try:
        await asyncio.wait([task])
    finally:
        task.cancel()
    return None if task.cancelled() else task.result()
