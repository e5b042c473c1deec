"""Fusing the processors of one depth into one function.

For each depth the pipeline has a `Chain`. It is generated as source code, with the bound methods as locals and the
test for a dropped event unrolled, so that a batch runs through the processors as fast as through a hand-written loop.
A failing event costs nothing until it fails: which processor raised is read from the line of the traceback.

Processors that offer ``process_batch(contexts, events)`` take the whole batch at once; the processors between them
are fused.
"""

from __future__ import annotations

import dataclasses
import linecache
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Protocol

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
        self._stopped_by: Exception | None = None
        self._is_last_depth = is_last_depth
        self.single: Callable[[Context, Event], None] = self._generate_single(name, processors)
        self._segments = self._generate_segments(name, processors, profiled=False)
        self._profiled_segments = self._generate_segments(name, processors, profiled=True)
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
        self._stopped_by = None
        self.batch_profiled([context], [event])
        if self._stopped_by is not None:
            raise self._stopped_by

    def _fail(self, error: Exception, context: Context, event: Event, processor: ProcessorBase | None) -> bool:
        stops = self._decide(error, context, event, processor)
        if stops:
            self._stopped_by = error
        return stops

    def _generate_segments(self, name: str, processors: Sequence[ProcessorBase], *, profiled: bool) -> list[Segment]:
        segments: list[Segment] = []
        fused: list[ProcessorBase] = []
        for processor in processors:
            process_batch: BatchProcess | None = getattr(processor, "process_batch", None)
            if process_batch is None:
                fused.append(processor)
                continue
            if fused:
                segments.append(self._generate_fused(name, fused, len(segments), profiled, is_end=False))
                fused = []
            is_end = processor is processors[-1]
            segments.append(self._batch_segment(processor, process_batch, profiled, is_end))
        if fused or not processors:
            segments.append(self._generate_fused(name, fused, len(segments), profiled, is_end=True))
        return segments

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
        code = _Code(name + ":single", processors)
        code.add("def single(context, event):")
        code.add("    try:")
        for index, _ in enumerate(processors):
            code.add(f"        event = p{index}(context, event)", index)
            is_end = index == len(processors) - 1
            if not (is_end and self._is_consumer(processors)):
                code.add("        if event is None:")
                code.add("            counts.dropped += 1")
                code.add("            return")
        code.add("        if event is not None:")
        code.add("            raise unconsumed()", len(processors) - 1)
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

    def _generate_fused(
        self, name: str, processors: Sequence[ProcessorBase], number: int, profiled: bool, is_end: bool
    ) -> Segment:
        code = _Code(f"{name}:{number}{':profiled' if profiled else ''}", processors)
        code.add("def segment(contexts, events):")
        code.add("    dropped = failed = 0")
        if not is_end:
            code.add("    kept_contexts = []; kept_events = []")
            code.add("    keep_context = kept_contexts.append; keep_event = kept_events.append")
        if profiled:
            for index in range(len(processors)):
                code.add(f"    t{index} = 0.0; n{index} = 0")
        code.add("    pairs = zip(contexts, events)")
        code.add("    for context, event in pairs:")
        code.add("        try:")
        consumes = is_end and self._is_consumer(processors)
        if profiled and processors:
            code.add("            now = clock()")
        for index, _ in enumerate(processors):
            code.add(f"            event = p{index}(context, event)", index)
            if profiled:
                code.add(f"            then = now; now = clock(); t{index} += now - then; n{index} += 1")
            if not (consumes and index == len(processors) - 1):
                code.add("            if event is None:")
                code.add("                dropped += 1")
                code.add("                continue")
        if is_end:
            code.add("            if event is not None:")
            code.add("                raise unconsumed()", len(processors) - 1)
        code.add("        except Exception as error:")
        code.add("            failed += 1")
        code.add("            if fail(error, context, event, stage(error)): break")
        code.add("            continue")
        if not is_end:
            code.add("        keep_context(context)")
            code.add("        keep_event(event)")
        self._add_end(code, processors, profiled, is_end)
        function: Any = code.compile(
            "segment",
            counts=self._counts,
            fail=self._fail,
            unconsumed=lambda: self._refuse_unconsumed(processors),
            clock=perf_counter,
            profile=self._profile.add,
            processors=list(processors),
            nothing=([], []),
        )
        segment: Segment = function
        return segment

    def _add_end(self, code: _Code, processors: Sequence[ProcessorBase], profiled: bool, is_end: bool) -> None:
        code.add("    counts.dropped += dropped")
        if profiled:
            for index in range(len(processors)):
                code.add(f"    profile(processors[{index}], t{index}, n{index})")
        if not is_end:
            code.add("    return kept_contexts, kept_events")
        else:
            if self._counts_out(processors):
                code.add("    counts.out += len(events) - dropped - failed - sum(1 for _ in pairs)")
            code.add("    return nothing")

    # A batch through one processor that takes all of it

    def _batch_segment(
        self, processor: ProcessorBase, process_batch: BatchProcess, profiled: bool, is_end: bool
    ) -> Segment:
        counts = self._counts
        consumes = is_end and isinstance(processor, (Sink, Generator))
        counts_out = is_end and self._counts_out([processor])

        def segment(contexts: list[Context], events: list[Event]) -> Pairs:
            started = perf_counter() if profiled else 0.0
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
            if profiled:
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


class _Code:
    """Source code in the making, which remembers on which line each processor is called."""

    def __init__(self, name: str, processors: Sequence[ProcessorBase]) -> None:
        self._file_name = f"<bspump chain {name}>"
        self._lines: list[str] = []
        self._processors = list(processors)
        self._processor_of_line: dict[int, ProcessorBase] = {}

    def add(self, line: str, processor_index: int | None = None) -> None:
        self._lines.append(line)
        if processor_index is not None and processor_index >= 0:
            self._processor_of_line[len(self._lines)] = self._processors[processor_index]

    def compile(self, function_name: str, **names: object) -> Callable[..., object]:
        header = ", ".join([*(f"p{i}" for i in range(len(self._processors))), *names, "stage"])
        body = [f"def build({header}):", *("    " + line for line in self._lines), f"    return {function_name}"]
        source = "\n".join(body) + "\n"
        # Tracebacks through the generated code show its lines.
        linecache.cache[self._file_name] = (len(source), None, source.splitlines(keepends=True), self._file_name)
        namespace: dict[str, Callable[..., Callable[..., object]]] = {}
        exec(compile(source, self._file_name, "exec"), namespace)
        methods = [processor.process for processor in self._processors]
        return namespace["build"](*methods, *names.values(), self._stage)

    def _stage(self, error: Exception) -> ProcessorBase | None:
        traceback = error.__traceback__
        # `build` adds one line before the first.
        return self._processor_of_line.get(traceback.tb_lineno - 1) if traceback is not None else None
