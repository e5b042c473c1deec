"""Fusing the processors of one depth into one function.

For each depth the pipeline has a `Chain`. It is generated as source code, with the bound methods as locals and the
test for a dropped event unrolled, so that a batch runs through the processors as fast as through a hand-written loop.
A failing event costs nothing until it fails: which processor raised is read from the line of the traceback.

Processors that offer ``process_batch(contexts, events)`` take the whole batch at once; the processors between them
are fused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any, Protocol

from ._fusion import Code, Fusion
from ._types import Context, Event
from .abc.generator import Generator
from .abc.processor import ProcessorBase
from .abc.sink import Sink
from .errors import ProcessingError

Pairs = tuple[list[Context], list[Event]]
Segment = Callable[[list[Context], list[Event]], Pairs]


@dataclasses.dataclass(slots=True)
class Counts:
    """What has passed a pipeline since it was built, in events, and what went wrong."""

    entered: int = 0
    out: int = 0
    dropped: int = 0
    warnings: int = 0
    errors: int = 0


class FailureHandler(Protocol):
    """Decides about an event that a processor could not process. True stops the chain, False goes on without it."""

    def __call__(
        self, error: Exception, context: Context, event: Event, processor: ProcessorBase | None, /
    ) -> bool: ...


class BatchProcess(Protocol):
    """``process_batch`` of a processor: returns the surviving contexts and events, a sink returns None."""

    def __call__(self, contexts: list[Context], events: list[Event], /) -> Pairs | None: ...


class Profile:
    """Time spent in each processor, from the chunks that were sampled."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.runs: dict[str, int] = {}

    def add(self, processor: ProcessorBase, seconds: float, runs: int) -> None:
        """Account for `runs` calls of a processor that took `seconds` altogether."""
        self.seconds[processor.Id] = self.seconds.get(processor.Id, 0.0) + seconds
        self.runs[processor.Id] = self.runs.get(processor.Id, 0) + runs


