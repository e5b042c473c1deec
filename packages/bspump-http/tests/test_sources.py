"""Sources that make a request in each cycle."""

from __future__ import annotations

import asyncio
import gzip
import logging
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import aiohttp.web
import pytest

import bspump
import bspump.http
from bspump import option
from bspump.testing import MemorySink, PumpRunner, until

if TYPE_CHECKING:  # as mypy knows the module
    from conftest import Certificates, RawHandler, Server, error_of, run_cycle, text_handler, until_error
else:
    from .conftest import Certificates, RawHandler, Server, error_of, run_cycle, text_handler, until_error

Serve = Callable[..., Server]
FAST = {"fail_chilldown": 0.01}


class Polling(bspump.Pipeline):
    """A source of the given class and a sink in memory."""

    def __init__(
        self,
        pump: PumpRunner,
        source_class: type[bspump.http.HTTPClientSource] = bspump.http.HTTPClientSource,
        pipeline: dict[str, Any] | None = None,
        own_headers: dict[str, str] | None = None,
        **config: Any,
    ) -> None:
        super().__init__(pump.app, "Polling", pipeline)
        self.source = source_class(pump.app, self, config={**FAST, **config}, headers=own_headers)
        self.sink = MemorySink(pump.app, self)
        self.build(self.source, self.sink)


def poll(pump: PumpRunner, polling: Polling, cycles: int = 1) -> list[Any]:
    """Run some cycles and return the events."""

    async def scenario() -> None:
        for _ in range(cycles):
            await run_cycle(polling.source)

    pump.run(scenario, polling)
    return polling.sink.events


def failure_of(pump: PumpRunner, polling: Polling) -> str:
    """Run a cycle that fails and return the error."""

    async def scenario() -> str:
        await run_cycle(polling.source)
        return error_of(polling)

    message: str = pump.run(scenario, polling)
    return message


def test_each_cycle_brings_the_body_as_bytes(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b"one\xff", b"two"))
    polling = Polling(pump, url=server.url("/rates"))
    assert poll(pump, polling, cycles=2) == [b"one\xff", b"two"]
    assert [request[:2] for request in server.requests] == [("GET", "/rates")] * 2


def test_the_request_is_made_as_configured(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b"created"))
    pump.configure(
        "pipeline:Polling:HTTPClientSource",
        method="put",
        url=server.url("/a?b=c"),
        headers="X-One: 1\n  X-Two: a: b\n",
        body="žluť",
    )
    polling = Polling(pump, own_headers={"X-One": "from Python"})
    poll(pump, polling)
    method, path, headers, body = server.requests[0]
    assert (method, path, body.decode()) == ("PUT", "/a?b=c", "žluť")
    assert (headers["X-One"], headers["X-Two"]) == ("from Python", "a: b")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"username": "Aladdin", "password": "open sesame"}, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ({"bearer_token": "t0ken"}, "Bearer t0ken"),
        ({"headers": "Authorization: Custom x", "username": "u"}, "Custom x"),
    ],
)
def test_authentication(pump: PumpRunner, serve: Serve, config: dict[str, Any], expected: str) -> None:
    server = serve(text_handler(b""))
    poll(pump, Polling(pump, url=server.url(), **config))
    assert server.requests[0][2]["Authorization"] == expected


