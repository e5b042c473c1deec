"""What the tests of the packages rely on, shown by real clients on the real servers."""

import asyncio
import base64
import gc
import socket
import ssl
import uuid
from collections.abc import Coroutine
from pathlib import Path

import aio_pika
import aiohttp
import aiokafka
import aiomysql
import pytest
from aio_pika.exceptions import ProbableAuthenticationError
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from services import InfluxDB, Kafka, MariaDB, RabbitMQ, Service
from services._certificates import client_context

pytestmark = pytest.mark.integration

LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}


def listening_addresses(port: int) -> set[str]:
    """Return the addresses, as the system writes them, on which somebody listens with this port."""
    listening = "0A"
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text("ascii").splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _, number = local.rpartition(":")
            if state == listening and int(number, 16) == port:
                found.add(address)
    return found


class Contract:
    """What each kind of server has to pass; a subclass says how its clients write and read."""

    @pytest.fixture
    def service(self) -> Service:
        raise NotImplementedError

    def write(self, service: Service, name: str) -> Coroutine[object, object, None]:
        raise NotImplementedError

    def read(self, service: Service, name: str) -> Coroutine[object, object, str]:
        raise NotImplementedError

    def test_every_listener_answers_a_client(self, service: Service) -> None:
        assert [listener for listener in service.listeners if not service.is_ready(listener)] == []

    def test_it_listens_on_this_machine_only(self, service: Service) -> None:
        for listener in service.listeners:
            addresses = listening_addresses(service.port(listener))
            assert addresses, listener
            assert addresses <= LOOPBACK, listener

    def test_what_is_acknowledged_outlives_a_kill(self, service: Service) -> None:
        name = f"kill-{uuid.uuid4()}"
        asyncio.run(self.write(service, name))
        address = service.address
        service.kill()
        assert not service.is_ready()
        service.start()
        assert service.address == address
        assert asyncio.run(self.read(service, name)) == name

    def test_a_paused_server_hangs_until_it_is_resumed(self, service: Service) -> None:
        service.pause()
        try:
            socket.create_connection(("127.0.0.1", service.port(service.listeners[0]))).close()
            assert not service.is_ready(timeout=1)
        finally:
            service.resume()
        assert service.is_ready(timeout=30)


class TestKafka(Contract):
    @pytest.fixture
    def service(self, kafka: Kafka) -> Service:
        return kafka

    async def write(self, service: Service, name: str) -> None:
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=service.address, acks="all") as producer:
            await producer.send_and_wait(name, name.encode())

    async def read(self, service: Service, name: str) -> str:
        consumer = aiokafka.AIOKafkaConsumer(name, bootstrap_servers=service.address, auto_offset_reset="earliest")
        async with consumer:
            message = await asyncio.wait_for(consumer.getone(), 30)
            assert isinstance(message.value, bytes)
            return message.value.decode()

    # aiokafka forgets the connection of a refused user, which shows when it is collected.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    @pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
    def test_the_secure_listener_takes_the_user_and_no_wrong_password(self, kafka: Kafka, mechanism: str) -> None:
        async def connect(password: str) -> None:
            admin = AIOKafkaAdminClient(
                bootstrap_servers=kafka.addresses["sasl_ssl"], security_protocol="SASL_SSL",
                ssl_context=client_context(kafka.ca), sasl_mechanism=mechanism,
                sasl_plain_username=kafka.user, sasl_plain_password=password,
            )  # fmt: skip
            try:
                await admin.start()
            finally:
                await admin.close()

        asyncio.run(connect(kafka.password))
        with pytest.raises(KafkaError):
            asyncio.run(connect("wrong"))
        gc.collect()

    def test_a_client_that_does_not_know_the_authority_is_not_connected(self, kafka: Kafka) -> None:
        assert_untrusted(kafka.port("sasl_ssl"))

    def test_it_has_transactions(self, kafka: Kafka) -> None:
        async def produce(name: str) -> object:
            producer = aiokafka.AIOKafkaProducer(bootstrap_servers=kafka.address, transactional_id=name)
            async with producer, producer.transaction():
                await producer.send_and_wait(name, b"committed")
            consumer = aiokafka.AIOKafkaConsumer(
                name, bootstrap_servers=kafka.address, auto_offset_reset="earliest", isolation_level="read_committed"
            )
            async with consumer:
                message = await asyncio.wait_for(consumer.getone(), 30)
                return message.value

        assert asyncio.run(produce(f"transaction-{uuid.uuid4()}")) == b"committed"


class TestRabbitMQ(Contract):
    @pytest.fixture
    def service(self, rabbitmq: RabbitMQ) -> Service:
        return rabbitmq

    async def write(self, service: Service, name: str) -> None:
        assert isinstance(service, RabbitMQ)
        async with await aio_pika.connect(service.url()) as connection:
            channel = await connection.channel(publisher_confirms=True)
            await channel.declare_queue(name, durable=True)
            message = aio_pika.Message(name.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, name)

    async def read(self, service: Service, name: str) -> str:
        assert isinstance(service, RabbitMQ)
        async with await aio_pika.connect(service.url()) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(name, durable=True)
            message = await queue.get(no_ack=True, timeout=30)
            await queue.delete()
            return message.body.decode()

    @pytest.mark.parametrize("listener", ["plain", "tls"])
    def test_a_wrong_password_is_refused(self, rabbitmq: RabbitMQ, listener: str) -> None:
        async def connect() -> None:
            context = client_context(rabbitmq.ca) if listener == "tls" else None
            url = rabbitmq.url(listener).replace(rabbitmq.password, "wrong")
            await aio_pika.connect(url, ssl_context=context)

        with pytest.raises(ProbableAuthenticationError):
            asyncio.run(connect())

    def test_a_client_that_does_not_know_the_authority_is_not_connected(self, rabbitmq: RabbitMQ) -> None:
        assert_untrusted(rabbitmq.port("tls"))


