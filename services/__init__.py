"""The real servers that the integration tests talk to: `python -m services` starts and stops them."""

from collections.abc import Mapping

from services._errors import ServiceError, UnavailableError
from services._runners import State
from services._service import Service
from services.elasticsearch._service import (
    Elasticsearch8,
    Elasticsearch8Secure,
    Elasticsearch9,
    Elasticsearch9Secure,
)
from services.influxdb._service import InfluxDB
from services.kafka._service import Kafka
from services.mariadb._service import MariaDB
from services.rabbitmq._service import RabbitMQ

#: Every server by its name.
SERVICES: Mapping[str, type[Service]] = {
    service.name: service
    for service in (
        Kafka,
        RabbitMQ,
        InfluxDB,
        MariaDB,
        Elasticsearch8,
        Elasticsearch9,
        Elasticsearch8Secure,
        Elasticsearch9Secure,
    )
}

__all__ = [
    "SERVICES",
    "Elasticsearch8",
    "Elasticsearch8Secure",
    "Elasticsearch9",
    "Elasticsearch9Secure",
    "InfluxDB",
    "Kafka",
    "MariaDB",
    "RabbitMQ",
    "Service",
    "ServiceError",
    "State",
    "UnavailableError",
]
