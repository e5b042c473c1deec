"""Apache Kafka 4, one node in KRaft mode, with an open listener and one with TLS and SASL."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from services import _packages
from services._certificates import CHAIN_AND_KEY, client_context
from services._processes import Command, run
from services._runners import Layout
from services._service import Service

_POM = Path(__file__).with_name("pom.xml")
_CLUSTER = "YnNwdW1wLXRlc3QtMDAwMQ"


class Kafka(Service):
    """Apache Kafka.

    The secure listener takes the mechanisms SCRAM-SHA-256, SCRAM-SHA-512 and PLAIN.
    """

    name = "kafka"
    folder = _POM.parent
    container = PurePosixPath("/var/lib/kafka")
    listeners = ("plain", "sasl_ssl")
    secure = ("sasl_ssl",)
    ports = ("plain", "sasl_ssl", "controller")
    client = "aiokafka"

    def files(self, layout: Layout) -> Mapping[str, str]:
        ports = layout.ports
        text = f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{ports["controller"]}
listeners=PLAIN://{layout.host}:{ports["plain"]},SASL_SSL://{layout.host}:{ports["sasl_ssl"]},\
CONTROLLER://127.0.0.1:{ports["controller"]}
advertised.listeners=PLAIN://127.0.0.1:{ports["plain"]},SASL_SSL://127.0.0.1:{ports["sasl_ssl"]}
listener.security.protocol.map=PLAIN:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
log.dirs={layout.data}

listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location={layout.config / "certificates" / CHAIN_AND_KEY}
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{self.user}="{self.password}";

num.partitions=1
default.replication.factor=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# After a kill, the broker may not come back before the session of its former self has ended.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=16777216
"""
        return {"server.properties": text}

    def _scram(self) -> list[str]:
        secret = f"[name={self.user},password={self.password}]"
        return [f"--add-scram=SCRAM-SHA-{bits}={secret}" for bits in (256, 512)]

    def install(self, cache: Path) -> None:
        self._java = _packages.java(17) / "bin" / "java"
        self._libraries = _packages.maven(_POM, cache)

    def commands(self, layout: Layout, work: Path) -> Sequence[Command]:
        logging = ["-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.showThreadName=false"]
        java = [str(self._java), "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", *logging, "-cp", f"{self._libraries}/*"]
        properties = str(layout.config / "server.properties")

        def command(*arguments: str) -> Command:
            log = work / "logs" / "output.log"
            return Command((*java, *arguments), {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}, work, log)

        if not (work / "data" / "meta.properties").exists():
            how = ["format", "--cluster-id", _CLUSTER, "--config", properties, *self._scram()]
            run(command("kafka.tools.StorageTool", *how))
        return [command("kafka.Kafka", properties)]

    def compose_variables(self) -> Mapping[str, str]:
        return {
            "BSPUMP_VERSION": _packages.version(_POM, "kafka_2.13"),
            "BSPUMP_CLUSTER": _CLUSTER,
            "BSPUMP_SCRAM": " ".join(f"'{argument}'" for argument in self._scram()),
        }

    async def probe(self, listener: str) -> None:
        from aiokafka.admin import AIOKafkaAdminClient

        address = self.addresses[listener]
        if listener in self.secure:
            admin = AIOKafkaAdminClient(
                bootstrap_servers=address, security_protocol="SASL_SSL", ssl_context=client_context(self.ca),
                sasl_mechanism="SCRAM-SHA-512", sasl_plain_username=self.user, sasl_plain_password=self.password,
            )  # fmt: skip
        else:
            admin = AIOKafkaAdminClient(bootstrap_servers=address)
        try:
            await admin.start()
            await admin.describe_cluster()
        finally:
            await admin.close()
