"""The checkpoint barrier: it walks behind the events that a pipeline has accepted until all of them are durable.

A walk goes through the depths in their order. At each it awaits the checkpoint of every processor and then the tasks
that the generator at the depth's end has under way; after that, everything that was there has moved on to the next
depth. Then it goes on in the pipelines that routers, tees and dead letters feed. Nothing is stopped meanwhile.

A walk that comes to a pipeline it is already in (pipelines that feed each other in a circle) goes once more around
until no event has moved during a whole round; the intake of the circle, and of all that feed it, pauses meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ._futures import ANY_DEPTH

if TYPE_CHECKING:
    from .abc.processor import ProcessorBase
    from .pipeline import Pipeline


class Walk:
    """One checkpoint under way, through all the pipelines that it reaches."""

    def __init__(self, *, draining: bool) -> None:
        self.draining = draining
        self.path: list[Pipeline] = []
        self.circles: set[Pipeline] = set()

    def went_around(self) -> None:
        """Note that every pipeline on the present path is part of a circle."""
        self.circles.update(self.path)


_current_walk: contextvars.ContextVar[Walk | None] = contextvars.ContextVar("bspump_walk", default=None)


def current_walk() -> Walk | None:
    """Return the walk that the running task is a part of."""
    return _current_walk.get()


def outside_walks() -> contextvars.Context:
    """Return a context for a task that outlives the walk in which it may happen to be started."""
    context = contextvars.copy_context()
    context.run(_current_walk.set, None)
    return context


async def checkpoint(pipeline: Pipeline, *, draining: bool = False) -> None:
    """Return when everything that `pipeline` accepted before the call is durable.

    Raises:
        PipelineError: the pipeline, or one that it feeds, is stopped by an error or has come to its end.
    """
    walk = _current_walk.get()
    if walk is None or not walk.path:
        walk = Walk(draining=draining)
        await asyncio.ensure_future(_walk_from(walk, pipeline))
    elif pipeline in walk.path:
        walk.went_around()
    else:
        await _visit(walk, pipeline)


async def _walk_from(walk: Walk, pipeline: Pipeline) -> None:
    _current_walk.set(walk)
    await _visit(walk, pipeline)
    if not walk.circles:
        return
    with _paused_intake(walk.circles):
        while True:
            before = _movement(walk.circles)
            await _visit(walk, pipeline)
            if _movement(walk.circles) == before:
                return


@contextlib.contextmanager
def _paused_intake(pipelines: set[Pipeline]) -> Iterator[None]:
    paused = pipelines.union(*(pipeline._feeders.all() for pipeline in pipelines))
    for pipeline in paused:
        pipeline._pause_intake()
    try:
        yield
    finally:
        for pipeline in paused:
            pipeline._resume_intake()


def _movement(pipelines: set[Pipeline]) -> list[int]:
    """Return numbers that stay the same only if no event entered one of the pipelines."""
    return [pipeline._entered_total() for pipeline in sorted(pipelines, key=id)]


async def _visit(walk: Walk, pipeline: Pipeline) -> None:
    walk.path.append(pipeline)
    try:
        await _until_failure(pipeline, walk)
    finally:
        walk.path.pop()


async def _until_failure(pipeline: Pipeline, walk: Walk) -> None:
    failure = pipeline._failure_future()
    body = asyncio.ensure_future(_body(pipeline, walk))
    try:
        await asyncio.wait({body, failure}, return_when=asyncio.FIRST_COMPLETED)
        if failure.done():
            failure.result()
        await body
    finally:
        pipeline._forget_failure_future(failure)
        if not body.done():
            body.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await body


async def _body(pipeline: Pipeline, walk: Walk) -> None:
    for source in pipeline.Sources:
        await source.checkpoint()
    for depth, processors in enumerate(list(pipeline.Processors)):
        await _checkpoint_processors(processors, walk)
        tasks = pipeline._futures.at(depth) - {asyncio.current_task()}
        free = tasks & pipeline._futures.at(ANY_DEPTH)
        if tasks:
            await asyncio.wait(tasks)
        if free:
            # A task that some component scheduled may have injected at this very depth.
            await _checkpoint_processors(processors, walk)
    for route in list(pipeline._routes):
        await route.checkpoint()


async def _checkpoint_processors(processors: list[ProcessorBase], walk: Walk) -> None:
    for processor in processors:
        if walk.draining:
            await processor.drain()
        await processor.checkpoint()
