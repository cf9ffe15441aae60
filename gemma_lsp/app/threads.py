"""Work off the event loop, in threads that never keep the process from ending. Call from the event loop's thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from gemma_lsp.base.cancel import CancelSource, CancelToken

T = TypeVar("T")


async def in_thread(work: Callable[[CancelToken], T], name: str = "work") -> T:
    """The result of `work`. Cancelling the task cancels the token; the thread then ends at its next step."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    source = CancelSource()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work(source.token)
        except Exception as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            return  # the loop has ended, and with it everyone who waited

    threading.Thread(target=run, name=name, daemon=True).start()
    try:
        return await future
    except asyncio.CancelledError:
        source.cancel()
        raise
