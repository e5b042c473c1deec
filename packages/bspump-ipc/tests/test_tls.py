"""TLS, with certificates on one side or both."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme

import bspump
from bspump.ipc import StreamClientSink, StreamServerSource, TLSStream
from bspump.testing import MemorySink, MemorySource, PumpRunner, until

QUICK = {"retry_backoff": 0.01, "retry_backoff_max": 0.05}


class Certificates:
    """An authority of its own, a server's certificate and a client's."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.authority = str(folder / "authority.pem")
        authority.cert_pem.write_to_path(self.authority)
        self.server = self._write(authority.issue_cert("localhost", "127.0.0.1"), folder / "server.pem")
        self.client = self._write(authority.issue_cert("client"), folder / "client.pem")
        stranger = trustme.CA()
        self.stranger = self._write(stranger.issue_cert("localhost", "127.0.0.1"), folder / "stranger.pem")
        self.other_authority = str(folder / "other.pem")
        stranger.cert_pem.write_to_path(self.other_authority)

    @staticmethod
    def _write(certificate: trustme.LeafCert, path: Path) -> str:
        certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
        return str(path)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


class Echo(bspump.Sink):
    """Replies to each event with itself."""

    def process(self, context: bspump.Context, event: bspump.Event) -> None:
        context["stream"].send(event.encode() + b"\n")


def port_of(source: StreamServerSource) -> int:
    address = source.addresses[0]
    assert isinstance(address, tuple)
    return address[1]


class Server(bspump.Pipeline):
    sink_class: type[bspump.Sink] = MemorySink

    def __init__(self, app: bspump.BSPumpApplication, **options: Any) -> None:
        super().__init__(app, "Server")
        self.source = StreamServerSource(app, self, config={"address": "127.0.0.1 0", **options})
        self.sink = self.sink_class(app, self)
        self.build(self.source, self.sink)

    @property
    def events(self) -> list[bspump.Event]:
        assert isinstance(self.sink, MemorySink)
        return self.sink.events


class EchoServer(Server):
    sink_class = Echo


class Client(bspump.Pipeline):
    """Sends events to the server of the same application, whose port is known once it runs."""

    def __init__(
        self, app: bspump.BSPumpApplication, server: Server, number: int = 1000, event: bytes = b"", **options: Any
    ) -> None:
        super().__init__(app, "Client")
        host, port = "127.0.0.1", port_of(server.source)
        self.source = MemorySource(app, self, [b"%d" % index + event for index in range(number)])
        self.sink = StreamClientSink(
            app,
            self,
            config={"address": f"{host} {port}", "framing": "newline", "tls": "yes", **QUICK, **options},
        )
        self.build(self.source, self.sink)


async def client_of(pump: PumpRunner, server: Server, **options: Any) -> Client:
    await server.ready()
    client = Client(pump.app, server, **options)
    pump.service.add_pipeline(client)
    await pump.service.initialize(pump.app)
    return client


def test_events_arrive(pump: PumpRunner, certificates: Certificates) -> None:
    server = Server(pump.app, cert=certificates.server)

    async def scenario() -> None:
        client = await client_of(pump, server, number=100_000, cafile=certificates.authority)
        await client.source.finished.wait()
        await client.stop()
        await until(lambda: len(server.events) == 100_000)
        assert isinstance(server.sink, MemorySink)
        assert isinstance(server.sink.contexts[0]["stream"], TLSStream)

    pump.run(scenario, server)
    assert server.events == [str(index) for index in range(100_000)]


def test_large_events_arrive_whole(pump: PumpRunner, certificates: Certificates) -> None:
    server = EchoServer(pump.app, cert=certificates.server, line_limit="8MB")
    context = ssl.create_default_context(cafile=certificates.authority)
    line = bytes(range(97, 123)) * 200_000 + b"\n"

    async def scenario() -> bytes:
        await server.ready()
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server.source), ssl=context)
        writer.write(line)
        reply = await reader.readexactly(len(line))
        writer.close()
        await writer.wait_closed()
        return reply

    assert pump.run(scenario, server) == line


