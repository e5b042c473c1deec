"""MariaDB, for what speaks to MySQL; with a binary log of rows, and TLS for those that ask for it."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from services import _packages
from services._certificates import CA, CHAIN, KEY
from services._processes import Command, run
from services._runners import Layout
from services._service import Service

_SERVER = Path("/usr/sbin/mariadbd")


class MariaDB(Service):
    """MariaDB; the user may do everything and has a database `bspump`. The listener takes TLS as well."""

    name = "mariadb"
    folder = Path(__file__).parent
    container = PurePosixPath("/var/lib/mysql")
    listeners = ("sql",)
    ports = ("sql",)
    client = "aiomysql"

    def files(self, layout: Layout) -> Mapping[str, str]:
        certificates = layout.config / "certificates"
        settings = f"""\
[mariadbd]
bind-address = {layout.host}
port = {layout.ports["sql"]}
skip-name-resolve
character-set-server = utf8mb4
innodb-buffer-pool-size = 32M
performance-schema = OFF
server-id = 1
log-bin = binlog
binlog-format = ROW
binlog-row-metadata = FULL
ssl-ca = {certificates / CA}
ssl-cert = {certificates / CHAIN}
ssl-key = {certificates / KEY}
init-file = {layout.config / "init.sql"}
"""
        statements = f"""\
CREATE DATABASE IF NOT EXISTS bspump;
CREATE USER IF NOT EXISTS '{self.user}'@'%' IDENTIFIED BY '{self.password}';
GRANT ALL PRIVILEGES ON *.* TO '{self.user}'@'%';
"""
        return {"mariadb.cnf": settings, "init.sql": statements}

    def install(self, cache: Path) -> None:
        _packages.debian("mariadb-server", _SERVER.exists)

    def commands(self, layout: Layout, work: Path) -> Sequence[Command]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(work), "LANG": "C.UTF-8"}
        log = work / "logs" / "output.log"
        data = work / "data" / "mysql"
        # Without it, the server refuses to run as root.
        user = ["--user=root"] if os.geteuid() == 0 else []
        if not data.exists():
            partial = work / "data" / "partial"
            shutil.rmtree(partial, ignore_errors=True)
            how = ["--no-defaults", f"--datadir={partial}", "--skip-test-db", "--skip-name-resolve", *user]
            run(Command(("mariadb-install-db", *how), environment, work, log))
            partial.rename(data)
        arguments = (
            str(_SERVER), f"--defaults-file={layout.config / 'mariadb.cnf'}", f"--datadir={data}", *user,
            f"--socket={work / 'data' / 'socket'}", f"--pid-file={work / 'data' / 'pid'}",
        )  # fmt: skip
        return [Command(arguments, environment, work, log)]

    def compose_variables(self) -> Mapping[str, str]:
        return {}

    async def probe(self, listener: str) -> None:
        import aiomysql

        host, _, port = self.address.rpartition(":")
        connection = await aiomysql.connect(host=host, port=int(port), user=self.user, password=self.password)
        try:
            await connection.ping()
        finally:
            connection.close()
