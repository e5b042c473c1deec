"""InfluxDB 1, open to everybody."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from services import _packages
from services._processes import Command
from services._runners import Layout
from services._service import Service


class InfluxDB(Service):
    """InfluxDB 1, as Debian has it: `/write` and `/query`, no `/api/v2`."""

    name = "influxdb"
    folder = Path(__file__).parent
    container = PurePosixPath("/var/lib/influxdb")
    listeners = ("http",)
    ports = ("http", "rpc")
    client = "aiohttp"

    def url(self) -> str:
        """Return the URL for a client."""
        return f"http://{self.address}"

    def files(self, layout: Layout) -> Mapping[str, str]:
        text = f"""\
reporting-disabled = true
bind-address = "127.0.0.1:{layout.ports["rpc"]}"
[meta]
  dir = "{layout.data / "meta"}"
[data]
  dir = "{layout.data / "data"}"
  wal-dir = "{layout.data / "wal"}"
[monitor]
  store-enabled = false
[http]
  bind-address = "{layout.host}:{layout.ports["http"]}"
"""
        return {"influxdb.conf": text}

    def install(self, cache: Path) -> None:
        _packages.debian("influxdb", lambda: shutil.which("influxd") is not None)

    def commands(self, layout: Layout, work: Path) -> Sequence[Command]:
        arguments = ("influxd", "run", "-config", str(layout.config / "influxdb.conf"))
        environment = {"PATH": os.environ["PATH"], "HOME": str(work), "LANG": "C.UTF-8"}
        return [Command(arguments, environment, work, work / "logs" / "output.log")]

    def compose_variables(self) -> Mapping[str, str]:
        return {}

    async def probe(self, listener: str) -> None:
        import aiohttp

        async with aiohttp.ClientSession(self.url(), raise_for_status=True) as session, session.get("/ping"):
            pass
