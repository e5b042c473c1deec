"""Generators: they make any number of events of one, and may take their time for it."""

from __future__ import annotations

from .._types import Context, Event
from .processor import ProcessorBase


class Generator(ProcessorBase):
    """Generates events out of the synchronous flow. Derive from it and override `generate`.

    Each event is handled by a task of its own; they run concurrently, up to ``async_concurency_limit`` of the pipeline,
    so events may leave a generator in another order than they came in. The pipeline's checkpoint waits for them.
    """

    PipelineDepth: int | None = None

    def set_depth(self, depth: int) -> None:
        """Tell the generator the depth of the pipeline that it stands at. Called once, by the pipeline."""
        self.PipelineDepth = depth

    def process(self, context: Context, event: Event) -> None:
        """Schedule `generate` for the event."""
        if self.PipelineDepth is None:
            raise RuntimeError(f"{self!r} is used before it was put into a pipeline")
        depth = self.PipelineDepth
        self.Pipeline._futures.generate(self, context, event, depth)

    async def generate(self, context: Context, event: Event, depth: int) -> None:
        """Call ``self.Pipeline.inject(context, new_event, depth)`` any number of times.

        ``await self.Pipeline.inject(...)`` waits, in addition, while what follows cannot take more.
        """
        raise NotImplementedError(f"{self.__class__.__name__} does not override generate()")