def test_a_user_in_the_url_authenticates(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b""))
    polling = Polling(pump, url=server.url(user="Aladdin:open%20sesame"))
    poll(pump, polling)
    assert server.requests[0][2]["Authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert "sesame" not in polling.source.URL


def test_nothing_secret_is_shown(pump: PumpRunner, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(text_handler(403))
    polling = Polling(
        pump,
        url=server.url("/x?appid=s3cret&q=s3cret#s3cret", user="s3cret:s3cret"),
        own_headers={"TRN-Api-Key": "s3cret"},
        max_failed_retries=1,
    )
    with caplog.at_level(logging.DEBUG):
        message = failure_of(pump, polling)
    assert "/x?appid=…&q=… answered 403 Forbidden, expected 200" in message
    shown = caplog.text + repr(polling.source) + str(polling.source.rest_get()) + str(polling.rest_get())
    assert "answered 403" in shown
    assert "s3cret" not in shown


def test_a_failed_request_is_made_again(pump: PumpRunner, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(text_handler(500, 503, b"at last"))
    polling = Polling(pump, url=server.url())
    assert poll(pump, polling) == [b"at last"]
    assert "GET http://127.0.0.1" in caplog.text
    assert "answered 500 Internal Server Error, expected 200; it is tried again in" in caplog.text
    assert polling._counts.warnings == 2


def test_a_pause_that_the_server_asks_for_is_kept(pump: PumpRunner, serve: Serve) -> None:
    answers = iter([429, 200])
    times: list[float] = []

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.Response:
        times.append(asyncio.get_running_loop().time())
        return aiohttp.web.Response(status=next(answers), headers={"Retry-After": "1"})

    polling = Polling(pump, url=serve(handle).url())
    assert poll(pump, polling) == [b""]
    assert times[1] - times[0] >= 1


def test_too_many_failures_stop_the_pipeline_until_it_is_cleared(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(404, 404, 404, b"good"))
    polling = Polling(pump, url=server.url(), max_failed_retries="2")

    async def scenario() -> None:
        await run_cycle(polling.source)
        assert "HTTPClientSource('Polling.*HTTPClientSource'): GET" in error_of(polling)
        assert "answered 404 Not Found, expected 200" in error_of(polling)
        polling.set_error(None, None, None)
        await polling.sink.wait_for(1)

    pump.run(scenario, polling)
    assert polling.sink.events == [b"good"]


@pytest.mark.parametrize("codes", ["200, 404", "200 404", "400-499"])
def test_other_statuses_can_be_accepted(pump: PumpRunner, serve: Serve, codes: str) -> None:
    polling = Polling(pump, url=serve(text_handler(404)).url(), response_code=codes)
    assert poll(pump, polling) == [b"no"]


def test_a_refused_connection_is_told_in_a_sentence(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b""))
    server.close()
    message = failure_of(pump, Polling(pump, url=server.url("/a"), max_failed_retries=0))
    assert f"GET http://127.0.0.1:{server.port}/a failed: connection refused" in message


def test_a_name_that_does_not_exist_is_told_in_a_sentence(pump: PumpRunner) -> None:
    message = failure_of(pump, Polling(pump, url="http://does-not-exist.invalid/", max_failed_retries=0))
    assert "failed: the name 'does-not-exist.invalid' cannot be resolved" in message


def test_a_silent_server_is_told_in_a_sentence(pump: PumpRunner, serve_raw: Callable[[RawHandler], int]) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    port = serve_raw(say_nothing)
    message = failure_of(pump, Polling(pump, url=f"http://127.0.0.1:{port}/", read_timeout=0.05, max_failed_retries=0))
    assert "failed: the server did not answer in time" in message


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "the server closed the connection without an answer"),
        (b"SMTP ready\r\n\r\n", "the answer is no valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "the connection was cut in the middle of the response"),
    ],
)
def test_a_broken_answer_is_told_in_a_sentence(
    pump: PumpRunner, serve_raw: Callable[[RawHandler], int], answer: bytes, reason: str
) -> None:
    async def write(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    polling = Polling(pump, url=f"http://127.0.0.1:{serve_raw(write)}/", max_failed_retries=0)
    assert reason in failure_of(pump, polling)
    assert polling.sink.events == []


def test_a_certificate_that_is_not_trusted_is_told_in_a_sentence(
    pump: PumpRunner, serve: Serve, certificates: Certificates
) -> None:
    server = serve(text_handler(b"secret"), certificates.server)
    message = failure_of(pump, Polling(pump, url=server.url(), max_failed_retries=0))
    assert "failed: the server's certificate is not trusted: " in message
    assert server.requests == []


def test_an_authority_of_ones_own_can_be_trusted(pump: PumpRunner, serve: Serve, certificates: Certificates) -> None:
    server = serve(text_handler(b"trusted"), certificates.server)
    assert poll(pump, Polling(pump, url=server.url(), cafile=certificates.cafile)) == [b"trusted"]


def test_trust_can_be_waived(pump: PumpRunner, serve: Serve, certificates: Certificates) -> None:
    server = serve(text_handler(b"whoever"), certificates.server)
    assert poll(pump, Polling(pump, url=server.url(), verify_mode="CERT_NONE")) == [b"whoever"]


def test_the_attribute_ssl_comes_before_the_options(pump: PumpRunner, serve: Serve, certificates: Certificates) -> None:
    server = serve(text_handler(b"whoever"), certificates.server)
    polling = Polling(pump, url=server.url())
    assert polling.source.SSL is None
    polling.source.SSL = False
    assert poll(pump, polling) == [b"whoever"]


def test_a_client_certificate_is_shown_to_the_server(
    pump: PumpRunner, serve: Serve, certificates: Certificates
) -> None:
    subjects: list[Any] = []

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.Response:
        assert request.transport is not None
        subjects.append(request.transport.get_extra_info("peercert"))
        return aiohttp.web.Response(text="known")

    certificates.server.verify_mode = ssl.CERT_REQUIRED
    try:
        server = serve(handle, certificates.server)
        polling = Polling(
            pump, url=server.url(), cafile=certificates.cafile, cert=certificates.cert, key=certificates.key
        )
        assert poll(pump, polling) == [b"known"]
    finally:
        certificates.server.verify_mode = ssl.CERT_NONE
    assert "client@example.org" in str(subjects)


def test_every_problem_with_the_configuration_is_told_at_once(pump: PumpRunner) -> None:
    Polling(
        pump,
        url="ftp://user:s3cret@example.org/",
        response_code="good",
        cafile="/does/not/exist.pem",
        headers="nonsense",
        max_failed_retries=-1,
    )
    problems = "\n".join(pump.service.configuration_problems)
    assert "url: 'ftp://example.org/' is no URL that begins with http:// or https://" in problems
    assert "response_code: 'good' is no list of statuses" in problems
    assert "cafile: '/does/not/exist.pem' cannot be read" in problems
    assert "headers: number 1 is not of the form 'Name: value'" in problems
    assert "max_failed_retries: -1 is below 0" in problems
    assert "s3cret" not in problems


def test_a_url_without_a_scheme_is_refused_without_showing_its_password(pump: PumpRunner) -> None:
    Polling(pump, url="ann:s3cret@example.org/a?key=s3cret")
    (problem,) = pump.service.configuration_problems
    assert problem.endswith("url: 'example.org/a?key=…' is no URL that begins with http:// or https://")


def test_headers_may_be_a_mapping_and_have_to_be_valid(pump: PumpRunner) -> None:
    assert Polling(pump, headers={"X-One": "a: b", "X-Two": 2}).source.Headers == {"X-One": "a: b", "X-Two": "2"}
    assert pump.service.configuration_problems == []
    for headers in ({"X One": "s3cret"}, {"X-One": "a\nX-Two: s3cret"}, "X-One:", "s3cret"):
        Polling(pump, headers=headers)
        assert pump.service.configuration_problems.pop() == (
            "[pipeline:Polling:HTTPClientSource] headers: number 1 is not of the form 'Name: value', on a line of its "
            "own"
        )


def test_a_derived_source_may_declare_options_and_change_defaults(pump: PumpRunner) -> None:
    class Rates(bspump.http.HTTPClientSource):
        """Asks for the rates of a currency."""

        ConfigDefaults = {"read_timeout": "2m", "verify_mode": "CERT_NONE"}

        currency = option.text("EUR", help="The currency.")

    source = Polling(pump, Rates, connect_timeout="1s", currency="CZK").source
    assert isinstance(source, Rates)
    assert (source.currency, source.read_timeout, source.connect_timeout) == ("CZK", 120.0, 1.0)
    assert (source.verify_mode, source.max_body_size, source.Method) == ("CERT_NONE", 256 << 20, "GET")


def test_a_body_that_is_too_large_is_not_taken_into_memory(pump: PumpRunner, serve: Serve) -> None:
    polling = Polling(pump, url=serve(text_handler(b"x" * 2000)).url(), max_body_size="1k")
    assert "is larger than max_body_size (1k)" in failure_of(pump, polling)


def test_read_can_be_overridden_by_what_returns_an_event(pump: PumpRunner, serve: Serve) -> None:
    class JSONSource(bspump.http.HTTPClientSource):
        async def read(self, response: aiohttp.ClientResponse) -> Any:
            return await response.json()

    polling = Polling(pump, JSONSource, url=serve(text_handler('{"a": 1}', content_type="application/json")).url())
    assert poll(pump, polling) == [{"a": 1}]


def test_cycle_can_be_overridden_with_the_session(pump: PumpRunner, serve: Serve) -> None:
    class Cities(bspump.http.HTTPClientSource):
        async def cycle(self, session: aiohttp.ClientSession) -> None:
            for city in ("London", "Berlin"):
                async with session.get(self.URL + city, headers=self.Headers, ssl=self.SSL or True) as response:
                    await self.process(await response.text())

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.Response(text=request.path)

    assert poll(pump, Polling(pump, Cities, url=serve(handle).url("/in/"))) == ["/in/London", "/in/Berlin"]


def test_pages_are_followed_by_the_link_header(pump: PumpRunner, serve: Serve) -> None:
    async def handle(request: aiohttp.web.Request) -> aiohttp.web.Response:
        page = int(request.query.get("page", 1))
        links = {"Link": f'</items?page={page + 1}>; rel="next"'} if page < 3 else {}
        return aiohttp.web.Response(text=f"page {page}", headers=links)

    server = serve(handle)
    polling = Polling(pump, url=server.url("/items"), pagination="link", username="u", password="p")
    assert poll(pump, polling) == [b"page 1", b"page 2", b"page 3"]
    assert all("Authorization" in request[2] for request in server.requests)


def test_pages_can_be_followed_by_what_the_body_says(pump: PumpRunner, serve: Serve) -> None:
    class Cursors(bspump.http.HTTPClientSource):
        async def next_page(self, response: aiohttp.ClientResponse) -> str | None:
            cursor = (await response.json())["next"]
            return f"?after={cursor}" if cursor else None

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.Response:
        after = int(request.query.get("after", 0))
        return aiohttp.web.json_response({"next": after + 1 if after < 2 else None})

    polling = Polling(pump, Cursors, url=serve(handle).url("/items"))
    assert poll(pump, polling) == [b'{"next": 1}', b'{"next": 2}', b'{"next": null}']


def test_a_page_on_another_server_does_not_get_the_credentials(pump: PumpRunner, serve: Serve) -> None:
    other = serve(text_handler(b"mine"))
    server = serve(text_handler(b"page", headers={"Link": f'<{other.url("/x")}>; rel="next"'}))
    polling = Polling(pump, url=server.url(), pagination="link", bearer_token="t")
    assert "/x, which is another server" in failure_of(pump, polling)
    assert other.requests == []


def test_pages_in_a_circle_are_told(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b"page", headers={"Link": '</a>; rel="next"'}))
    polling = Polling(pump, url=server.url("/a"), pagination="link")
    assert "comes after itself" in failure_of(pump, polling)
    assert len(server.requests) == 1


