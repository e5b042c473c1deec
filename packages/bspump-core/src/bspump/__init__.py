"""BSPump: a real-time stream processor.

An application is a set of pipelines; a pipeline is a source, processors and a sink. Each technology is a distribution
of its own (``pip install bspump-kafka``) that adds a subpackage (``bspump.kafka``).
"""

from __future__ import annotations

__path__ = __import__("pkgutil").extend_path(__path__, __name__)

from typing import TYPE_CHECKING

from ._elsewhere import import_name as _import_name
from ._load_json import load_json_file
from ._types import Context, Event
from ._version import __build__, __version__
from .abc.analyzer import Analyzer, AnalyzingSource
from .abc.anomaly import Anomaly
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
from .pipeline import Pipeline
from .service import BSPumpService

if TYPE_CHECKING:
    from .matrix import Matrix as Matrix
    from .matrix import NamedMatrix as NamedMatrix
    from .matrix import PersistentMatrix as PersistentMatrix
    from .matrix import PersistentNamedMatrix as PersistentNamedMatrix
    from .model import Model as Model
else:
    # Hidden from type checkers, which would take every misspelt name for one that exists.
    def __getattr__(name: str) -> object:
        return _import_name(name)


__all__ = [
    "Analyzer",
    "AnalyzingSource",
    "Anomaly",
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
