"""How a pipeline is put together: its sources, and its processors by depth."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .abc.buffered_sink import BufferedSink
from .abc.generator import Generator
from .abc.processor import ProcessorBase
from .abc.sink import Sink
from .abc.source import Source

if TYPE_CHECKING:
    from .pipeline import Pipeline


class Structure:
    """The sources and processors of one pipeline. Whoever changes them sees to the compiled chains."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.sources: list[Source] = []
        self.depths: list[list[ProcessorBase]] = [[]]

    def set_source(self, source: Source | Sequence[Source]) -> None:
        """Add one source or several."""
        sources = list(source) if isinstance(source, Sequence) else [source]
        for one in sources:
            if not isinstance(one, Source):
                raise TypeError(f"Pipeline '{self._pipeline.Id}' needs a source first, but got {one!r}")
            self._warn_of_same_id(one.Id, "source", [other.Id for other in self.sources])
        self.sources.extend(sources)

    def append(self, processor: ProcessorBase) -> None:
        """Add a processor at the end."""
        self._insert_at(len(list(self.iter_processors())), processor)

    def insert(self, beside: str, processor: ProcessorBase, offset: int) -> bool:
        """Insert a processor before (offset 0) or behind (offset 1) another."""
        for index, other in enumerate(self.iter_processors()):
            if other.Id == beside:
                self._insert_at(index + offset, processor)
                return True
        return False

    def _insert_at(self, index: int, processor: ProcessorBase) -> None:
        if not isinstance(processor, ProcessorBase):
            raise TypeError(
                f"Pipeline '{self._pipeline.Id}' takes processors, generators and a sink, but got {processor!r}"
            )
        _refuse_wrong_kinds_of_functions(processor)
        processors = list(self.iter_processors())
        processors.insert(index, processor)
        for sink, follower in itertools.pairwise(processors):
            if isinstance(sink, Sink):
                raise RuntimeError(f"{follower!r} cannot follow the sink {sink!r}; a sink ends the pipeline")
        self._refuse_while_running(processor)
        self._rearrange(processors)
        self._added(processor)

    def remove(self, processor_id: str) -> None:
        """Remove a processor."""
        existing = list(self.iter_processors())
        for index, processor in enumerate(existing):
            if processor.Id == processor_id:
                self._refuse_generator_while_running(processor)
                del existing[index]
                self._rearrange(existing)
                if self._pipeline._life_cycle.takes_events:
                    self._pipeline.ensure_future(_retire(processor))
                return
        raise KeyError(f"Pipeline '{self._pipeline.Id}' has no processor '{processor_id}'")

    def iter_processors(self) -> Iterator[ProcessorBase]:
        """Yield the processors in their order."""
        for depth in self.depths:
            yield from depth

    def _rearrange(self, processors: list[ProcessorBase]) -> None:
        depths: list[list[ProcessorBase]] = [[]]
        for processor in processors:
            depths[-1].append(processor)
            if isinstance(processor, Generator):
                depth = len(depths) - 1
                if processor.PipelineDepth is None:
                    processor.set_depth(depth)
                processor.PipelineDepth = depth
                depths.append([])
        self.depths[:] = depths
        self._pipeline._chains = []
        self._pipeline._injection_chain = None

    def _added(self, processor: ProcessorBase) -> None:
        others = [other.Id for other in self.iter_processors() if other is not processor]
        self._warn_of_same_id(processor.Id, "processor", others)
        self._pipeline._metrics.add_profiler(processor.Id)

    def _warn_of_same_id(self, id: str, what: str, others: list[str]) -> None:
        if id in others:
            self._pipeline.L.warning(
                f"Pipeline '{self._pipeline.Id}' has two {what}s with the id '{id}': they share their configuration "
                f"and metrics, and only the first is found by its address; give one of them another id"
            )

    def _refuse_while_running(self, processor: ProcessorBase) -> None:
        self._refuse_generator_while_running(processor)
        if type(processor).open is not ProcessorBase.open and self._pipeline._life_cycle.takes_events:
            raise RuntimeError(f"{processor!r} has to be opened first; it cannot be inserted while events flow")

    def _refuse_generator_while_running(self, processor: ProcessorBase) -> None:
        if isinstance(processor, Generator) and self._pipeline._life_cycle.takes_events:
            raise RuntimeError(f"{processor!r} is a generator; it cannot be inserted or removed while events flow")


def _refuse_wrong_kinds_of_functions(processor: ProcessorBase) -> None:
    """Refuse a coroutine function where a plain one is called, and the other way round.

    Raises:
        TypeError: a method is of the wrong kind.
    """
    if inspect.iscoroutinefunction(processor.process):
        raise TypeError(
            f"{processor!r}: process() cannot be a coroutine function; derive from bspump.Generator to wait"
        )
    for name in ("generate", "write"):
        base: type = Generator if name == "generate" else BufferedSink
        if isinstance(processor, base) and not inspect.iscoroutinefunction(getattr(processor, name)):
            raise TypeError(f"{processor!r}: {name}() has to be a coroutine function (async def)")


async def _retire(processor: ProcessorBase) -> None:
    """Let a removed processor finish what it holds."""
    await processor.drain()
    await processor.checkpoint()
    await processor.close()
