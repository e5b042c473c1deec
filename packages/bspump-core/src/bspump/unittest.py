"""Testing processors the way that applications of earlier versions do; new tests are shorter with `bspump.testing`.

::

    class TestMyProcessor(bspump.unittest.ProcessorTestCase):
        def test_it(self):
            self.set_up_processor(MyProcessor)
            output = self.execute([(None, "event")])
            self.assertEqual([event for context, event in output], ["processed event"])
"""

from __future__ import annotations

import asyncio
import logging
import unittest
from collections.abc import Callable, Iterable
from typing import Any

import asab
import asab.abc.singleton

from ._types import Context, Event
from .abc.processor import ProcessorBase
from .abc.sink import Sink
from .abc.source import TriggerSource
from .application import BSPumpApplication
from .pipeline import Pipeline
from .trigger import PubSubTrigger

__all__ = ["ProcessorTestCase", "TestCase", "UnitTestPipeline", "UnitTestSink", "UnitTestSource"]


class UnitTestSource(TriggerSource):
    """Brings what `Input` has.

    Attributes:
        Input: pairs of context and event; set it before the application runs.
    """

    def __init__(self, app: asab.Application, pipeline: Pipeline, id: str | None = None, config: Any = None) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self.Input: Iterable[tuple[Context | None, Event]] = []

    async def cycle(self, *args: Any, **kwags: Any) -> None:
        """Bring all of it."""
        for context, event in self.Input:
            await self.process(event, context)


class UnitTestSink(Sink):
    """Keeps what it gets.

    Attributes:
        Output: pairs of context and event, in the order in which they came.
    """

    def __init__(self, app: asab.Application, pipeline: Pipeline, id: str | None = None, config: Any = None) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self.Output: list[tuple[Context, Event]] = []

    def process(self, context: Context, event: Event) -> None:
        """Keep an event."""
        self.Output.append((context, event))


class UnitTestPipeline(Pipeline):
    """One processor between a `UnitTestSource` and a `UnitTestSink`; it stops the application after one cycle.

    Args:
        app: the application.
        processor: the class of the processor, and further arguments for it.

    Attributes:
        Source, Processor, Sink: its parts.
    """

    def __init__(
        self, app: BSPumpApplication, processor: Callable[..., ProcessorBase], *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(app, "UnitTestPipeline")
        self.Source = UnitTestSource(app, self)
        self.Processor = processor(app, self, *args, **kwargs)
        self.Sink = UnitTestSink(app, self)
        self.build(self.Source.on(PubSubTrigger(app, "Application.run!")), self.Processor, self.Sink)
        self.PubSub.subscribe("bspump.pipeline.cycle_end!", self._on_cycle_end)
        self.PubSub.subscribe("bspump.pipeline.error!", self._on_error)

    def _on_cycle_end(self, message_type: str, **kwargs: Any) -> None:
        self.App.stop()

    def _on_error(self, message_type: str, **kwargs: Any) -> None:
        # The cycle does not end then, and nobody is there to clear the error.
        if not self.App._stop_counter:
            self.App.stop()


class TestCase(unittest.TestCase):
    """Has an application of its own for each test.

    Attributes:
        App: the application.
    """

    def setUp(self) -> None:
        """Make the application."""
        super().setUp()
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._handlers = list(logging.getLogger().handlers)
        self.App = BSPumpApplication(args=[])

    def tearDown(self) -> None:
        """Let nothing of it be left."""
        asab.abc.singleton.Singleton.delete(type(self.App))
        root = logging.getLogger()
        for handler in [handler for handler in root.handlers if handler not in self._handlers]:
            root.removeHandler(handler)
            handler.close()
        if not self._loop.is_closed():
            self._loop.close()
        super().tearDown()


class ProcessorTestCase(TestCase):
    """Runs events through one processor.

    Attributes:
        Pipeline: the pipeline around the processor; None before `set_up_processor`.
    """

    def setUp(self) -> None:
        """Make the application."""
        super().setUp()
        self.Pipeline: UnitTestPipeline | None = None

    def tearDown(self) -> None:
        """Let nothing be left."""
        self.Pipeline = None
        super().tearDown()

    def set_up_processor(self, processor_class: Callable[..., ProcessorBase], *args: Any, **kwargs: Any) -> None:
        """Build the pipeline; further arguments are those of the processor."""
        self.Pipeline = UnitTestPipeline(self.App, processor_class, *args, **kwargs)
        self.App.PumpService.add_pipeline(self.Pipeline)

    def execute(self, input_data: Iterable[tuple[Context | None, Event]]) -> list[tuple[Context, Event]]:
        """Run pairs of context and event through the processor, and return the pairs that come out.

        What generators and aggregators hold back is out before this returns.

        Raises:
            Exception: what stopped the pipeline.
        """
        if self.Pipeline is None:
            raise RuntimeError("execute() needs a processor: call set_up_processor() first")
        self.Pipeline.Source.Input = input_data
        self.App.run()
        failure = self.Pipeline._errors.error
        if failure is not None:
            raise failure.exception
        return self.Pipeline.Sink.Output
