"""What bspump-core adds to BSPump."""

from __future__ import annotations

from bspump.plugins import Component, Kind, hookimpl

COMPONENTS = (
    Component(
        Kind.SOURCE,
        "AnalyzingSource",
        "bspump.abc.analyzer:AnalyzingSource",
        "Emits, in each cycle, what the analysis of a matrix returns; nothing if that is None.",
    ),
    Component(
        Kind.SOURCE,
        "DirectSource",
        "bspump.common.routing:DirectSource",
        "A source whose events are processed within the call that puts them in. It knows no throttling.",
    ),
    Component(
        Kind.SOURCE,
        "InternalSource",
        "bspump.common.routing:InternalSource",
        "A source with a queue, fed by other pipelines or by the application.",
    ),
    Component(
        Kind.SOURCE,
        "IteratorSource",
        "bspump.common.iterator:IteratorSource",
        "Brings the items of an iterator; one cycle brings all of them.",
    ),
    Component(
        Kind.SOURCE,
        "RandomSource",
        "bspump.random.source:RandomSource",
        "Brings a number of random events each time a trigger fires.",
    ),
    Component(
        Kind.SOURCE,
        "SubProcessSource",
        "bspump.subprocess.source:SubProcessSource",
        "Runs a program and brings each line of its standard output, without the line break.",
    ),
    Component(
        Kind.SOURCE,
        "TeeSource",
        "bspump.common.tee:TeeSource",
        "Receives the copies of a `TeeProcessor`. Bind it here, to the processor, or there, to this source.",
    ),
    Component(
        Kind.PROCESSOR,
        "AttributeFilter",
        "bspump.filter.attribute:AttributeFilter",
        "Keeps some attributes of an event, a dictionary, or drops some. The event that goes on is a new dictionary.",
    ),
    Component(
        Kind.PROCESSOR,
        "BytesToStringParser",
        "bspump.common.bytes:BytesToStringParser",
        "Decodes bytes.",
    ),
    Component(
        Kind.PROCESSOR,
        "ContentFilter",
        "bspump.filter.content:ContentFilter",
        "Lets those events through that match a query, and drops the others.",
    ),
    Component(
        Kind.PROCESSOR,
        "CySimdJsonParser",
        "bspump.common.json:CySimdJsonParser",
        "Parses a JSON text, as bytes, into an object of cysimdjson, which converts a value when it is asked for.",
    ),
    Component(
        Kind.PROCESSOR,
        "DictToJsonBytesParser",
        "bspump.common.json:DictToJsonBytesParser",
        "Serialises an event into compact JSON as bytes. NaN and infinities, which JSON does not have, become null.",
    ),
    Component(
        Kind.PROCESSOR,
        "FlattenDictProcessor",
        "bspump.common.flatten:FlattenDictProcessor",
        'Makes ``{"person.name": "John"}`` of ``{"person": {"name": "John"}}``.',
    ),
    Component(
        Kind.PROCESSOR,
        "HexlifyProcessor",
        "bspump.common.hexlify:HexlifyProcessor",
        "Makes hexadecimal digits, as bytes, of bytes.",
    ),
    Component(
        Kind.PROCESSOR,
        "MappingItemsProcessor",
        "bspump.common.mapping:MappingItemsProcessor",
        "Makes a list of pairs of key and value of a mapping.",
    ),
    Component(
        Kind.PROCESSOR,
        "MappingKeysProcessor",
        "bspump.common.mapping:MappingKeysProcessor",
        "Makes a list of its keys of a mapping.",
    ),
    Component(
        Kind.PROCESSOR,
        "MappingValuesProcessor",
        "bspump.common.mapping:MappingValuesProcessor",
        "Makes a list of its values of a mapping.",
    ),
    Component(
        Kind.PROCESSOR,
        "PPrintContextProcessor",
        "bspump.common.print:PPrintContextProcessor",
        "Prints contexts laid out over several lines where they are long, and hands the events on.",
    ),
    Component(
        Kind.PROCESSOR,
        "PPrintProcessor",
        "bspump.common.print:PPrintProcessor",
        "Prints events laid out over several lines where they are long, and hands them on.",
    ),
    Component(
        Kind.PROCESSOR,
        "PrintContextProcessor",
        "bspump.common.print:PrintContextProcessor",
        "Prints contexts and hands the events on.",
    ),
    Component(
        Kind.PROCESSOR,
        "PrintProcessor",
        "bspump.common.print:PrintProcessor",
        "Prints events and hands them on.",
    ),
    Component(
        Kind.PROCESSOR,
        "RandomDrop",
        "bspump.random.drop:RandomDrop",
        "Drops a share of the events, each one by chance: a sample goes on.",
    ),
    Component(
        Kind.PROCESSOR,
        "RandomEnricher",
        "bspump.random.enricher:RandomEnricher",
        "Puts a random value into each event, a dictionary.",
    ),
    Component(
        Kind.PROCESSOR,
        "StdDictToJsonParser",
        "bspump.common.json:StdDictToJsonParser",
        "Serialises an event into a JSON text as the standard library writes it.",
    ),
    Component(
        Kind.PROCESSOR,
        "StdJsonToDictParser",
        "bspump.common.json:StdJsonToDictParser",
        "Parses a JSON text, ``str`` or ``bytes``, into what the standard library makes of it.",
    ),
    Component(
        Kind.PROCESSOR,
        "StringToBytesParser",
        "bspump.common.bytes:StringToBytesParser",
        "Encodes text.",
    ),
    Component(
        Kind.PROCESSOR,
        "TeeProcessor",
        "bspump.common.tee:TeeProcessor",
        "Hands a copy of each event to every bound source, and the event itself on.",
    ),
    Component(
        Kind.GENERATOR,
        "Aggregator",
        "bspump.common.aggregator:Aggregator",
        "Collects events and emits one for all of them.",
    ),
    Component(
        Kind.GENERATOR,
        "IteratorGenerator",
        "bspump.common.iterator:IteratorGenerator",
        "Generates an event of each item of an event.",
    ),
    Component(
        Kind.GENERATOR,
        "MappingItemsGenerator",
        "bspump.common.mapping:MappingItemsGenerator",
        "Generates an event of each pair of key and value of a mapping.",
    ),
    Component(
        Kind.GENERATOR,
        "MappingKeysGenerator",
        "bspump.common.mapping:MappingKeysGenerator",
        "Generates an event of each key of a mapping.",
    ),
    Component(
        Kind.GENERATOR,
        "MappingValuesGenerator",
        "bspump.common.mapping:MappingValuesGenerator",
        "Generates an event of each value of a mapping.",
    ),
    Component(
        Kind.SINK,
        "NullSink",
        "bspump.common.null:NullSink",
        "Takes events and forgets them.",
    ),
    Component(
        Kind.SINK,
        "PPrintSink",
        "bspump.common.print:PPrintSink",
        "Prints events laid out over several lines where they are long.",
    ),
    Component(
        Kind.SINK,
        "PrintSink",
        "bspump.common.print:PrintSink",
        "Prints events.",
    ),
    Component(
        Kind.LOOKUP,
        "DictionaryLookup",
        "bspump.abc.lookup:DictionaryLookup",
        "A lookup whose content is a dictionary; as bytes it is a JSON object in UTF-8.",
    ),
    Component(
        Kind.TRIGGER,
        "CronTrigger",
        "bspump.trigger.cron:CronTrigger",
        "Fires by a schedule such as ``*/5 * * * *`` or ``30 2 * * MON`` (as cronsim reads it, which follows Debian).",
    ),
    Component(
        Kind.TRIGGER,
        "OpportunisticTrigger",
        "bspump.trigger.opportunistic:OpportunisticTrigger",
        "Fires whenever a source is free.",
    ),
    Component(
        Kind.TRIGGER,
        "PeriodicTrigger",
        "bspump.trigger.periodic:PeriodicTrigger",
        "Fires each `interval` seconds, the first time one interval after the start; a busy source skips its turn.",
    ),
    Component(
        Kind.TRIGGER,
        "PubSubTrigger",
        "bspump.trigger.pubsub:PubSubTrigger",
        "Fires on each of the given messages.",
    ),
    Component(
        Kind.TRIGGER,
        "RunOnceTrigger",
        "bspump.trigger.runonce:RunOnceTrigger",
        "Fires once, at the start.",
    ),
    Component(
        Kind.AGGREGATION_STRATEGY,
        "ListAggregationStrategy",
        "bspump.common.aggregator:ListAggregationStrategy",
        "A list of pairs ``(context, event)``.",
    ),
    Component(
        Kind.AGGREGATION_STRATEGY,
        "ListEventAggregationStrategy",
        "bspump.common.aggregator:ListEventAggregationStrategy",
        "A list of events, without their contexts.",
    ),
    Component(
        Kind.AGGREGATION_STRATEGY,
        "StringAggregationStrategy",
        "bspump.common.aggregator:StringAggregationStrategy",
        "The events as one text, with a delimiter between them.",
    ),
)


@hookimpl
def bspump_components() -> tuple[Component, ...]:
    """Return the components of this distribution."""
    return COMPONENTS
