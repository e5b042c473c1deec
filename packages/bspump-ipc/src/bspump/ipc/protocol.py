"""Protocols: how the bytes of a connection become events."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import asab

from bspump import Context, Event, ProcessingError, Source, option
from bspump._component import Component, ComponentConfig, merged_defaults

from ._framing import LENGTH_SIZES, SPLIT_FRAMINGS, Frames, Splitter, splitter_factory
from ._handing_on import Unprocessed, hand_on, refuse

if TYPE_CHECKING:
    from bspump import Pipeline

    from .stream import Stream

_SMALLEST_PIECE = 16 * 1024
_LARGEST_PIECE = 256 * 1024

_BYTES = ("", "bytes")


class SourceProtocolABC(abc.ABC):
    """Makes events of the bytes that a client sends. Derive from it and override `handle`.

    A source has one protocol object for all of its connections; what belongs to a connection is kept in `handle`.

    Args:
        app: the application.
        pipeline: the pipeline of the source.
        config: the configuration of the source.
    """

    def __init__(self, app: asab.Application, pipeline: Pipeline, config: Mapping[str, Any]) -> None:
        self.App = app
        self.Pipeline = pipeline
        self.Config = config
        self.unprocessed = Unprocessed()

    @abc.abstractmethod
    async def handle(self, source: Source, stream: Stream, context: Context) -> None:
        """Read the stream to its end, and hand what it has on to the source. The connection is closed afterwards.

        Whatever it raises ends this connection only. What is not an `OSError` goes the way of a failed event
        (``on_error``).
        """

    async def process(self, source: Source, event: Event, context: Context) -> None:
        """Hand one event on. If it stops the pipeline, it is tried again once the error is cleared."""
        await hand_on(source, self.unprocessed, [event], context)

    async def process_batch(self, source: Source, events: Sequence[Event], context: Context) -> None:
        """Hand events on, each with a copy of the context. The one that stops the pipeline is tried again."""
        await hand_on(source, self.unprocessed, events, context)

    async def reject(self, source: Source, error: Exception, event: Event, context: Context) -> None:
        """Report something that cannot be made an event. It goes the way of a failed event (``on_error``)."""
        await refuse(source, error, event, context)


class LineOptions(Component):
    """The options of `LineSourceProtocol`, which every `StreamServerSource` has."""

    framing = option.choice(
        "newline",
        SPLIT_FRAMINGS,
        help="What an event is: a line, what a NUL byte ends, ``octet-counting`` (RFC 6587), what has its length in "
        "front of it, or ``syslog`` (octet counting or lines, by the first byte of the connection).",
    )
    decode = option.text(
        "utf-8",
        help="The encoding of the text; ``bytes`` to have events of bytes. A carriage return at the end stays.",
    )
    line_limit = option.size("1MB", help="The most bytes in a line or frame.")
    length_size = option.integer(4, help="How many bytes a length prefix has (big-endian): 1, 2, 4 or 8.")


def _codec_of(line: LineOptions) -> str | None:
    """Return the encoding of the text; None for bytes."""
    if line.decode in _BYTES:
        return None
    with line.options() as options:
        codec = options.text_encoding("decode")
        if line.framing in ("newline", "syslog") and "\n".encode(codec) != b"\n":
            options.refuse(
                "decode", "is an encoding without newlines of one byte; use decode = bytes with another framing"
            )
    return codec


def _splitter_factory_of(line: LineOptions) -> Callable[[], Splitter]:
    with line.options() as options:
        if line.length_size not in LENGTH_SIZES:
            options.refuse("length_size", "is none of 1, 2, 4, 8")
    return splitter_factory(line.framing, line.line_limit, line.length_size)


class LineSourceProtocol(SourceProtocolABC):
    """Makes an event of each line, or of each frame of another kind, without what marks its end.

    A line that is too long or has the wrong encoding goes the way of a failed event (``on_error``), and the next line
    comes. If nobody can tell where the next frame begins, the connection is closed. A last line without a newline is
    an event if the client ended the stream properly.

    Its options are those of `LineOptions`.
    """

    ConfigDefaults: dict[str, Any] = merged_defaults(LineOptions)

    def __init__(self, app: asab.Application, pipeline: Pipeline, config: Mapping[str, Any]) -> None:
        super().__init__(app, pipeline, config)
        section = config._section if isinstance(config, ComponentConfig) else f"pipeline:{pipeline.Id}"
        line = LineOptions(app, section, config={**self.ConfigDefaults, **config})
        self._codec = _codec_of(line)
        self.make_splitter = _splitter_factory_of(line)

    async def handle(self, source: Source, stream: Stream, context: Context) -> None:
        """Read the stream to its end and hand all of its lines on."""
        splitter = self.make_splitter()
        size = _SMALLEST_PIECE
        while True:
            await self.Pipeline.ready()
            data = await self._receive(stream, splitter, size)
            if not data:
                await self._take(source, splitter.finish(), context)
                return
            if len(data) == size:
                size = min(2 * size, _LARGEST_PIECE)
            elif len(data) < size // 4:
                size = max(size // 2, _SMALLEST_PIECE)
            if not await self._take(source, splitter.feed(data), context):
                return

    async def _receive(self, stream: Stream, splitter: Splitter, size: int) -> bytes:
        try:
            return await stream.recv(size)
        except OSError as error:
            if splitter.pending:
                error.add_note(f"{splitter.pending} byte(s) of an incomplete line are dropped")
            raise

    async def _take(self, source: Source, split: Frames, context: Context) -> bool:
        """Hand frames on. Returns whether the next one can be found."""
        frames, errors = split
        begin = 0
        for end, error in errors:
            await self._hand_on(source, frames[begin:end], context)
            await self.reject(source, error, error.head, context)
            begin = end
        await self._hand_on(source, frames[begin:] if begin else frames, context)
        return not (errors and errors[-1][1].is_final)

    async def _hand_on(self, source: Source, frames: list[bytes], context: Context) -> None:
        codec = self._codec
        if codec is None:
            await self.process_batch(source, frames, context)
            return
        try:
            events = [frame.decode(codec) for frame in frames]
        except UnicodeDecodeError:
            await self._hand_on_decodable(source, frames, codec, context)
        else:
            await self.process_batch(source, events, context)

    async def _hand_on_decodable(self, source: Source, frames: list[bytes], codec: str, context: Context) -> None:
        """Hand on the frames that are text, and reject the others, in their order."""
        events: list[str] = []
        for frame in frames:
            try:
                events.append(frame.decode(codec))
            except UnicodeDecodeError as error:
                await self.process_batch(source, events, context)
                events = []
                reason = f"{source!r} got a line that is no {codec}: {error.reason} at byte {error.start}"
                await self.reject(source, ProcessingError(reason), frame, context)
        await self.process_batch(source, events, context)