def test_large_batches_are_sent_whole(pump: PumpRunner, certificates: Certificates) -> None:
    server = Server(pump.app, cert=certificates.server)
    event = b"x" * 100_000

    async def scenario() -> None:
        client = await client_of(pump, server, number=300, event=event, cafile=certificates.authority)
        await client.source.finished.wait()
        await client.stop()
        await until(lambda: len(server.events) == 300)

    pump.run(scenario, server)
    assert server.events == [f"{index}{event.decode()}" for index in range(300)]


def test_both_ends_show_certificates(pump: PumpRunner, certificates: Certificates) -> None:
    server = Server(pump.app, cert=certificates.server, cafile=certificates.authority)

    authority = Path(certificates.authority).read_text()

    async def scenario() -> None:
        client = await client_of(pump, server, cadata=authority, cert=certificates.client)
        await client.source.finished.wait()
        await client.stop()
        await until(lambda: len(server.events) == 1000)

    pump.run(scenario, server)


@pytest.mark.parametrize(
    ("of_server", "of_client", "complaint"),
    [
        ({"cert": "server"}, {}, "its certificate is not trusted: unable to get local issuer certificate"),
        ({"cert": "stranger"}, {"cafile": "authority"}, "its certificate is not trusted"),
        (
            {"cert": "server"},
            {"cafile": "authority", "server_hostname": "example.org"},
            "its certificate is not trusted: Hostname mismatch, certificate is not valid for 'example.org'",
        ),
        ({}, {"cafile": "authority", "connect_timeout": "0.1"}, "the other side does not answer in time"),
    ],
)
def test_a_server_that_is_not_trusted_gets_nothing(
    pump: PumpRunner,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    of_server: dict[str, str],
    of_client: dict[str, str],
    complaint: str,
) -> None:
    server = Server(pump.app, **paths(certificates, of_server), line_limit="1kB")
    server.handle_error = lambda exception, context, event: True  # type: ignore[method-assign]

    async def scenario() -> None:
        client = await client_of(pump, server, **paths(certificates, of_client))
        await until(lambda: complaint in caplog.text)
        assert client.source.accepted_total == 0
        await client.stop()

    pump.run(scenario, server)
    assert not [event for event in server.events if event.isdigit()]
    assert "StreamClientSink('Client.StreamClientSink') cannot connect to 127.0.0.1 port " in caplog.text


def paths(certificates: Certificates, options: dict[str, str]) -> dict[str, str]:
    return {key: getattr(certificates, value, value) for key, value in options.items()}


@pytest.mark.parametrize(
    ("of_client", "at_server"),
    [
        ({}, "it shows no certificate, which is required here"),
        ({"cert": "stranger"}, "its certificate is not trusted"),
    ],
)
def test_a_client_that_is_not_trusted_sends_nothing_and_loses_nothing(
    pump: PumpRunner,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    of_client: dict[str, str],
    at_server: str,
) -> None:
    server = Server(pump.app, cert=certificates.server, cafile=certificates.authority)

    async def scenario() -> None:
        client = await client_of(pump, server, cafile=certificates.authority, **paths(certificates, of_client))
        await until(lambda: at_server in caplog.text and "does not accept our certificate" in caplog.text)
        assert client.source.accepted_total == 0
        await client.stop()

    pump.run(scenario, server)
    assert "StreamServerSource('Server.*StreamServerSource') refused the client 127.0.0.1 port " in caplog.text
    assert server.events == []


