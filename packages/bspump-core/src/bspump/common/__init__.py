"""Components that nearly every pipeline uses."""

from __future__ import annotations

from .aggregator import (
    AggregationStrategy,
    Aggregator,
    ListAggregationStrategy,
    ListEventAggregationStrategy,
    StringAggregationStrategy,
)
from .bytes import BytesToStringParser, StringToBytesParser
from .csv import CSVFormat
from .flatten import FlattenDictProcessor
from .hexlify import HexlifyProcessor
from .iterator import IteratorGenerator, IteratorSource
from .json import (
    CySimdJsonParser,
    DictToJsonBytesParser,
    DictToJsonParser,
    JSONParserProcessor,
    JsonToDictParser,
    StdDictToJsonParser,
    StdJsonToDictParser,
)
from .mapping import (
    MappingItemsGenerator,
    MappingItemsProcessor,
    MappingKeysGenerator,
    MappingKeysProcessor,
    MappingValuesGenerator,
    MappingValuesProcessor,
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
from .time import TimeZoneNormalizer
from .transform import MappingTransformator

__all__ = [
    "AggregationStrategy",
    "Aggregator",
    "BytesToStringParser",
    "CSVFormat",
    "CySimdJsonParser",
    "DictToJsonBytesParser",
    "DictToJsonParser",
    "DirectSource",
    "FlattenDictProcessor",
    "HexlifyProcessor",
    "InternalSource",
    "IteratorGenerator",
    "IteratorSource",
    "JSONParserProcessor",
    "JsonToDictParser",
    "ListAggregationStrategy",
    "ListEventAggregationStrategy",
    "MappingItemsGenerator",
    "MappingItemsProcessor",
    "MappingKeysGenerator",
    "MappingKeysProcessor",
    "MappingTransformator",
    "MappingValuesGenerator",
    "MappingValuesProcessor",
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
    "StringToBytesParser",
    "TeeProcessor",
    "TeeSource",
    "TimeZoneNormalizer",
]
