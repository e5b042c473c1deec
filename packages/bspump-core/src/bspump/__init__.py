"""BSPump: a real-time stream processor.

An application is a set of pipelines; a pipeline is a source, processors and a sink. Each technology is a distribution
of its own (``pip install bspump-kafka``) that adds a subpackage (``bspump.kafka``).

Names and subpackages are imported when they are used first, so that a command such as ``bspump list`` answers at once.
"""

from __future__ import annotations

__path__ = __import__("pkgutil").extend_path(__path__, __name__)

from typing import TYPE_CHECKING

from ._names import import_name as _import_name

if TYPE_CHECKING:
    from ._load_json import load_json_file
    from ._types import Context, Event
    from ._version import __build__, __version__
    from .abc.analyzer import Analyzer, AnalyzingSource
    from .abc.anomaly import Anomaly
    from .abc.async_sink import AsyncSink
    from .abc.buffered_sink import Batch, BufferedSink
    from .abc.connection import Connection
    from .abc.generator import Generator
    from .abc.lookup import DictionaryLookup, Lookup, MappingLookup
    from .abc.processor import Processor
    from .abc.sink import Sink
    from .abc.source import Source, TriggerSource
    from .application import BSPumpApplication
    from .builder import PumpBuilder
    from .errors import (
        BSPumpError,
        ConfigurationError,
        ConnectionLostError,
        PipelineError,
        PluginError,
        ProcessingError,
        RejectedError,
    )
    from .matrix import Matrix as Matrix
    from .matrix import NamedMatrix as NamedMatrix
    from .matrix import PersistentMatrix as PersistentMatrix
    from .matrix import PersistentNamedMatrix as PersistentNamedMatrix
    from .model import Model as Model
    from .pipeline import Pipeline
    from .service import BSPumpService
else:
    # Hidden from type checkers, which would take every misspelt name for one that exists.
    def __getattr__(name: str) -> object:
        value = _import_name(name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Analyzer",
    "AnalyzingSource",
    "Anomaly",
    "AsyncSink",
    "BSPumpApplication",
    "BSPumpError",
    "BSPumpService",
    "Batch",
    "BufferedSink",
    "ConfigurationError",
    "Connection",
    "ConnectionLostError",
    "Context",
    "DictionaryLookup",
    "Event",
    "Generator",
    "Lookup",
    "MappingLookup",
    "Pipeline",
    "PipelineError",
    "PluginError",
    "ProcessingError",
    "Processor",
    "PumpBuilder",
    "RejectedError",
    "Sink",
    "Source",
    "TriggerSource",
    "__build__",
    "__version__",
    "load_json_file",
]
