"""Whole applications in processes of their own: those of the manual and of the README, stopped and killed."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

import bspump
import bspump.http
from bspump.testing import MemorySource, PumpRunner, until

README = Path(__file__).parents[1] / "README.md"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    script: str, *arguments: str, cwd: Path | None = None, output: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    """Run a script until the end of the block; its output is text, to be read."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", script, *arguments],
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Return the output of a process up to and including a line with the text."""
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if text in line:
            return output
    raise AssertionError(f"the process ended without {text!r}:\n{output}")


@pytest.fixture
def api() -> Iterator[str]:
    """The URL of a server that says what bitcoins cost, and which key it was asked with."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"chartName": "Bitcoin", "key": self.headers.get("TRN-Api-Key"), "path": self.path})
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/price"
    server.shutdown()
    server.server_close()
    thread.join()


CONFIGURED = """
import sys
import bspump
import bspump.common
import bspump.http
import bspump.trigger

class SamplePipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.http.HTTPClientSource(app, self,
            config={'url': self.Config['url'].format(api_key = self.Config['api_key'])},
            headers={'TRN-Api-Key': self.Config['api_key']}).on(bspump.trigger.PeriodicTrigger(app, 0.1)),
            bspump.common.StdJsonToDictParser(app, self),
            bspump.common.PPrintSink(app, self),
        )

if __name__ == '__main__':
    app = bspump.BSPumpApplication(sys.argv[1:])
    svc = app.get_service("bspump.PumpService")
    pl = SamplePipeline(app, 'SamplePipeline')
    svc.add_pipeline(pl)
    app.run()
"""


def test_the_source_as_the_manual_configures_it(api: str, tmp_path: Path) -> None:
    config = tmp_path / "pump.conf"
    config.write_text(f"[pipeline:SamplePipeline]\nurl={api}?appid={{api_key}}\napi_key=k3y\n")
    with running(CONFIGURED, "-c", str(config)) as process:
        output = read_until(process, "/price?appid=k3y")
    assert "1 pipeline(s) ready." in output
    assert "{'chartName': 'Bitcoin', 'key': 'k3y', 'path': '/price?appid=k3y'}" in output


SERVER = """
import sys
import bspump
import bspump.common
import bspump.web
import bspump.http

class SamplePipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.http.WebSocketSource(app, self),
            bspump.common.PPrintSink(app, self)
        )

if __name__ == '__main__':
    app = bspump.BSPumpApplication([], web_listen="127.0.0.1:" + sys.argv[1])
    svc = app.get_service("bspump.PumpService")
    pl = SamplePipeline(app, 'SamplePipeline')
    svc.add_pipeline(pl)
    app.WebContainer.WebApp.router.add_get('/bspump/ws', pl.WebSocketSource.handler)
    app.run()
"""

CLIENT = """
import sys
import bspump
import bspump.common
import bspump.http
import bspump.trigger

class SamplePipeline(bspump.Pipeline):
    def __init__(self, app, pipeline_id):
        super().__init__(app, pipeline_id)
        self.build(
            bspump.http.HTTPClientSource(app, self, config={
                'url': sys.argv[2]
            }).on(bspump.trigger.PeriodicTrigger(app, 0.1)),
            bspump.http.HTTPClientWebSocketSink(app, self, config={
                'url': 'http://127.0.0.1:' + sys.argv[1] + '/bspump/ws',
            })
        )

if __name__ == '__main__':
    app = bspump.BSPumpApplication([])
    svc = app.get_service("bspump.PumpService")
    pl = SamplePipeline(app, 'SamplePipeline')
    svc.add_pipeline(pl)
    app.run()
"""


def test_two_pumps_connected_by_a_websocket_as_in_the_manual(api: str) -> None:
    port = str(free_port())
    with running(SERVER, port) as server:
        read_until(server, "ready")
        with running(CLIENT, port, api) as client:
            assert "Bitcoin" in read_until(server, "Bitcoin")
            # The server goes although a client is connected, and at once.
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0
            read_until(client, "the server closed the connection with 1001 (going away)")


STORE = '''
import os
import sys
import bspump
import bspump.http


class Store(bspump.BufferedSink):
    """Appends events to a file."""

    async def write(self, batch):
        with open(sys.argv[2], "ab") as file:
            for event in batch:
                file.write((event if isinstance(event, bytes) else event.encode()) + b"\\n")
            file.flush()
            os.fsync(file.fileno())


class Webhook(bspump.Pipeline):
    def __init__(self, app):
        super().__init__(app)
        self.build(bspump.http.WebServiceSource(app, self, config={"path": "/hook"}), Store(app, self))


class Socket(bspump.Pipeline):
    def __init__(self, app):
        super().__init__(app)
        self.build(bspump.http.WebSocketSource(app, self, config={"path": "/ws"}), Store(app, self))


app = bspump.BSPumpApplication([], web_listen="127.0.0.1:" + sys.argv[1])
app.PumpService.add_pipelines(Webhook(app), Socket(app))
app.run()
'''