class Chain:
    """The processors of one depth, ready to run.

    Attributes:
        single: takes one context and one event, all the way; raises when the failure handler says stop.
        batch: takes parallel lists of contexts and events, all the way; returns normally even if an event failed.
        batch_profiled: the same, and times every processor.
        batch_without_contexts: the same for events alone; gives each an empty context. Returns the index of the event
            that stopped the pipeline, which `stopped_by` names, or -1. None where a processor takes whole batches.
        stopped_by: the last exception that stopped the pipeline.
    """

    def __init__(
        self,
        name: str,
        processors: Sequence[ProcessorBase],
        counts: Counts,
        profile: Profile,
        fail: FailureHandler,
        *,
        is_last_depth: bool,
    ) -> None:
        self._counts = counts
        self._profile = profile
        self._decide = fail
        self.stopped_by: Exception | None = None
        self._is_last_depth = is_last_depth
        self.single: Callable[[Context, Event], None] = self._generate_single(name, processors)
        self._segments = self._generate_segments(name, processors, is_profiled=False)
        self._profiled_segments = self._generate_segments(name, processors, is_profiled=True)
        self.batch_without_contexts = self._generate_without_contexts(name, processors)
        if len(self._segments) == 1:
            self.batch: Callable[[list[Context], list[Event]], object] = self._segments[0]
        else:
            self.batch = self._run_segments

    def _run_segments(self, contexts: list[Context], events: list[Event]) -> None:
        for segment in self._segments:
            contexts, events = segment(contexts, events)
            if not events:
                return

    def batch_profiled(self, contexts: list[Context], events: list[Event]) -> None:
        """Run a batch as `batch` does and time every processor."""
        for segment in self._profiled_segments:
            contexts, events = segment(contexts, events)
            if not events:
                return

    def single_profiled(self, context: Context, event: Event) -> None:
        """Run one event as `single` does and time every processor."""
        self.stopped_by = None
        self.batch_profiled([context], [event])
        if self.stopped_by is not None:
            raise self.stopped_by

    def _fail(self, error: Exception, context: Context, event: Event, processor: ProcessorBase | None) -> bool:
        stops = self._decide(error, context, event, processor)
        if stops:
            self.stopped_by = error
        return stops

    def _generate_segments(self, name: str, processors: Sequence[ProcessorBase], *, is_profiled: bool) -> list[Segment]:
        segments: list[Segment] = []
        for fused, batch in _split(processors):
            if fused or batch is None:
                label = f"{name}:{len(segments)}{':profiled' if is_profiled else ''}"
                fusion = self._fusion(fused, is_end=batch is None, is_profiled=is_profiled)
                segments.append(self._generate_fused(label, fused, fusion))
            if batch is not None:
                processor, method = batch
                segments.append(self._batch_segment(processor, method, is_profiled, processor is processors[-1]))
        return segments

    def _generate_without_contexts(
        self, name: str, processors: Sequence[ProcessorBase]
    ) -> Callable[[list[Event]], int] | None:
        fused, batch = next(_split(processors))
        if batch is not None:
            return None
        fusion = self._fusion(fused, is_end=True, makes_contexts=True)
        function: Callable[[list[Event]], int] = self._generate_fused(f"{name}:without contexts", fused, fusion)
        return function

    # The end of a chain: what a last processor's return value means

    def _is_consumer(self, processors: Sequence[ProcessorBase]) -> bool:
        return bool(processors) and isinstance(processors[-1], (Sink, Generator))

    def _refuse_unconsumed(self, processors: Sequence[ProcessorBase]) -> ProcessingError:
        last = processors[-1].locate_address() if processors else "the source"
        return ProcessingError(
            f"Incomplete pipeline: {last} returned an event, but nothing follows that takes it (end it with a sink)"
        )

    # One event

    def _generate_single(self, name: str, processors: Sequence[ProcessorBase]) -> Callable[[Context, Event], None]:
        code = Code(name + ":single", processors)
        code.define("single", "context", "event")
        code.add("    try:")
        for index, _ in enumerate(processors):
            code.add_call(index, "        ")
            is_end = index == len(processors) - 1
            if not (is_end and self._is_consumer(processors)):
                code.add("        if event is None:", "            counts.dropped += 1", "            return")
        code.add("        if event is not None:")
        code.add_of(len(processors) - 1, "            raise unconsumed()")
        code.add("    except Exception as error:")
        code.add("        if fail(error, context, event, stage(error)): raise")
        code.add("        return")
        if self._counts_out(processors):
            code.add("    counts.out += 1")
        function: Any = code.compile(
            "single",
            counts=self._counts,
            fail=self._fail,
            unconsumed=lambda: self._refuse_unconsumed(processors),
        )
        single: Callable[[Context, Event], None] = function
        return single

    def _counts_out(self, processors: Sequence[ProcessorBase]) -> bool:
        return self._is_last_depth and bool(processors) and isinstance(processors[-1], Sink)

    # A batch through processors that take one event at a time

    def _fusion(
        self,
        processors: Sequence[ProcessorBase],
        *,
        is_end: bool,
        is_profiled: bool = False,
        makes_contexts: bool = False,
    ) -> Fusion:
        return Fusion(
            size=len(processors),
            is_end=is_end,
            is_consumed=is_end and self._is_consumer(processors),
            is_discarded=is_end and bool(processors) and _discards(processors[-1]),
            counts_out=is_end and self._counts_out(processors),
            is_profiled=is_profiled,
            makes_contexts=makes_contexts,
        )

    def _generate_fused(self, label: str, processors: Sequence[ProcessorBase], fusion: Fusion) -> Any:
        code = Code(label, processors)
        fusion.write(code)
        return code.compile(
            "segment",
            counts=self._counts,
            fail=self._fail,
            unconsumed=lambda: self._refuse_unconsumed(processors),
            clock=perf_counter,
            profile=self._profile.add,
            processors=list(processors),
            nothing=([], []),
        )

    # A batch through one processor that takes all of it

    def _batch_segment(
        self, processor: ProcessorBase, process_batch: BatchProcess, is_profiled: bool, is_end: bool
    ) -> Segment:
        counts = self._counts
        consumes = is_end and isinstance(processor, (Sink, Generator))
        counts_out = is_end and self._counts_out([processor])

        def segment(contexts: list[Context], events: list[Event]) -> Pairs:
            started = perf_counter() if is_profiled else 0.0
            try:
                survivors = process_batch(contexts, events)
            except Exception:
                # One event of the batch cannot be processed: take them one at a time to find it.
                survivors = self._one_at_a_time(processor, contexts, events)
            else:
                if consumes:
                    if counts_out:
                        counts.out += len(events)
                elif survivors is not None and len(survivors[1]) != len(events):
                    counts.dropped += len(events) - len(survivors[1])
            if is_profiled:
                self._profile.add(processor, perf_counter() - started, len(events))
            if survivors is None or not is_end:
                return survivors if survivors is not None else ([], [])
            for context, event in zip(*survivors, strict=True):
                if self._fail(self._refuse_unconsumed([processor]), context, event, processor):
                    break
            return [], []

        return segment

    def _one_at_a_time(self, processor: ProcessorBase, contexts: list[Context], events: list[Event]) -> Pairs:
        counts = self._counts
        consumes = isinstance(processor, (Sink, Generator))
        kept_contexts: list[Context] = []
        kept_events: list[Event] = []
        for context, event in zip(contexts, events, strict=True):
            try:
                result = processor.process(context, event)
            except Exception as error:
                if self._fail(error, context, event, processor):
                    break
                continue
            if result is not None:
                kept_contexts.append(context)
                kept_events.append(result)
            elif not consumes:
                counts.dropped += 1
            elif self._counts_out([processor]):
                counts.out += 1
        return kept_contexts, kept_events


def _split(
    processors: Sequence[ProcessorBase],
) -> Iterator[tuple[list[ProcessorBase], tuple[ProcessorBase, BatchProcess] | None]]:
    """Yield processors that are fused, and the one behind them that takes batches, or None at the end."""
    fused: list[ProcessorBase] = []
    for processor in processors:
        method = _batch_method(processor)
        if method is None or (fused and _discards(processor)):
            fused.append(processor)
        else:
            yield fused, (processor, method)
            fused = []
    if fused or not processors:
        yield fused, None


def _batch_method(processor: ProcessorBase) -> BatchProcess | None:
    """Return ``process_batch``, unless a class that derives from the one which has it overrides `process` alone."""
    return getattr(processor, "process_batch", None) if _stands(type(processor), "process_batch") else None


def _discards(processor: ProcessorBase) -> bool:
    return isinstance(processor, Sink) and processor.discards and _stands(type(processor), "discards")


def _stands(kind: type, name: str) -> bool:
    """Tell whether what a class says by `name` holds for its `process` too, which a subclass may have overridden."""
    for base in kind.__mro__:
        if name in base.__dict__:
            return True
        if "process" in base.__dict__:
            return False
    return False
