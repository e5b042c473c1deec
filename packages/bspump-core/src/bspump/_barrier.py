"""The checkpoint barrier: it walks behind the events that a pipeline has accepted until all of them are durable.

A walk goes through the depths in their order. At each it awaits the checkpoint of every processor and then the tasks
that the generator at the depth's end has under way; after that, everything that was there has moved on to the next
depth. Then it goes on in all the pipelines that routers, tees and dead letters feed, at the same time. Nothing is
stopped meanwhile.

A walk that comes to a pipeline it is already in (pipelines that feed each other in a circle) goes once more around
until no event has moved during a whole round; the intake of the circle, and of all that feed it, pauses meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ._futures import ANY_DEPTH
from .errors import ProcessingError

if TYPE_CHECKING:
    from .abc.processor import ProcessorBase
    from .pipeline import Pipeline


class Walk:
    """One checkpoint under way, through all the pipelines that it reaches."""

    def __init__(self, *, draining: bool) -> None:
        self.draining = draining
        self.is_over = False
        self.circles: set[Pipeline] = set()
        """The pipelines that the walk came back to, and those between."""


class _Place(NamedTuple):
    """Where in a walk the running task is. The branches of a walk go on at the same time, each with its own path."""

    walk: Walk
    path: tuple[Pipeline, ...]


_place: contextvars.ContextVar[_Place | None] = contextvars.ContextVar("bspump_place", default=None)


def outside_walks() -> contextvars.Context:
    """Return a context for a task that outlives the walk in which it may happen to be started."""
    context = contextvars.copy_context()
    context.run(_place.set, None)
    return context


async def checkpoint(pipeline: Pipeline, *, draining: bool = False) -> None:
    """Return when everything that `pipeline` accepted before the call is durable.

    Raises:
        PipelineError: the pipeline, or one that it feeds, is stopped by an error or has come to its end.
    """
    place = _place.get()
    if place is None or place.walk.is_over:
        await asyncio.ensure_future(_walk_from(Walk(draining=draining), pipeline))
    elif pipeline in place.path:
        place.walk.circles.update(place.path)
    else:
        await _visit(place.walk, place.path, pipeline)


async def _walk_from(walk: Walk, pipeline: Pipeline) -> None:
    try:
        await _visit(walk, (), pipeline)
        if walk.circles:
            await _go_around(walk, pipeline)
    finally:
        walk.is_over = True


async def _go_around(walk: Walk, pipeline: Pipeline) -> None:
    with _paused_intake(walk.circles):
        while True:
            before = _movement(walk.circles)
            # What waits for more events, as an aggregator does, would wait for ever now.
            walk.draining = True
            await _visit(walk, (), pipeline)
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


async def _visit(walk: Walk, path: tuple[Pipeline, ...], pipeline: Pipeline) -> None:
    failure = pipeline._errors.failure_future()
    body = asyncio.ensure_future(_body(walk, path, pipeline))
    try:
        await asyncio.wait({body, failure}, return_when=asyncio.FIRST_COMPLETED)
        if failure.done():
            failure.result()
        await body
    finally:
        pipeline._errors.forget_failure_future(failure)
        await _end({body})


async def _body(walk: Walk, path: tuple[Pipeline, ...], pipeline: Pipeline) -> None:
    _place.set(_Place(walk, (*path, pipeline)))
    for source in pipeline.Sources:
        await source.checkpoint()
    for depth, processors in enumerate(list(pipeline.Processors)):
        await _checkpoint_processors(pipeline, processors, walk)
        tasks = pipeline._futures.at(depth) - {asyncio.current_task()}
        free = tasks & pipeline._futures.at(ANY_DEPTH)
        if tasks:
            await asyncio.wait(tasks)
        if free:
            # A task that some component scheduled may have injected at this very depth.
            await _checkpoint_processors(pipeline, processors, walk)
    await _all_of([route.checkpoint() for route in list(pipeline._routes)])


async def _all_of(coroutines: list[Coroutine[Any, Any, None]]) -> None:
    """Run coroutines at the same time; raise what the first one that fails raises."""
    if len(coroutines) < 2:
        for coroutine in coroutines:
            await coroutine
        return
    tasks = {asyncio.ensure_future(coroutine) for coroutine in coroutines}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await _end(tasks)


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    unfinished = {task for task in tasks if not task.done()}
    for task in unfinished:
        task.cancel()
    if unfinished:
        await asyncio.wait(unfinished)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # seen: one of them is raised already


async def _checkpoint_processors(pipeline: Pipeline, processors: list[ProcessorBase], walk: Walk) -> None:
    for processor in processors:
        try:
            if walk.draining:
                await processor.drain()
            await processor.checkpoint()
        except ProcessingError:
            raise
        except Exception as error:
            # What it held may be lost, so everything behind the last commit has to come again.
            raise pipeline._errors.checkpoint_failed(processor, error) from error
