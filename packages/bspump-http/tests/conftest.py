"""Fixtures of the tests of bspump-http: real servers and clients over real sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp.web
import pytest
import trustme
from multidict import CIMultiDict

import bspump
from bspump.testing import PumpRunner, until

WebHandler = Callable[[aiohttp.web.Request], Awaitable[aiohttp.web.StreamResponse]]
RawHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A web server with one handler for everything.

    Attributes:
        requests: what came, as (method, path with query, headers, body).
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, handler: WebHandler, context: ssl.SSLContext | None, reads: bool
    ) -> None:
        self.requests: list[tuple[str, str, CIMultiDict[str], bytes]] = []
        self.handler = handler
        self.port = 0
        self._loop = loop
        self._context = context
        self._reads = reads
        self._runner: aiohttp.web.AppRunner | None = None
        loop.run_until_complete(self.start())

    async def start(self) -> None:
        """Listen, again on the same port if it was stopped."""
        app = aiohttp.web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = aiohttp.web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = aiohttp.web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._context, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close all sockets."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        body = await request.read() if self._reads else b""
        self.requests.append((request.method, request.path_qs, CIMultiDict(request.headers), body))
        return await self.handler(request)

    def url(self, path: str = "/", user: str = "") -> str:
        """Return a URL of the server."""
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://{user + '@' if user else ''}127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        """Take the server down at the end of the test."""
        self._loop.run_until_complete(self.stop())


class Certificates:
    """A certificate authority, a server certificate and a client certificate of it."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.cafile = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.cafile)
        client = authority.issue_cert("client@example.org")
        self.cert, self.key = str(folder / "client.pem"), str(folder / "client.key")
        client.cert_chain_pems[0].write_to_path(self.cert)
        client.private_key_pem.write_to_path(self.key)
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(self.server)
        authority.configure_trust(self.server)


@pytest.fixture
def pump(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PumpRunner]:
    """An application to build pipelines in; run them with ``pump.run(scenario, *pipelines)``."""
    with PumpRunner() as runner:
        runner.configure("general", var_dir=tmp_path_factory.mktemp("var"))
        yield runner


@pytest.fixture
def serve(pump: PumpRunner) -> Iterator[Callable[..., Server]]:
    """A function that starts a web server: ``serve(handler)``."""
    servers: list[Server] = []

    def start(handler: WebHandler, context: ssl.SSLContext | None = None, *, reads: bool = True) -> Server:
        servers.append(Server(pump.app.Loop, handler, context, reads))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def serve_raw(pump: PumpRunner) -> Iterator[Callable[[RawHandler], int]]:
    """A function that starts a server which speaks whatever its handler writes. Returns the port."""
    loop: asyncio.AbstractEventLoop = pump.app.Loop
    servers: list[asyncio.Server] = []

    def start(handler: RawHandler) -> int:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readuntil(b"\r\n\r\n")
                await handler(reader, writer)
            finally:
                writer.close()

        server = loop.run_until_complete(asyncio.start_server(handle, "127.0.0.1", 0))
        servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates for both sides."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


def text_handler(*answers: Any, **options: Any) -> WebHandler:
    """Return a handler that gives one answer after the other, and then the last one again and again."""
    remaining = list(answers)

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        answer = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        if isinstance(answer, int):
            return aiohttp.web.Response(status=answer, text="no", headers=options.get("headers"))
        if isinstance(answer, str):
            return aiohttp.web.Response(text=answer, **options)
        return aiohttp.web.Response(body=answer, **options)

    return handle


async def run_cycle(source: bspump.TriggerSource) -> None:
    """Return when a cycle has ended, or the pipeline stands still because of an error."""
    ended = asyncio.Event()

    def end(message: str, pipeline: bspump.Pipeline) -> None:
        ended.set()

    for message in ("bspump.pipeline.cycle_end!", "bspump.pipeline.error!"):
        source.Pipeline.PubSub.subscribe(message, end)
    source.TriggerEvent.set()
    await ended.wait()


def error_of(pipeline: bspump.Pipeline) -> str:
    """Return the message of the error that a pipeline is stopped by."""
    return str(pipeline.rest_get()["Error"])


async def until_error(pipeline: bspump.Pipeline) -> str:
    """Wait until a pipeline is stopped by an error. Returns the message."""
    await until(pipeline.is_error)
    return error_of(pipeline)
