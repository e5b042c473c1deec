"""What the names of ``bspump`` stand for, imported when they are used first."""

from __future__ import annotations

import importlib

NAMES = {
    "Analyzer": ".abc.analyzer",
    "AnalyzingSource": ".abc.analyzer",
    "Anomaly": ".abc.anomaly",
    "AsyncSink": ".abc.async_sink",
    "BSPumpApplication": ".application",
    "BSPumpError": ".errors",
    "BSPumpService": ".service",
    "Batch": ".abc.buffered_sink",
    "BufferedSink": ".abc.buffered_sink",
    "ConfigurationError": ".errors",
    "Connection": ".abc.connection",
    "ConnectionLostError": ".errors",
    "Context": "._types",
    "DictionaryLookup": ".abc.lookup",
    "Event": "._types",
    "Generator": ".abc.generator",
    "Lookup": ".abc.lookup",
    "MappingLookup": ".abc.lookup",
    "Matrix": ".matrix",
    "Model": ".model",
    "NamedMatrix": ".matrix",
    "PersistentMatrix": ".matrix",
    "PersistentNamedMatrix": ".matrix",
    "Pipeline": ".pipeline",
    "PipelineError": ".errors",
    "PluginError": ".errors",
    "ProcessingError": ".errors",
    "Processor": ".abc.processor",
    "PumpBuilder": ".builder",
    "RejectedError": ".errors",
    "Sink": ".abc.sink",
    "Source": ".abc.source",
    "TriggerSource": ".abc.source",
    "__build__": "._version",
    "__version__": "._version",
    "load_json_file": "._load_json",
}

# Which distributions have the subpackages that the core has not
_DISTRIBUTIONS = {
    "amqp": "bspump-amqp",
    "analyzer": "bspump-analyzer",
    "anomaly": "bspump-analyzer",
    "elasticsearch": "bspump-elasticsearch",
    "file": "bspump-file",
    "ftp": "bspump-ftp",
    "http": "bspump-http",
    "influxdb": "bspump-influxdb",
    "ipc": "bspump-ipc",
    "kafka": "bspump-kafka",
    "lookup": "bspump-analyzer",
    "matrix": "bspump-analyzer",
    "model": "bspump-analyzer",
    "mysql": "bspump-mysql",
    "socket": "bspump-ipc",
}


def distribution_of(module_name: str) -> str | None:
    """Return which of our distributions has a module such as ``bspump.kafka.source``; None for any other."""
    package, _, rest = module_name.partition(".")
    return _DISTRIBUTIONS.get(rest.partition(".")[0]) if package == "bspump" else None


def import_name(name: str) -> object:
    """Return what ``bspump.<name>`` stands for: a class, a function, or a subpackage.

    Raises:
        AttributeError: the name is unknown.
        PluginError: the distribution that has it is not installed.
    """
    module = NAMES.get(name, f".{name}")
    if name not in NAMES and name.startswith("_"):
        raise AttributeError(f"module 'bspump' has no attribute {name!r}")
    try:
        found = importlib.import_module(module, "bspump")
    except ModuleNotFoundError as error:
        if error.name != f"bspump{module}":
            raise
        distribution = _DISTRIBUTIONS.get(module[1:])
        if distribution is None:
            raise AttributeError(f"module 'bspump' has no attribute {name!r}") from None
        from .errors import PluginError

        # No AttributeError: `from bspump import ...` would replace its message by one that does not help.
        raise PluginError(f"bspump.{name} needs a package that is not installed: pip install {distribution}") from None
    if name not in NAMES:
        return found
    value: object = getattr(found, name)
    return value
