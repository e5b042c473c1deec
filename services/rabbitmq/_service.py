"""RabbitMQ, with an open listener and one with TLS; both want the user."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from services import _packages
from services._certificates import CA, CHAIN, KEY, client_context
from services._processes import Command
from services._runners import Layout
from services._service import Service

# The command in /usr/sbin is a wrapper that changes the user and drops the environment.
_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class RabbitMQ(Service):
    """RabbitMQ, as Debian has it."""

    name = "rabbitmq"
    folder = Path(__file__).parent
    container = PurePosixPath("/var/lib/rabbitmq")
    listeners = ("plain", "tls")
    secure = ("tls",)
    ports = ("plain", "tls", "distribution", "names")
    client = "aio_pika"

    def url(self, listener: str = "plain", *, vhost: str = "/") -> str:
        """Return the URL for a client, with the user and the password in it."""
        scheme = "amqps" if listener in self.secure else "amqp"
        path = "%2f" if vhost == "/" else vhost
        return f"{scheme}://{self.user}:{self.password}@{self.addresses[listener]}/{path}"

    def files(self, layout: Layout) -> Mapping[str, str]:
        certificates = layout.config / "certificates"
        text = f"""\
listeners.tcp.1 = {layout.host}:{layout.ports["plain"]}
listeners.ssl.1 = {layout.host}:{layout.ports["tls"]}
ssl_options.cacertfile = {certificates / CA}
ssl_options.certfile = {certificates / CHAIN}
ssl_options.keyfile = {certificates / KEY}
ssl_options.verify = verify_none
ssl_options.fail_if_no_peer_cert = false
default_user = {self.user}
default_pass = {self.password}
loopback_users = none
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 10MB
"""
        return {"rabbitmq.conf": text, "enabled_plugins": "[].\n"}

    def install(self, cache: Path) -> None:
        _packages.debian("rabbitmq-server", _SERVER.exists)

    def commands(self, layout: Layout, work: Path) -> Sequence[Command]:
        log = work / "logs" / "output.log"
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(layout.data),
            "RABBITMQ_NODENAME": "bspump@localhost",
            "RABBITMQ_DIST_PORT": str(layout.ports["distribution"]),
            "RABBITMQ_CONFIG_FILE": str(layout.config / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(layout.config / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(layout.data / "mnesia"),
            "RABBITMQ_PID_FILE": str(layout.data / "pid"),
            "RABBITMQ_SCHEMA_DIR": str(layout.data / "schema"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(layout.data / "generated"),
            "RABBITMQ_LOG_BASE": str(layout.logs),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(layout.ports["names"]),
        }
        # The server would start Erlang's port mapper itself, as a daemon that outlives it.
        mapper = ("epmd", "-address", "127.0.0.1", "-port", str(layout.ports["names"]))
        return [
            Command(mapper, environment, work, work / "logs" / "epmd.log"),
            Command((str(_SERVER),), environment, work, log),
        ]

    def compose_variables(self) -> Mapping[str, str]:
        return {}

    async def probe(self, listener: str) -> None:
        import aio_pika

        context = client_context(self.ca) if listener in self.secure else None
        connection = await aio_pika.connect(self.url(listener), ssl_context=context)
        try:
            await connection.channel()
        finally:
            await connection.close()
