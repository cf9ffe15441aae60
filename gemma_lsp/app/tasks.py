"""Work that a person may stop, and waiting for one of several things. Event loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def unless_stopped(task: asyncio.Task[T]) -> T | None:
    """The task's result, or None if somebody else cancelled it. Cancelling the caller cancels it, too."""
    try:
        await asyncio.wait([task])
    finally:
        task.cancel()
    return None if task.cancelled() else task.result()


async def first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Waits until one of them is over; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
