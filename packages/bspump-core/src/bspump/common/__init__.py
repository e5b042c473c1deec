"""Components that nearly every pipeline uses."""

from __future__ import annotations

from .aggregator import (
    AggregationStrategy,
    Aggregator,
    ListAggregationStrategy,
    ListEventAggregationStrategy,
    StringAggregationStrategy,
)
from .iterator import IteratorGenerator, IteratorSource
from .json import (
    DictToJsonBytesParser,
    DictToJsonParser,
    JSONParserProcessor,
    JsonToDictParser,
    StdDictToJsonParser,
    StdJsonToDictParser,
)
from .null import NullSink
from .print import (
    PPrintContextProcessor,
    PPrintProcessor,
    PPrintSink,
    PrintContextProcessor,
    PrintProcessor,
    PrintSink,
)
from .routing import DirectSource, InternalSource, RouterMixIn, RouterProcessor, RouterSink
from .tee import TeeProcessor, TeeSource

__all__ = [
    "AggregationStrategy",
    "Aggregator",
    "DictToJsonBytesParser",
    "DictToJsonParser",
    "DirectSource",
    "InternalSource",
    "IteratorGenerator",
    "IteratorSource",
    "JSONParserProcessor",
    "JsonToDictParser",
    "ListAggregationStrategy",
    "ListEventAggregationStrategy",
    "NullSink",
    "PPrintContextProcessor",
    "PPrintProcessor",
    "PPrintSink",
    "PrintContextProcessor",
    "PrintProcessor",
    "PrintSink",
    "RouterMixIn",
    "RouterProcessor",
    "RouterSink",
    "StdDictToJsonParser",
    "StdJsonToDictParser",
    "StringAggregationStrategy",
    "TeeProcessor",
    "TeeSource",
]
