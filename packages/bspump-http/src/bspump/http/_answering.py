"""What webhooks and WebSocket servers have in common: somebody waits to hear that the event is durable."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import aiohttp.web
import asab

from bspump import Context, Event, PipelineError, ProcessingError, Source, option

if TYPE_CHECKING:
    from bspump import Pipeline

Handler = Callable[[aiohttp.web.Request], Awaitable[aiohttp.web.StreamResponse]]


class NotTakenError(PipelineError):
    """An event was not taken, or nobody knows whether it became durable. Its sender should send it again."""


class AnsweringSource(Source):
    """Takes events out of requests, and tells when they are durable. Derive from it, and call `take` and `durable`.

    The position is the number of the last event that somebody waits for. All those who wait share the checkpoints of
    the pipeline: one is under way, and what comes in meanwhile waits for the next one together. The option
    ``commit_interval``, how long a checkpoint waits for more of them, is short unless you set it.
    """

    ConfigDefaults: dict[str, Any] = {"commit_interval": 0.005}

    path = option.text(help="The path of a route at the application's web server; none if empty.")
    bearer_token = option.secret(help="If set, `handler` answers requests that do not have this token with 401.")
    ready_timeout = option.seconds(
        10.0,
        help="How long a request, or a message, waits for the pipeline to be ready before it is refused; 0 for no "
        "limit. What is refused is answered with 503; on a WebSocket, the connection is closed.",
    )

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._last = 0
        self._lost_up_to = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._entering: set[asyncio.Timeout] = set()
        self._is_closing = False
        pipeline.PubSub.subscribe("bspump.pipeline.start!", self._on_start)
        pipeline.PubSub.subscribe("bspump.pipeline.stop!", self._on_stop)
        pipeline.PubSub.subscribe("bspump.pipeline.error!", self._on_error)
        app.PubSub.subscribe("Application.stop!", self._on_stop)

    def _add_route(self, methods: list[str], handler: Handler) -> None:
        """Add the route that the option ``path`` asks for."""
        path = self.path.strip()
        if not path:
            return
        container = getattr(self.App, "WebContainer", None)
        with self.options() as options:
            if container is None:
                options.refuse("path", "needs a web server: set [web] listen, or add the route to one of your own")
            elif not path.startswith("/"):
                options.refuse("path", "does not begin with /")
            else:
                for method in methods:
                    container.WebApp.router.add_route(method, path, handler)

    def authorize(self, request: aiohttp.web.Request) -> None:
        """Check the token of a request.

        Raises:
            aiohttp.web.HTTPUnauthorized: it is not the one that the option ``bearer_token`` demands.
        """
        if not self.bearer_token:
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        is_known = hmac.compare_digest(token.strip().encode(), self.bearer_token.encode())
        if scheme.lower() != "bearer" or not is_known:
            raise aiohttp.web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})

    # Events come in

    async def take(self, event: Event, context: Context) -> int:
        """Hand an event to the pipeline. Returns its number, for `durable`.

        Raises:
            NotTakenError: the pipeline is stopped, or was not ready for longer than ``ready_timeout``.
            Exception: what a processor raised, if it is a hard error.
        """
        if self._is_closing:
            raise NotTakenError(f"{self!r} is shutting down")
        if self.Pipeline.is_error():
            raise NotTakenError(f"{self!r} takes nothing, since its pipeline is stopped by an error")
        limit = asyncio.timeout(self.ready_timeout or None)
        try:
            async with limit:
                with self._among_those_entering(limit):
                    await self.process(event, context)
        except TimeoutError:
            # An event is never half accepted: what is cancelled is the waiting for the pipeline.
            if not limit.expired():
                raise
            raise NotTakenError(self._why_not_taken()) from None
        self._last += 1
        return self._last

    @contextlib.contextmanager
    def _among_those_entering(self, limit: asyncio.Timeout) -> Iterator[None]:
        self._entering.add(limit)
        try:
            yield
        finally:
            self._entering.discard(limit)

    def _why_not_taken(self) -> str:
        if self._is_closing:
            return f"{self!r} is shutting down"
        if self.Pipeline.is_error():
            return f"{self!r} takes nothing, since its pipeline is stopped by an error"
        return f"{self!r} waited {self.ready_timeout:g} seconds for its pipeline to be ready"

    async def durable(self, number: int) -> None:
        """Return when an event is durable, and all those taken before it.

        Raises:
            NotTakenError: that cannot be had now.
        """
        if number <= (self.committed_position or 0):
            return
        if number <= self._lost_up_to:
            raise NotTakenError(f"{self!r}: event {number} was lost in an error of the pipeline")
        future = self._waiting.get(number)
        if future is None:
            future = self._waiting[number] = self.Loop.create_future()
            self.position = max(number, self.position or 0)
        await asyncio.shield(future)

    # The pipeline answers

    async def commit(self, position: int) -> None:
        """Tell those who wait."""
        for number in [number for number in self._waiting if number <= position]:
            future = self._waiting.pop(number)
            if not future.done():
                future.set_result(None)

    async def commit_now(self) -> None:
        """Wait for the checkpoint of the pipeline and tell those who wait, one way or the other."""
        try:
            await super().commit_now()
        except ProcessingError:
            self._refuse_waiting("is not durable, since the pipeline is stopped by an error")
            raise

    async def rewind(self) -> None:
        """Let everything that is not durable be sent again."""
        self._lost_up_to = self._last
        self._refuse_waiting("was lost in an error of the pipeline")

    async def close(self) -> None:
        """Refuse what has not become durable."""
        self._refuse_waiting("did not become durable before the pipeline ended")

    async def main(self) -> None:
        """Wait: others bring the events."""
        await self.stopped()

    def _refuse_waiting(self, reason: str) -> None:
        waiting, self._waiting = self._waiting, {}
        for number, future in waiting.items():
            if not future.done():
                future.set_exception(NotTakenError(f"{self!r}: event {number} {reason}"))
                future.exception()  # those who waited may have gone

    def _on_start(self, message_type: str, *args: Any, **kwargs: Any) -> None:
        self._is_closing = False

    def _on_stop(self, message_type: str, *args: Any, **kwargs: Any) -> None:
        self._is_closing = True
        self._end_entering()

    def _on_error(self, message_type: str, *args: Any, **kwargs: Any) -> None:
        self._end_entering()

    def _end_entering(self) -> None:
        """End the waiting of those who wait for the pipeline to be ready."""
        for limit in self._entering:
            if not limit.expired():
                limit.reschedule(self.Loop.time())
