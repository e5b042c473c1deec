"""Handing events on from a socket, from which nothing can be read twice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from bspump import Context, Event, Source

_RETRY_PAUSE = 0.1


class Unprocessed:
    """Counts events that were received and that a stop left no time to hand on."""

    def __init__(self) -> None:
        self.events = 0

    def report(self, source: Source) -> None:
        """Say how many there were, if any, and begin anew."""
        if self.events:
            source.Pipeline.L.report(
                logging.WARNING,
                f"{source!r} ends with {self.events} event(s) that it received and could not hand on: they are lost, "
                f"since a socket cannot be read again",
            )
        self.events = 0


async def hand_on(
    source: Source, unprocessed: Unprocessed, events: Sequence[Event], contexts: Sequence[Context] | Context
) -> None:
    """Hand events to the pipeline of a source, all of them.

    If one of them stops the pipeline, this waits until the error is cleared and goes on with the very event that
    failed. The sender is held up meanwhile, as nothing more is read from it.
    """
    accepted = 0
    while accepted < len(events):
        begin = accepted

        def count(number: int, begin: int = begin) -> None:
            nonlocal accepted
            accepted = begin + number

        rest = events[begin:] if begin else events
        rest_of_contexts = contexts[begin:] if begin and isinstance(contexts, Sequence) else contexts
        try:
            await source.process_batch(rest, rest_of_contexts, position=count)
            return
        except asyncio.CancelledError:
            unprocessed.events += len(events) - accepted
            raise
        except Exception:
            # The pipeline has said why it stopped. If somebody has cleared the error within the same moment, it may
            # fail again at once.
            if not source.Pipeline.is_error():
                await asyncio.sleep(_RETRY_PAUSE)


async def refuse(source: Source, error: Exception, event: Event, context: Context) -> None:
    """Report something that cannot be made an event. What the pipeline does about it is its matter (``on_error``)."""
    try:
        await source.reject(error, event, context)
    except Exception as raised:
        if raised is not error:
            raise
        # The pipeline has stopped, and said why. Once it goes on, so does the source, behind what was refused.
    # A sender of nothing but rubbish must not keep the others waiting.
    await asyncio.sleep(0)
