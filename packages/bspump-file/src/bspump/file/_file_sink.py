"""The base of the sinks that append events to files."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import asab

from bspump import Context, Event, PipelineError, ProcessingError, option
from bspump.abc.sink import Sink

from ._compression import WRITABLE_CODECS, codec_of
from ._lines import split_mark, width_of
from ._output import BusyFileError, LostWritesError, OutputFile, Rotation, end_of_last_line, name_problem

if TYPE_CHECKING:
    from bspump import Pipeline

T = TypeVar("T")

_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
# How many names of files are kept in memory at most, so as not to look at each one again.
_MOST_CHECKED = 10_000


@dataclasses.dataclass(slots=True)
class _Job:
    """Something for the thread to do, in its turn."""

    done: asyncio.Future[None]
    writes: dict[str, list[bytes]] = dataclasses.field(default_factory=dict)
    rotate: Callable[[OutputFile], None] | None = None


class AppendingSink(Sink):
    """Appends events to files. Derive from it and override `serialise`.

    Events are collected for a moment and written in a thread. What `checkpoint` has returned for is on disk (fsync):
    it survives a crash of the process and of the machine. A disk that is full, or a file that cannot be written for
    another reason, is reported once; it is tried again until it works, and meanwhile the pipeline waits as soon as the
    buffer is full. At no time a half event is left in a file for good: what was not written as a whole is cut off.

    A file is locked as long as the sink has it open: another sink, in any process, that is to write it too has to wait,
    and says so. `FileABCSource` leaves it alone as long, unless its ``post`` is ``noop``; it can read what was rotated.

    An existing file is appended to. If its last line has no end, since the run before was killed, that line is cut
    off; its event was never acknowledged and comes again.

    To write to several files, override `get_file_name`.
    """

    path = option.text(help="The file. Missing folders are created.")
    append = option.boolean(
        True, help="Whether to append to a file that is there already; with ``no`` each run begins it anew."
    )
    encoding = option.encoding(
        "utf-8",
        empty="utf-8",
        help="The encoding of text; a byte order mark, where it has one, is written at the start of a file only.",
    )
    compression = option.choice(
        "auto",
        ("auto", "none", *WRITABLE_CODECS),
        help="``auto`` (by the suffix: .gz, .bz2, .xz, .zst), ``none``, or the name of a format. What is in the file "
        "is a complete archive after every write.",
    )
    buffer_size = option.size("1MB", help="How many bytes are collected for one write.")
    buffer_limit = option.size(
        "16MB", help="The number of bytes waiting to be written at which the pipeline is throttled."
    )
    flush_interval = option.seconds(1.0, help="How long an event waits to be written.")
    max_open_files = option.integer(
        64, minimum=1, help="How many files are kept open; beyond that, the one not used for longest is closed."
    )
    rotate_size = option.size(
        0,
        help="The size at which the file gets its final name, ``<name>-<time>.<n>.<suffix>``, and a new one is begun; "
        "0 for never.",
    )
    rotate_every = option.seconds(
        0,
        help="How often the file gets its final name, such as ``1h``: at each multiple of that time (UTC); "
        "0 for never.",
    )

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._encoding, self._mark = split_mark(self.encoding)
        self._rotation = Rotation(self.rotate_size, self.rotate_every)
        with self.options() as options:
            if not self.path and not self._names_vary:
                options.refuse("path", "is empty; it has to be the file to write to")
            if codec_of(self.path, self.compression) == "lzma":
                options.refuse("path", "ends in .lzma, a format that cannot be appended to; use .xz")
        self._collected: dict[str, list[bytes]] = {}
        self._collected_bytes = 0
        self._unwritten = 0
        self._holds = False
        self._timer: asyncio.TimerHandle | None = None
        self._jobs: collections.deque[_Job] = collections.deque()
        self._unfinished: set[asyncio.Future[None]] = set()
        self._writer: asyncio.Task[None] | None = None
        self._rotator: asyncio.Task[None] | None = None
        self._thread: concurrent.futures.ThreadPoolExecutor | None = None
        self._outputs: collections.OrderedDict[str, OutputFile] = collections.OrderedDict()
        self._begun: set[str] = set()
        self._headers: dict[str, bytes] = {}
        self._checked: set[str] = set()
        self._is_synced = True
        self._lost: LostWritesError | None = None
        self._failing_since: float | None = None
        self._last_error = ""

    # For the author of a sink

    def get_file_name(self, context: Context, event: Event) -> str:
        """Return the file that an event is written to: the option ``path``. Override it to write to several."""
        return self.path

    def serialise(self, path: str, events: Sequence[Event]) -> bytes:
        """Return the bytes that are appended to a file for some events; each event is whole lines.

        Raises:
            ProcessingError: one of them cannot be written.
        """
        raise NotImplementedError(f"{self.__class__.__name__} does not override serialise()")

    def find_end(self, fd: int) -> int:
        """Return the length of the part of an existing file that is whole events. Called in a thread."""
        return end_of_last_line(fd, "\n".encode(self._encoding), width_of(self._encoding))

    @property
    def _names_vary(self) -> bool:
        return type(self).get_file_name is not AppendingSink.get_file_name

    # Events come in

    def process(self, context: Context, event: Event) -> None:
        """Take an event."""
        self.process_batch([context], [event])

    def process_batch(self, contexts: list[Context], events: list[Event]) -> None:
        """Take events."""
        if not self._names_vary:
            self._collect(self.path, self.serialise(self.path, events))
            return
        groups: dict[str, list[Event]] = {}
        for context, event in zip(contexts, events, strict=True):
            groups.setdefault(self.get_file_name(context, event), []).append(event)
        for path in groups.keys() - self._checked:
            self._check_name(path)
        # If one event cannot be serialised, nothing of the batch is taken.
        serialised = [(path, self.serialise(path, group)) for path, group in groups.items()]
        for path, data in serialised:
            self._collect(path, data)

    def _check_name(self, path: str) -> None:
        problem = name_problem(path)
        if codec_of(path, self.compression) == "lzma":
            problem = ".lzma cannot be appended to; use .xz"
        if problem is not None:
            raise ProcessingError(f"{self!r} cannot write '{path}': {problem}")
        if len(self._checked) >= _MOST_CHECKED:
            self._checked.clear()
        self._checked.add(path)

    def _collect(self, path: str, data: bytes) -> None:
        self._collected.setdefault(path, []).append(data)
        self._collected_bytes += len(data)
        self._unwritten += len(data)
        if self._collected_bytes >= self.buffer_size:
            self._cut()
        elif self._timer is None:
            self._timer = self.Loop.call_later(self.flush_interval, self._cut)
        if self._unwritten >= self.buffer_limit and not self._holds:
            self._holds = True
            self.Pipeline.throttle(self)

    def _cut(self) -> None:
        """Hand over what was collected."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._collected:
            self._enqueue(writes=self._collected)
            self._collected = {}
            self._collected_bytes = 0

    def _enqueue(
        self, writes: dict[str, list[bytes]] | None = None, rotate: Callable[[OutputFile], None] | None = None
    ) -> None:
        done: asyncio.Future[None] = self.Loop.create_future()
        self._unfinished.add(done)
        self._jobs.append(_Job(done, writes or {}, rotate))
        if self._writer is None or self._writer.done():
            self._writer = self.Loop.create_task(self._work(), name=f"bspump writer {self.locate_address()}")

    # Events go out

    async def _work(self) -> None:
        while self._jobs:
            job = self._jobs.popleft()
            for path, parts in job.writes.items():
                await self._write(path, parts)
            if job.rotate is not None:
                await self._until_it_works("", self._rotate_blocking, job.rotate)
            self._unfinished.discard(job.done)
            job.done.set_result(None)

    async def _write(self, path: str, parts: list[bytes]) -> None:
        # Without rotation by size, fewer and larger writes.
        pieces = [[part] for part in parts] if self._rotation.size else [parts]
        for piece in pieces:
            notice = await self._until_it_works(path, self._write_blocking, path, piece)
            if notice:
                self.Pipeline.L.warning("%r: %s", self, notice)
            self._count_written(sum(map(len, piece)))

    def _count_written(self, size: int) -> None:
        self._unwritten -= size
        if self._holds and self._unwritten <= self.buffer_limit // 2:
            self._holds = False
            self.Pipeline.throttle(self, False)

    async def _until_it_works(self, path: str, function: Callable[..., T], *arguments: object) -> T | None:
        pause = _SHORTEST_PAUSE
        while True:
            try:
                result = await self._in_thread(function, *arguments)
            except LostWritesError as error:
                self._lost = error  # the next checkpoint raises it
                await asyncio.sleep(pause)
                continue
            except OSError as error:
                is_busy = isinstance(error, BusyFileError)
                what = str(error) if is_busy else f"{error.strerror or error} ('{error.filename or path}')"
                self._last_error = what
                if self._failing_since is None:
                    self._failing_since = self.time()
                    self.Pipeline.L.error("%r cannot write and tries again until it can: %s", self, what)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            except Exception as error:
                # What was to be written comes again once the error is cleared.
                self.Pipeline.set_error(None, None, error)
                return None
            if self._failing_since is not None:
                seconds = self.time() - self._failing_since
                self.Pipeline.L.warning("%r can write again, after %.1f seconds; nothing was lost", self, seconds)
                self._failing_since = None
            return result

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        if self._thread is None:
            self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix=f"bspump {self.Id}")
        return await self.Loop.run_in_executor(self._thread, lambda: function(*arguments))

    def _write_blocking(self, path: str, parts: list[bytes]) -> str:
        self._is_synced = False
        return self._output(path).write(self._mark + self._headers.get(path, b""), parts)

    def _output(self, path: str) -> OutputFile:
        # The same file by another name would wait for its own lock.
        key = os.path.realpath(path)
        output = self._outputs.get(key)
        if output is None:
            while len(self._outputs) >= self.max_open_files:
                oldest = next(iter(self._outputs))
                self._outputs[oldest].close()
                del self._outputs[oldest]
            codec = codec_of(path, self.compression)
            truncate = not self.append and key not in self._begun
            output = OutputFile(path, codec, self._rotation, self.find_end, truncate=truncate)
            self._outputs[key] = output
            self._begun.add(key)
        self._outputs.move_to_end(key)
        return output

    def _rotate_blocking(self, rotate: Callable[[OutputFile], None]) -> None:
        for output in self._outputs.values():
            rotate(output)

    async def _rotate_in_time(self) -> None:
        while True:
            await asyncio.sleep(self._rotation.until_next(time.time()))
            self._cut()
            self._enqueue(rotate=OutputFile.rotate_in_time)

    # The delivery contract

    async def open(self) -> None:
        """Begin to rotate by time."""
        if self._rotation.seconds:
            self._rotator = self.Loop.create_task(self._rotate_in_time(), name=f"bspump rotate {self.Id}")

    async def checkpoint(self) -> None:
        """Write what was taken so far and make it durable.

        Raises:
            LostWritesError: something written since the last checkpoint is lost; its events have to come again.
        """
        self._cut()
        pending = list(self._unfinished)
        if pending:
            await asyncio.wait(pending)
        if any(done.cancelled() for done in pending):
            raise PipelineError(f"{self!r} was closed before everything in it was written")
        if not self._is_synced:
            await self._in_thread(self._sync_blocking)
        lost, self._lost = self._lost, None
        if lost is not None:
            raise lost

    def _sync_blocking(self) -> None:
        for output in self._outputs.values():
            try:
                output.sync()
            except LostWritesError as error:
                self._lost = error
        self._is_synced = True

    async def close(self) -> None:
        """Close the files. What was not written was not acknowledged."""
        for task in (self._writer, self._rotator):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        if self._unwritten:
            self.Pipeline.L.warning("%r ends with %d byte(s) not written", self, self._unwritten)
        self._forget()
        if self._thread is not None:
            try:
                await self._in_thread(self._close_blocking)
            finally:
                self._thread.shutdown(wait=False)
                self._thread = None

    def _forget(self) -> None:
        """Begin with an empty buffer after the next start: what was in it comes again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._collected, self._collected_bytes = {}, 0
        self._jobs.clear()
        for done in self._unfinished:
            done.cancel()
        self._unfinished.clear()
        self._lost = self._failing_since = None
        self._count_written(self._unwritten)

    def _close_blocking(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self._outputs.clear)
            for output in self._outputs.values():
                stack.callback(output.abandon)
                stack.callback(output.close)

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the sink for the REST interface; while it cannot write, with the reason."""
        description = {**super().rest_get(), "Buffered": self._unwritten}
        if self._failing_since is not None:
            description |= {"FailingSince": self._failing_since, "LastError": self._last_error}
        return description