def stored(path: Path) -> list[int]:
    """Return the numbers in the whole lines of a file."""
    data = path.read_bytes() if path.exists() else b""
    return [int(line) for line in data.split(b"\n")[:-1] if line.isdigit()]


@pytest.mark.oracle
@pytest.mark.parametrize("stop_signal", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_webhook_has_answered_with_200_survives(tmp_path: Path, stop_signal: signal.Signals) -> None:
    port, path = free_port(), tmp_path / "stored"
    numbers = iter(range(100_000))
    confirmed: list[int] = []

    async def client(session: aiohttp.ClientSession, until_number: int) -> None:
        for number in numbers:
            while True:
                try:
                    async with session.post(f"http://127.0.0.1:{port}/hook", data=str(number)) as response:
                        if response.status == 200:
                            confirmed.append(number)
                            break
                except aiohttp.ClientError:
                    pass  # it is down just now
                await asyncio.sleep(0.01)
            if number >= until_number:
                return

    async def scenario() -> None:
        async with aiohttp.ClientSession() as session:
            clients = [asyncio.ensure_future(client(session, 300)) for _ in range(10)]
            for limit in (100, 200):
                with running(STORE, str(port), str(path), output=subprocess.DEVNULL) as process:
                    await until(lambda limit=limit: len(confirmed) > limit)  # type: ignore[misc]
                    process.send_signal(stop_signal)
                    await asyncio.to_thread(process.wait, 20)
            with running(STORE, str(port), str(path), output=subprocess.DEVNULL):
                await asyncio.gather(*clients)

    asyncio.run(scenario())
    assert len(confirmed) > 300
    assert set(confirmed) <= set(stored(path))


@pytest.mark.oracle
@pytest.mark.parametrize("stop_signal", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_websocket_sink_has_sent_arrives_though_the_server_is_killed(
    pump: PumpRunner, tmp_path: Path, stop_signal: signal.Signals
) -> None:
    port, path = free_port(), tmp_path / "stored"
    pipeline = bspump.Pipeline(pump.app, "Sending")
    source = MemorySource(pump.app, pipeline, [str(number) for number in range(4_000)])
    config = {"url": f"ws://127.0.0.1:{port}/ws", "reconnect_delay": 0.02, "retry_backoff_max": 0.05}
    sink = bspump.http.HTTPClientWebSocketSink(pump.app, pipeline, config=config)
    pipeline.build(source, sink)

    async def scenario() -> None:
        for share in (1, 2):
            with running(STORE, str(port), str(path), output=subprocess.DEVNULL) as process:
                await until(lambda share=share: (source.committed_position or 0) > 1_300 * share)  # type: ignore[misc]
                process.send_signal(stop_signal)
                await asyncio.to_thread(process.wait, 20)
                assert set(stored(path)) >= set(range(source.committed_position))
        with running(STORE, str(port), str(path), output=subprocess.DEVNULL):
            await until(lambda: source.committed_position == 4_000)

    pump.run(scenario, pipeline)
    assert set(stored(path)) == set(range(4_000))


def test_the_pipeline_of_the_readme_runs(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    taken: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    port = free_port()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    script = code[1].replace("https://collector.example.org", f"http://127.0.0.1:{server.server_port}")
    script = script.replace("8080", str(port)).replace("BSPumpApplication(", "BSPumpApplication([], ")

    async def post(session: aiohttp.ClientSession, body: bytes) -> int:
        while True:
            with contextlib.suppress(aiohttp.ClientConnectorError):  # it may listen a moment later
                async with session.post(f"http://127.0.0.1:{port}/orders", data=body) as response:
                    return response.status
            await asyncio.sleep(0.01)

    async def scenario() -> None:
        async with aiohttp.ClientSession() as session:
            assert await post(session, b'{"amount": 5}') == 200
            assert await post(session, b"not JSON") == 200
            assert await post(session, b'{"amount": 6}') == 200

    try:
        with running(script, cwd=tmp_path) as process:
            read_until(process, "ready")
            asyncio.run(scenario())
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert taken == [b'{"amount":5}\n', b'{"amount":6}\n']
