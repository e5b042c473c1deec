"""Telling a cancellation from an error that looks like one."""

from __future__ import annotations

import asyncio


def is_being_cancelled() -> bool:
    """Tell whether the current task was asked to end.

    A CancelledError may as well come out of something that the task awaits: then nobody wants the task to end, and
    what it was doing has failed.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
