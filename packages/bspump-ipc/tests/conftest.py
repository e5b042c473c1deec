"""Fixtures of the tests of bspump-ipc."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import bspump
from bspump.testing import MemorySink, PumpRunner

BuildPipeline = Callable[..., bspump.Pipeline]


@pytest.fixture
def pump() -> Iterator[PumpRunner]:
    """An application to build pipelines in; run them with ``pump.run(scenario, *pipelines)``."""
    with PumpRunner() as runner:
        yield runner


@pytest.fixture
def receiving(pump: PumpRunner) -> BuildPipeline:
    """A function that builds a pipeline from a source of this package to a `MemorySink`.

    ``receiving(SourceClass, *processor_classes, pipeline={...}, sink=SinkClass, **options)``
    """

    def build(
        source_class: type[bspump.Source],
        *processors: Callable[..., bspump.Processor],
        pipeline: Mapping[str, Any] | None = None,
        sink: Callable[..., bspump.Sink] = MemorySink,
        arguments: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> bspump.Pipeline:
        built = Receiving(pump.app, pipeline)
        source = source_class(
            pump.app, built, id="source", config={"address": "127.0.0.1 0", **options}, **(arguments or {})
        )
        built.build(source, *(processor(pump.app, built) for processor in processors), sink(pump.app, built))
        return built

    return build


class Receiving(bspump.Pipeline):
    def __init__(self, app: bspump.BSPumpApplication, config: Mapping[str, Any] | None) -> None:
        super().__init__(app, "Receiving", config)


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        return True
    return False


@pytest.fixture
def ipv6() -> None:
    """Skip the test if this machine has no IPv6."""
    if not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback address")