class TestInfluxDB(Contract):
    @pytest.fixture
    def service(self, influxdb: InfluxDB) -> Service:
        return influxdb

    async def write(self, service: Service, name: str) -> None:
        async with session_with(service) as session:
            async with session.post("/query", data={"q": f'CREATE DATABASE "{name}"'}):
                pass
            async with session.post("/write", params={"db": name}, data=f'measured text="{name}"'):
                pass

    async def read(self, service: Service, name: str) -> str:
        async with session_with(service) as session:
            question = {"db": name, "q": "SELECT text FROM measured"}
            async with session.get("/query", params=question) as answer:
                (point,) = (await answer.json())["results"][0]["series"][0]["values"]
            async with session.post("/query", data={"q": f'DROP DATABASE "{name}"'}):
                pass
        assert isinstance(point[1], str)
        return point[1]


class TestMariaDB(Contract):
    @pytest.fixture
    def service(self, mariadb: MariaDB) -> Service:
        return mariadb

    async def ask(self, service: Service, statement: str, context: ssl.SSLContext | None = None) -> object:
        connection = await aiomysql.connect(
            host="127.0.0.1", port=service.port("sql"), user=service.user, password=service.password, db="bspump",
            autocommit=True, ssl=context,
        )  # fmt: skip
        try:
            async with connection.cursor() as cursor:
                await cursor.execute(statement)
                return (await cursor.fetchone() or [None])[-1]
        finally:
            connection.close()

    async def write(self, service: Service, name: str) -> None:
        await self.ask(service, f"CREATE TABLE `{name}` (value VARCHAR(100))")
        await self.ask(service, f"INSERT INTO `{name}` VALUES ('{name}')")

    async def read(self, service: Service, name: str) -> str:
        value = await self.ask(service, f"SELECT value FROM `{name}`")
        await self.ask(service, f"DROP TABLE `{name}`")
        assert isinstance(value, str)
        return value

    def test_a_client_may_ask_for_tls(self, mariadb: MariaDB) -> None:
        cipher = asyncio.run(self.ask(mariadb, "SHOW STATUS LIKE 'Ssl_cipher'", client_context(mariadb.ca)))
        assert cipher

    def test_it_logs_rows(self, mariadb: MariaDB) -> None:
        assert asyncio.run(self.ask(mariadb, "SHOW VARIABLES LIKE 'binlog_format'")) == "ROW"


class ElasticsearchContract(Contract):
    async def write(self, service: Service, name: str) -> None:
        async with session_with(service) as session, session.put(f"/{name}/_doc/1", json={"value": name}):
            pass

    async def read(self, service: Service, name: str) -> str:
        async with session_with(service) as session:
            async with session.get(f"/_cluster/health/{name}?wait_for_status=yellow"):
                pass
            async with session.get(f"/{name}/_doc/1") as answer:
                value = (await answer.json())["_source"]["value"]
            async with session.delete(f"/{name}"):
                pass
        assert isinstance(value, str)
        return value


class TestElasticsearch8(ElasticsearchContract):
    @pytest.fixture
    def service(self, elasticsearch8: Service) -> Service:
        return elasticsearch8


class TestElasticsearch9(ElasticsearchContract):
    @pytest.fixture
    def service(self, elasticsearch9: Service) -> Service:
        return elasticsearch9


class SecureElasticsearch:
    @pytest.fixture
    def service(self) -> Service:
        raise NotImplementedError

    def test_the_user_is_served_over_tls(self, service: Service) -> None:
        assert service.is_ready()

    def test_a_wrong_password_is_refused(self, service: Service) -> None:
        async def ask() -> None:
            async with session_with(service, "wrong") as session, session.get("/_cluster/health"):
                pass

        with pytest.raises(aiohttp.ClientResponseError, match="401"):
            asyncio.run(ask())

    def test_a_client_that_does_not_know_the_authority_is_not_connected(self, service: Service) -> None:
        assert_untrusted(service.port("http"))


class TestElasticsearch8Secure(SecureElasticsearch):
    @pytest.fixture
    def service(self, elasticsearch8_secure: Service) -> Service:
        return elasticsearch8_secure


class TestElasticsearch9Secure(SecureElasticsearch):
    @pytest.fixture
    def service(self, elasticsearch9_secure: Service) -> Service:
        return elasticsearch9_secure


def session_with(service: Service, password: str | None = None) -> aiohttp.ClientSession:
    """Return a client of HTTP, which unlike Elasticsearch's own is one for both of its versions."""
    if not service.secure:
        return aiohttp.ClientSession(f"http://{service.address}", raise_for_status=True)
    user = base64.b64encode(f"{service.user}:{password or service.password}".encode()).decode()
    return aiohttp.ClientSession(
        f"https://{service.address}", headers={"Authorization": f"Basic {user}"}, raise_for_status=True,
        connector=aiohttp.TCPConnector(ssl=client_context(service.ca)),
    )  # fmt: skip


def assert_untrusted(port: int) -> None:
    """Assert that a client that trusts only the authorities of the system refuses the server's certificate."""
    context = ssl.create_default_context()
    with socket.create_connection(("127.0.0.1", port), 30) as plain, pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(plain, server_hostname="localhost")