def test_one_who_does_not_speak_tls_is_refused_and_the_others_are_served(
    pump: PumpRunner, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(pump.app, cert=certificates.server, handshake_timeout=0.1)

    async def scenario() -> None:
        await server.ready()
        host, port = "127.0.0.1", port_of(server.source)
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03", b""):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(data)
            with contextlib.suppress(ConnectionResetError):
                assert len(await reader.read()) < 100
            writer.close()
        client = await client_of(pump, server, cafile=certificates.authority)
        await until(lambda: len(server.events) == 1000)
        await client.stop()

    pump.run(scenario, server)
    assert "the other side does not speak TLS" in caplog.text
    assert "the other side does not answer in time" in caplog.text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_replies_to_an_ordinary_client(pump: PumpRunner, certificates: Certificates, version: ssl.TLSVersion) -> None:
    server = EchoServer(pump.app, cert=certificates.server)
    context = ssl.create_default_context(cafile=certificates.authority)
    context.minimum_version = context.maximum_version = version
    lines = b"".join(b"%d\n" % index for index in range(50_000))

    async def scenario() -> bytes:
        await server.ready()
        host, port = "127.0.0.1", port_of(server.source)
        reader, writer = await asyncio.open_connection(host, port, ssl=context)

        async def write() -> None:
            writer.write(lines)
            await writer.drain()

        writing = asyncio.ensure_future(write())
        replies = await reader.readexactly(len(lines))
        await writing
        writer.close()
        await writer.wait_closed()
        return replies

    assert pump.run(scenario, server) == lines


@pytest.mark.parametrize("goodbye", [True, False])
def test_the_last_line_counts_only_after_a_proper_goodbye(
    pump: PumpRunner, certificates: Certificates, caplog: pytest.LogCaptureFixture, goodbye: bool
) -> None:
    server = Server(pump.app, cert=certificates.server)
    context = ssl.create_default_context(cafile=certificates.authority)

    async def scenario() -> None:
        await server.ready()
        address = server.source.addresses[0]
        thread = threading.Thread(target=say, args=(address, context, b"whole\nlast", goodbye))
        thread.start()
        await until(lambda: server.source.connections_total and not server.source.rest_get()["Connections"])
        thread.join()

    pump.run(scenario, server)
    assert server.events == (["whole", "last"] if goodbye else ["whole"])
    assert ("4 byte(s) of an incomplete line are dropped" in caplog.text) is not goodbye


def say(address: Any, context: ssl.SSLContext, data: bytes, goodbye: bool) -> None:
    with (
        socket.create_connection(address) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as encrypted,
    ):
        encrypted.sendall(data)
        if goodbye:
            encrypted.unwrap().close()


def test_an_encrypted_key_needs_its_password_and_nobody_is_asked(
    pump: PumpRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from cryptography.hazmat.primitives import serialization

    certificate = trustme.CA().issue_cert("localhost")
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"s3cret-word"),
    )
    (tmp_path / "key.pem").write_bytes(encrypted)
    (tmp_path / "cert.pem").write_bytes(certificate.cert_chain_pems[0].bytes())
    options = {"cert": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    good = Server(pump.app, **options, key_password="s3cret-word")
    good.source.prepare()
    for wrong in ({}, {"key_password": "wrong-word"}):
        with pytest.raises(bspump.ConfigurationError, match="its key cannot be used") as caught:
            Server(pump.app, **options, **wrong).source.prepare()
        assert "word" not in str(caught.value).replace("password", "")


def test_all_problems_with_certificates_are_told_before_anything_starts(
    pump: PumpRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    server = Server(
        pump.app,
        cert="/no/such/cert.pem",
        cafile=str(nonsense),
        capath="/no/such/folder",
        verify_mode="MAYBE",
        ciphers="NONE-AT-ALL",
    )

    async def nothing() -> None: ...

    pump.run(nothing, server)
    for complaint in (
        "cert: '/no/such/cert.pem' cannot be read: No such file or directory",
        f"cafile: '{nonsense}' has no certificate that can be used",
        "capath: '/no/such/folder' is no folder",
        "verify_mode: 'MAYBE' is none of CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED",
        "ciphers: 'NONE-AT-ALL' names no cipher",
    ):
        assert complaint in caplog.text


def test_a_client_may_be_left_without_trust_only_on_purpose(pump: PumpRunner, certificates: Certificates) -> None:
    server = Server(pump.app, cert=certificates.stranger)

    async def scenario() -> None:
        client = await client_of(pump, server, verify_mode="CERT_NONE")
        await client.source.finished.wait()
        await client.stop()
        await until(lambda: len(server.events) == 1000)

    pump.run(scenario, server)
