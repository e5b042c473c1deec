"""Tasks that belong together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


async def first_failure_of(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait until all tasks have ended. If one fails, or this is cancelled, the others are cancelled.

    Raises:
        Exception: what the first one that failed has raised.
    """
    pending = set(tasks)
    try:
        done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            if not task.cancelled():
                task.result()
    finally:
        unfinished = {task for task in pending if not task.done()}
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished)