def test_a_compressed_body_is_decompressed(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(gzip.compress(b"body"), headers={"Content-Encoding": "gzip"}))
    assert poll(pump, Polling(pump, url=server.url())) == [b"body"]


TEXT = bspump.http.HTTPClientTextSource


@pytest.mark.parametrize(
    ("body", "header", "option"),
    [
        ("žluť".encode(), None, ""),
        ("žluť".encode(), None, "utf-8"),
        ("žluť".encode("iso-8859-2"), "iso-8859-2", ""),
        ("žluť".encode("cp1250"), "utf-8", "cp1250"),
        ("žluť".encode("utf-8-sig"), "utf-8", ""),
        ("žluť".encode("utf-16"), "utf-16", ""),
    ],
)
def test_text_is_decoded(pump: PumpRunner, serve: Serve, body: bytes, header: str | None, option: str) -> None:
    server = serve(text_handler(body, content_type="text/plain", charset=header))
    assert poll(pump, Polling(pump, TEXT, url=server.url(), encoding=option)) == ["žluť"]


def test_text_in_another_encoding_is_a_failed_event(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler("žluť".encode("cp1250"), b"good"))
    polling = Polling(pump, TEXT, url=server.url("/t"))
    assert f"the body of {server.url('/t')} is not valid utf-8: byte 0 (invalid start byte), event b'" in failure_of(
        pump, polling
    )


