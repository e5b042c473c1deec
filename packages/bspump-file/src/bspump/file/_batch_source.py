"""The base of the sources that make their events of lines: read ahead by blocks, in a thread, handed on in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, BinaryIO

from bspump import Context, option

from ._batches import Batch, BatchReader, LineParser, once
from ._input_file import FileError, InputFile, file_errors
from ._lines import BLOCK, Format, LineReader
from ._positions import Entry, FilePosition
from ._progress import Progress, Visit
from ._tail import Follower
from .fileabcsource import FileABCSource, resumes


class LineBasedSource(FileABCSource):
    """Makes events of the lines of files. Derive from it and override `make_parser`.

    A run that was killed, or an error that was cleared, goes on at the line that was committed.

    The context of an event has the keys ``filename``, the original path, and ``line``, the number of the event's
    first line, counted from 1.

    With ``tail`` files are followed by name, as ``tail -F`` does: one that is rotated away is read to its end before
    the new one is begun, one that is truncated is read from its beginning, one that is missing is waited for. A line is
    an event once it has its newline. Files are neither renamed nor locked, whatever ``post`` says, and compressed ones
    are left out. If a file may be rotated while nobody follows it, let ``path`` match the rotated names too
    (``app.log*``): only the file that was read last is found under any name, not those that came between. Of a file
    that is truncated in place (``copytruncate`` of logrotate), what is written between the last look at it (see
    ``poll_interval``) and the truncation is lost.

    Further options: those of `FileABCSource` (path, mode, encoding, compression, post, reread, settle, position_dir …).
    """

    line_limit = option.size(
        "64MB", help="The most bytes that a line, or an event of several lines, may have; a file with more fails."
    )
    tail = option.boolean(
        False, help="Whether to follow files that grow. The source then needs no trigger, and its one cycle never ends."
    )
    tail_from = option.choice(
        "beginning",
        ("beginning", "end"),
        help="Where to begin with a file that is there at the first start.",
    )
    poll_interval = option.seconds(0.25, minimum=0.01, help="How often to look for something new in files that grow.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        with self.options() as options:
            if options.text("encoding").strip() and "b" in self.mode and not self._decodes:
                options.refuse("encoding", "needs mode = r; bytes are passed on as they are in the file")
        if self.tail:
            self.post = "noop"
            self._progress = Progress(self._store, self.post, "")

    _block = BLOCK
    """How many bytes are read at once."""

    _decodes = False
    """Whether the source decodes its files whatever the mode."""

    def make_parser(self, reader: LineReader) -> LineParser:
        """Return the parser of a new file. Called in a thread."""
        raise NotImplementedError(f"{self.__class__.__name__} does not override make_parser()")

    @property
    def _format(self) -> Format:
        is_text = self._decodes or "b" not in self.mode
        return Format(
            newline=self.newline,
            encoding=(self.encoding or "utf-8") if is_text else None,
            errors=self.encoding_errors,
            line_limit=self.line_limit,
            block=self._block,
        )

    async def open(self) -> None:
        """Load what an earlier run has committed."""
        await super().open()
        if self.tail:
            self.TriggerEvent.set()

    @property
    def _prunes_at_start(self) -> bool:
        # A followed file that is not at its path any more may have been rotated.
        return not self.tail

    @property
    def needs_trigger(self) -> bool:
        """Whether the source does nothing without a trigger: it follows files without one."""
        return not self.tail

    async def cycle(self, *args: Any, **kwags: Any) -> None:
        """Read every file that is there now, or follow the files."""
        if not self.tail:
            await super().cycle(*args, **kwags)
            return
        self._is_cycle_unfinished = True
        follower = Follower(self, self.poll_interval, self.settle, from_end=self.tail_from == "end")
        await follower.run()

    def report_failed(self, file: InputFile, error: FileError) -> None:
        """Say that a file is not followed any further."""
        line = file.place.line
        self.Pipeline.L.error(
            "%r: file '%s' %s (after line %d); it is not followed any more, the others are",
            self,
            file.path,
            error,
            line,
        )

    def report_truncated(self, file: InputFile) -> None:
        """Say that a file is read from its beginning again."""
        self.Pipeline.L.warning(
            "%r: file '%s' was truncated after its line %d was read, and is read from its beginning; "
            "lines written just before the truncation are lost",
            self,
            file.path,
            file.place.line,
        )

    def report_rotated(self, path: str, other: str) -> None:
        """Say that a file was rotated away while nobody followed it."""
        self.Pipeline.L.warning(
            "%r: the file that was '%s' was rotated to '%s' meanwhile, and is read to its end; "
            "others that came between are not read unless 'path' matches their names",
            self,
            path,
            other,
        )

    def report_lost(self, path: str, entry: Entry) -> None:
        """Say that what was added to a file before it was rotated away cannot be found."""
        self.Pipeline.L.warning(
            "%r: the file that was '%s' is not in its folder any more; what it had after line %d was not read",
            self,
            path,
            entry.line,
        )

    @resumes
    async def read(self, filename: str, f: Any) -> None:
        """Read a file from its committed place to its end."""
        visit = self._visit
        if visit is None:
            raise RuntimeError(f"{self!r}: read() is called by cycle(), which has opened the file")
        content: BinaryIO = getattr(f, "buffer", f)
        with file_errors():
            reader = await self._in_thread(self.make_reader, visit.file, content)
        read_end = once(lambda: self._end_blocking(visit.file, reader))
        await self._emit_prompt(visit, reader)
        await self.emit_all(visit, lambda: reader.read() or read_end())
        visit.file.place = reader.place

    def make_reader(self, file: InputFile, content: BinaryIO) -> BatchReader:
        """Return what reads the batches of a file, from its place on. Blocks."""
        return BatchReader(file.path, content, file.place, self._format, self.make_parser)

    def _end_blocking(self, file: InputFile, reader: BatchReader) -> Batch | None:
        """Return what stands behind the last newline, if it is complete."""
        file.note_end(is_exact=True)
        file.has_writer = file.is_being_written() is True
        batch = None
        if reader.has_rest:
            # The end of a compressed stream is one; behind the last line of a plain file more may come at any time.
            file.is_waiting = file.codec is None and (file.has_grown() or not file.is_settled(self.settle))
            batch = reader.flush(with_remainder=True) if not file.is_waiting else None
        file.end = Entry.of(file.fd, reader.place, compressed=file.codec is not None)
        return batch

    async def _emit_prompt(self, visit: Visit, reader: BatchReader) -> None:
        """Hand on what is in the memory of the system, without the cost of going to the thread and back."""
        while reader.is_prompt:
            with file_errors():
                batch = reader.read_promptly() or await self._in_thread(reader.read)
            if batch is None:
                break
            await self._emit(visit, batch)

    async def emit_all(self, visit: Visit, produce: Callable[[], Batch | None]) -> None:
        """Hand on batch after batch; the next one is produced in the thread meanwhile."""
        ahead = self._submit(produce)
        try:
            while True:
                with file_errors():
                    batch = await ahead
                if batch is None:
                    break
                ahead = self._submit(produce)
                await self._emit(visit, batch)
        finally:
            # The thread finishes it before it does anything else for the source; nobody needs the result.
            ahead.add_done_callback(_see)

    async def _emit(self, visit: Visit, batch: Batch) -> None:
        start = 0
        for rejection in batch.rejections:
            await self._emit_events(visit, batch, start, rejection.before)
            context = {"filename": batch.filename, "line": batch.start.line + 1 + rejection.line}
            await self.reject(rejection.error, rejection.event, context)
            visit.file.place = batch.place_behind_line(rejection.end)
            self.position = visit.position(visit.file.place)
            start = rejection.before
            await asyncio.sleep(0)  # a file may have nothing else
        await self._emit_events(visit, batch, start, len(batch.events))
        if batch.failure is not None:
            raise batch.failure

    async def _emit_events(self, visit: Visit, batch: Batch, start: int, stop: int) -> None:
        """Hand on a part of the events of a batch."""
        if start == stop:
            return

        def contexts(first: int, last: int) -> list[Context]:
            return batch.contexts(start + first, start + last)

        def position(count: int) -> FilePosition:
            place = visit.file.place = batch.place_behind_event(start + count)
            return visit.position(place)

        events = batch.events if stop - start == len(batch.events) else batch.events[start:stop]
        await self.process_batch(events, contexts, position=position)


def _see(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
