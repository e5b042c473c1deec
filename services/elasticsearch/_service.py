"""Elasticsearch 8 and 9, each as an open server and as one with TLS and the user."""

import base64
import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from services import _packages
from services._certificates import CHAIN, KEY
from services._processes import Command
from services._runners import Layout
from services._service import Service

_FOLDER = Path(__file__).parent
_NOBODY = 65534
_JVM_OPTIONS = (
    "-Xms512m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    # Only the fast compiler: halves the work of a start.
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.io.tmpdir=${ES_TMPDIR}",
)


def _password_hash(password: str) -> str:
    """Return what the file of users wants: PBKDF2 with SHA-512, as Elasticsearch writes it."""
    rounds, salt = 10_000, os.urandom(32)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, 32)
    return f"{{PBKDF2}}{rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _as_another_user(work: Path) -> list[str]:
    """Return what to put before a command that refuses to run as root.

    A user namespace changes only what the server believes to be; without one, the folder is given to nobody.
    """
    if os.geteuid() != 0:
        return []
    namespace = ["unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}"]
    if (
        shutil.which("unshare")
        and subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0
    ):
        prefix, owner = namespace, 0
    else:
        prefix, owner = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"], _NOBODY
    for path in [work, *work.rglob("*")]:
        os.chown(path, owner, owner)
    return prefix


class _Elasticsearch(Service):
    """One node; the health of an index with replicas stays yellow.

    The local one is the distribution for integration tests, the real server without most modules: see README.md.
    """

    folder = _FOLDER
    container = PurePosixPath("/usr/share/elasticsearch")
    ports = ("http", "transport")
    listeners = ("http",)
    client = "elasticsearch"
    major: int
    java: int

    @property
    def _pom(self) -> Path:
        return _FOLDER / str(self.major) / "pom.xml"

    def url(self) -> str:
        """Return the URL for a client, without the user."""
        return f"{'https' if self.secure else 'http'}://{self.address}"

    def files(self, layout: Layout) -> Mapping[str, str]:
        settings = f"""\
cluster.name: {self.name}
node.name: {self.name}
discovery.type: single-node
http.host: {layout.host}
http.port: {layout.ports["http"]}
transport.host: 127.0.0.1
transport.port: {layout.ports["transport"]}
path.data: {layout.data}
path.logs: {layout.logs}
node.store.allow_mmap: false
cluster.routing.allocation.disk.threshold_enabled: false
xpack.security.enabled: {"true" if self.secure else "false"}
xpack.security.enrollment.enabled: false
"""
        if self.secure:
            settings += f"""\
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.certificate: certificates/{CHAIN}
xpack.security.http.ssl.key: certificates/{KEY}
"""
        return {
            "elasticsearch.yml": settings,
            "jvm.options": "".join(f"{option}\n" for option in _JVM_OPTIONS),
            "users": f"{self.user}:{_password_hash(self.password)}\n",
            "users_roles": f"superuser:{self.user}\n",
        }

    def install(self, cache: Path) -> None:
        self._java_home = _packages.java(self.java)
        packed = _packages.maven(self._pom, cache)
        self._home = packed / f"elasticsearch-{_packages.version(self._pom, 'elasticsearch')}"
        if not self._home.exists():
            partial = packed / "partial"
            shutil.rmtree(partial, ignore_errors=True)
            with zipfile.ZipFile(next(packed.glob("*.zip"))) as archive:
                archive.extractall(partial)
            (partial / self._home.name).rename(self._home)

    def commands(self, layout: Layout, work: Path) -> Sequence[Command]:
        for path in (self._home / "config").iterdir():
            target = work / "config" / path.name
            if path.is_file() and not target.exists():
                shutil.copy(path, target)
        temporary = work / "tmp"
        temporary.mkdir(exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(work),
            "ES_JAVA_HOME": str(self._java_home),
            "ES_PATH_CONF": str(layout.config),
            "ES_TMPDIR": str(temporary),
            "CLI_JAVA_OPTS": "-XX:TieredStopAtLevel=1",
        }
        # The archive has lost the permission to execute.
        start = ("bash", str(self._home / "bin" / "elasticsearch"))
        log = work / "logs" / "output.log"
        return [Command((*_as_another_user(work), *start), environment, work, log)]

    def compose_variables(self) -> Mapping[str, str]:
        return {"BSPUMP_VERSION": _packages.version(self._pom, "elasticsearch")}

    async def probe(self, listener: str) -> None:
        from elasticsearch import AsyncElasticsearch

        if self.secure:
            user = (self.user, self.password)
            asked = AsyncElasticsearch(self.url(), max_retries=0, ca_certs=str(self.ca), basic_auth=user)
        else:
            asked = AsyncElasticsearch(self.url(), max_retries=0)
        async with asked as client:
            # Client 9 asks for an answer of version 9 wherever JSON is named, and server 8 has none.
            health = "/_cluster/health?wait_for_status=yellow&timeout=2s"
            await client.perform_request("GET", health, headers={"accept": "*/*"})


class Elasticsearch8(_Elasticsearch):
    """Elasticsearch 8, open to everybody."""

    name = "elasticsearch8"
    major = 8
    java = 17


class Elasticsearch9(_Elasticsearch):
    """Elasticsearch 9, open to everybody."""

    name = "elasticsearch9"
    major = 9
    java = 21


class Elasticsearch8Secure(Elasticsearch8):
    """Elasticsearch 8 with TLS, for the user only."""

    name = "elasticsearch8-secure"
    secure = ("http",)


class Elasticsearch9Secure(Elasticsearch9):
    """Elasticsearch 9 with TLS, for the user only."""

    name = "elasticsearch9-secure"
    secure = ("http",)