def test_text_in_another_encoding_can_be_skipped(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b"\xff", b"good"))
    polling = Polling(pump, TEXT, {"on_error": "skip"}, url=server.url())
    assert poll(pump, polling, cycles=2) == ["good"]


def test_a_charset_that_does_not_exist_is_told(pump: PumpRunner, serve: Serve) -> None:
    server = serve(text_handler(b"x", headers={"Content-Type": "text/plain; charset=klingon"}))
    assert "says that its charset is 'klingon', which does not exist" in failure_of(
        pump, Polling(pump, TEXT, url=server.url())
    )


def test_headers_reach_the_request_of_every_variant(pump: PumpRunner, serve: Serve) -> None:
    for source_class in (TEXT, bspump.http.HTTPClientLineSource, bspump.http.HTTPClientCSVSource):
        server = serve(text_handler(b"x"))
        polling = Polling(pump, source_class, url=server.url(), own_headers={"TRN-Api-Key": "k"})
        poll(pump, polling)
        pump.service.del_pipeline(polling)
        assert server.requests[0][2]["TRN-Api-Key"] == "k"


def test_events_that_an_error_lost_come_again(pump: PumpRunner, serve: Serve) -> None:
    """The sink cannot make durable what it took, the first time."""

    class Forgetful(MemorySink):
        failures = 1

        async def checkpoint(self) -> None:
            if self.failures:
                self.failures -= 1
                raise OSError("the disk is gone")

    server = serve(text_handler(b"event"))
    pipeline = bspump.Pipeline(pump.app, "P")
    source = bspump.http.HTTPClientSource(pump.app, pipeline, config={"url": server.url(), "commit_interval": 0})
    sink = Forgetful(pump.app, pipeline)
    pipeline.build(source, sink)

    async def scenario() -> None:
        source.TriggerEvent.set()
        assert "the disk is gone" in await until_error(pipeline)
        pipeline.set_error(None, None, None)
        await sink.wait_for(2)
        await until(lambda: source.committed_position == source.position)

    pump.run(scenario, pipeline)
    assert len(server.requests) == 2
