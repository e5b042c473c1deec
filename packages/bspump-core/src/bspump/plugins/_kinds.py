"""What the components of each kind derive from, and which of our distributions has which."""

from __future__ import annotations

import importlib
from typing import Any

from .records import Kind

_BASES = {
    Kind.SOURCE: "bspump.abc.source:Source",
    Kind.PROCESSOR: "bspump.abc.processor:ProcessorBase",
    Kind.GENERATOR: "bspump.abc.generator:Generator",
    Kind.SINK: "bspump.abc.sink:Sink",
    Kind.CONNECTION: "bspump.abc.connection:Connection",
    Kind.LOOKUP: "bspump.abc.lookup:Lookup",
    Kind.LOOKUP_PROVIDER: "bspump.abc.lookupprovider:LookupProviderABC",
    Kind.TRIGGER: "bspump.trigger:Trigger",
    Kind.AGGREGATION_STRATEGY: "bspump.common.aggregator:AggregationStrategy",
}

# The names of the components of our distributions begin with these.
_FIRST_PARTY = {
    "AMQP": "bspump-amqp",
    "Anomaly": "bspump-analyzer",
    "Datagram": "bspump-ipc",
    "ElasticSearch": "bspump-elasticsearch",
    "FTP": "bspump-ftp",
    "File": "bspump-file",
    "Geo": "bspump-analyzer",
    "HTTP": "bspump-http",
    "InfluxDB": "bspump-influxdb",
    "Kafka": "bspump-kafka",
    "Latch": "bspump-analyzer",
    "Matrix": "bspump-analyzer",
    "MySQL": "bspump-mysql",
    "Named": "bspump-analyzer",
    "Session": "bspump-analyzer",
    "Stream": "bspump-ipc",
    "TCP": "bspump-ipc",
    "Threshold": "bspump-analyzer",
    "Time": "bspump-analyzer",
    "UDP": "bspump-ipc",
    "WebS": "bspump-http",
}
_FIRST_PARTY_SCHEMES = {"": "bspump-file", "file": "bspump-file", "http": "bspump-http", "https": "bspump-http"}


def base_of(kind: Kind) -> type[Any]:
    """Return the class that all components of a kind derive from."""
    module, _, name = _BASES[kind].partition(":")
    base: type[Any] = getattr(importlib.import_module(module), name)
    return base


def first_party_of(kind: Kind, name: str) -> str | None:
    """Return which of our distributions would have a component, judging by its name."""
    if kind is Kind.LOOKUP_PROVIDER:
        return _FIRST_PARTY_SCHEMES.get(name)
    return next((package for prefix, package in _FIRST_PARTY.items() if name.startswith(prefix)), None)
