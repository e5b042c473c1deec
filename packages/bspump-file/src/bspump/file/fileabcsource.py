"""The base of the sources that read files."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import glob
import io
import os
import time
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, TypeVar, cast

import asab
import asab.metrics

from bspump import ConfigurationError, TriggerSource, option
from bspump.trigger import RunOnceTrigger

from ._compression import CODECS, BrokenArchiveError, codec_of
from ._input_file import FAILED, FileError, InputFile, Outcome, file_errors, set_aside
from ._lines import newline_of
from ._positions import FilePosition, Place, PositionStore
from ._progress import Progress, Visit
from ._scan import Candidate, Scan, scan

if TYPE_CHECKING:
    from bspump import Pipeline

T = TypeVar("T")

_SHORTEST_RETRY = 0.5
_LONGEST_RETRY = 30.0


def resumes(read: T) -> T:
    """Mark a method `read` that begins where an earlier run has stopped (see `FileABCSource.read`)."""
    read._resumes = True  # type: ignore[attr-defined]
    return read


class FileABCSource(TriggerSource):
    """Reads files: each cycle takes all that match, one after the other. Derive from it and override `read`.

    While a file is read it is called ``<file>-locked`` and holds a lock of the operating system (flock). A file with
    that name and without the lock was left behind by a run that was killed; it is taken over and finished. When a file
    was read to its end and all its events are durable at their destination, it becomes ``<file>-processed`` (option
    ``post``). A file that cannot be read becomes ``<file>-failed``, with one clear error in the log, and the others
    go on.

    A file that somebody still has open for writing is not finished: what is added is read in the next cycle. Where the
    operating system does not tell, a file whose last line has no newline counts as complete when it was not
    modified for the time of ``settle``.

    A writer may also open, append and close in turn. So, before a file is renamed, it has to be left alone for the time
    of ``settle``: one that was written to more recently is read at the end of the cycle, and if somebody goes on
    writing to it, in a later one. That does not hold up files that were renamed since they were written, which is how
    a complete file is put in place, nor anything with ``post = noop``. All the files of a cycle wait at the same time.

    With ``post = noop`` files are not renamed, and any number of sources may read the same one; the source remembers
    which ones it has finished.

    If a file fails in a job, which is a source with a `RunOnceTrigger`, the exit code of the application becomes 1.

    The position is kept, and finished files are put away, every ``commit_interval`` seconds.

    Publishes ``bspump.file_source.no_files!`` on the pipeline's PubSub when a cycle finds nothing to read. The gauge
    ``file_count`` tells what was found.
    """

    path = option.text(
        help="A path or glob pattern (``**`` stands for any folders), or several, separated as in ``PATH`` (``:``)."
    )
    mode = option.choice("rb", ("rb", "r", "rt", "br"), help="``rb`` for bytes, ``r`` for text.")
    newline = option.text(
        os.linesep,
        help="What ends a line: the characters, or ``lf``, ``crlf``, ``cr``; empty: what the file itself uses.",
    )
    encoding = option.encoding(
        "", help="The text encoding, UTF-8 if empty. A byte order mark is understood and left out."
    )
    encoding_errors = option.choice(
        "strict",
        ("strict", "replace", "ignore", "backslashreplace", "surrogateescape"),
        help="What to do about bytes that do not belong to the encoding; with ``strict`` the file fails.",
    )
    compression = option.choice(
        "auto",
        ("auto", "none", *CODECS),
        help="``auto`` (by the suffix: .gz, .bz2, .xz, .lzma, .zst), ``none``, or the name of a format.",
    )
    post = option.choice(
        "move",
        ("move", "delete", "noop"),
        help="What is done with a finished file: ``move`` (to ``<file>-processed``), ``delete`` or ``noop``.",
    )
    move_destination = option.text(help="The folder to move finished files to; their own one if empty.")
    reread = option.choice(
        "auto",
        ("auto", "changed", "run", "always"),
        help="When a finished file is read again with ``post = noop``: ``changed`` (when it has changed; if lines were "
        "added, only these), ``run`` (also by the next run of the application, unless this one is interrupted before "
        "it has finished all files) or ``always`` (in each cycle). "
        "``auto`` is ``run`` if a `RunOnceTrigger` triggers the source, else ``changed``.",
    )
    include = option.text(help="Patterns, as for ``path``, that the whole path has to match.")
    exclude = option.text(help="Patterns, as for ``path``, that the whole path must not match.")
    order = option.choice(
        "name",
        ("name", "time"),
        help="In which order files are read: by ``name``, or by ``time`` of their modification.",
    )
    settle = option.seconds(
        2.0,
        help="How long a file has to be left alone to count as complete if nothing else shows it; 0 for not at all.",
    )
    position_dir = option.text(
        help="Where the source keeps its position file; ``positions`` in ``[general] var_dir`` if empty."
    )
    lines_per_event = option.integer(
        10000, minimum=1, help="After so many calls `simulate_event` sleeps for ``event_idle_time``."
    )
    event_idle_time = option.seconds(0.01, help="How long `simulate_event` sleeps, every ``lines_per_event`` calls.")

    def __init__(
        self,
        app: asab.Application,
        pipeline: Pipeline,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(app, pipeline, id=id, config=config)
        self._paths, self._include, self._exclude = map(_split, (self.path, self.include, self.exclude))
        newline = newline_of(self.newline)
        if newline is None:
            with self.options() as options:
                options.refuse("newline", "is none of lf, crlf, cr, nor empty")
        self.newline = newline or ""
        directory = self.position_dir or Path(asab.Config["general"]["var_dir"]) / "positions"
        name = ".".join(_quoted(part) for part in (pipeline.Id, self.Id))
        self._store = PositionStore(Path(directory), name)
        self._progress = Progress(self._store, self.post, self.move_destination)
        self._thread: concurrent.futures.ThreadPoolExecutor | None = None
        self._visit: Visit | None = None
        self._is_cycle_unfinished = False
        self._refused: dict[str, tuple[int, ...]] = {}
        self._path_problems: dict[str, str] = {}
        self._left_out: list[str] = []
        self._is_first_look = True
        self._seen: set[str] = set()
        self._simulated = 0
        metrics = pipeline.MetricsService
        self._gauge = metrics.create_gauge(
            "file_count",
            tags={"pipeline": pipeline.Id},
            init_values=dict.fromkeys(("processed", "failed", "locked", "unprocessed", "all_files", "scan_time"), 0),
            help="Files that match the path of the source",
        )

    # For the author of a source

    async def read(self, filename: str, f: Any) -> None:
        """Read a file and pass on its events. Override it.

        The file becomes ``-failed`` if this raises, unless what it raises has stopped the pipeline. A run that was
        killed reads the files that were not finished from their beginning again.

        Args:
            filename: the original path.
            f: the open file, decompressed; binary or text as the option ``mode`` says.
        """
        raise NotImplementedError(f"{self.__class__.__name__} does not override read()")

    async def simulate_event(self) -> None:
        """Let others run for a moment, every ``lines_per_event`` calls. To be awaited after each line in `read`."""
        self._simulated += 1
        if self._simulated % self.lines_per_event == 0:
            await asyncio.sleep(self.event_idle_time)

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        """Run what blocks. All of it runs in one thread, in the order in which it is asked for."""
        return await self._submit(function, *arguments)

    def _submit(self, function: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        if self._thread is None:
            self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix=f"bspump {self.Id}")
        return cast("asyncio.Future[T]", self.Loop.run_in_executor(self._thread, function, *arguments))

    # A cycle

    async def cycle(self, *args: Any, **kwags: Any) -> None:
        """Read every file that is there now."""
        found = await self._find()
        if not found:
            self.Pipeline.PubSub.publish("bspump.file_source.no_files!")
            return
        self._is_cycle_unfinished = True
        at_rest: list[Candidate] = []
        fresh: list[Candidate] = []
        for candidate in found:
            (fresh if self._is_fresh(candidate) else at_rest).append(candidate)
        pending = await self._read_files(at_rest)
        if pending or fresh:
            # Most of them only wait to be left alone for long enough.
            await asyncio.sleep(self.settle)
            pending += await self._read_files(await self._in_thread(self._not_written_to_blocking, fresh))
        for file in pending:
            await self._read_file(file, is_last_try=True)
        self._is_cycle_unfinished = False

    async def _read_files(self, candidates: list[Candidate]) -> list[InputFile]:
        """Read files. Returns those that are to be visited again in this cycle."""
        pending: list[InputFile] = []
        for candidate in candidates:
            await self.Pipeline.ready()
            file = await self._take(candidate)
            if file is not None and await self._read_file(file) is Outcome.PENDING:
                pending.append(file)
        return pending

    def _is_fresh(self, candidate: Candidate) -> bool:
        """Tell whether a file may be written to by its name again, and so must not be renamed yet."""
        status = candidate.status
        # Renaming a file changes the second of the two times only.
        is_put_in_place = status.st_ctime_ns > status.st_mtime_ns
        is_settled = abs(time.time() - status.st_mtime) >= self.settle
        return not (self.post == "noop" or candidate.is_orphan or is_put_in_place or is_settled)

    def _not_written_to_blocking(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return the files that nobody has written to since they were found."""
        settled: list[Candidate] = []
        written: list[Candidate] = []
        for candidate in candidates:
            (written if candidate.was_written_to() else settled).append(candidate)
        if self._is_job and written:
            message = "%r leaves %d file(s) to the next run, since somebody is writing to them, such as '%s'"
            self.Pipeline.L.warning(message, self, len(written), written[0].path)
        return settled

    @property
    def _is_job(self) -> bool:
        return any(isinstance(trigger, RunOnceTrigger) for trigger in self.Triggers)

    async def _find(self) -> list[Candidate]:
        found = await self._in_thread(self._scan_blocking)
        for name, value in found.counts.items():
            self._gauge.set(name, value)
        self._complain_about_paths(found)
        if self._left_out and self._is_first_look:
            message = "%r leaves out %d file(s) that failed in an earlier run and have not changed since, such as '%s'"
            self.Pipeline.L.warning(message, self, len(self._left_out), self._left_out[0])
        self._is_first_look = False
        self._seen.update(candidate.path for candidate in found.candidates if candidate.path in self._paths)
        return found.candidates

    def _scan_blocking(self) -> Scan:
        self._store.load_others()
        found = scan(self._paths, self._include, self._exclude, self.order)
        self._left_out = []
        found.candidates = [candidate for candidate in found.candidates if self._is_to_be_read(candidate)]
        return found

    def _is_to_be_read(self, candidate: Candidate) -> bool:
        path, status = candidate.path, candidate.status
        held = self._progress.held.get(candidate.key)
        if held is not None and (self.post != "noop" or os.path.samestat(held.status, status)):
            return False
        if self._refused.get(path) == _signature(status):
            return False
        entry = self._store.entries.get(candidate.key)
        if entry is None or candidate.is_orphan:
            return True
        if entry.state == "finished" and self.reread != "always":
            return not entry.is_unchanged(status)
        if entry.state != "failed" or not entry.is_unchanged(status, and_permissions=True):
            return True
        self._left_out.append(path)
        return False

    def _complain_about_paths(self, found: Scan) -> None:
        # Files that match a pattern may come later, but not for a job.
        problems = {
            path: "no file matches it" if glob.has_magic(path) else "there is no such regular file"
            for path in found.nothing_at
            if path not in self._seen and (self._is_job or not glob.has_magic(path))
        }
        problems |= {
            path: f"is a directory; to read the files in it, write '{path.rstrip('/')}/*'" for path in found.directories
        }
        for path in self._paths:
            problem = problems.get(path)
            if problem is None:
                self._path_problems.pop(path, None)
            elif self._path_problems.get(path) != problem:
                self._path_problems[path] = problem
                self.Pipeline.L.warning("%r: path '%s': %s", self, path, problem)

    async def _take(self, candidate: Candidate) -> InputFile | None:
        try:
            return await self._in_thread(self._take_blocking, candidate)
        except FileError as error:
            await self.refuse(candidate, error)
            return None

    async def refuse(self, candidate: Candidate, error: FileError) -> None:
        """Set a file aside that cannot be opened; or leave it alone, if that has to be."""
        self._note_failure()
        path = candidate.path
        is_set_aside = self.post != "noop" and await self._in_thread(
            lambda: set_aside(path, is_orphan=candidate.is_orphan)
        )
        if not is_set_aside:
            self._refused[path] = _signature(candidate.status)
        self.Pipeline.L.error("%r: file '%s' %s; %s", self, path, error, self._fate(path, is_failed=is_set_aside))

    def _fate(self, path: str, *, is_failed: bool) -> str:
        fate = f"becomes '{path}{FAILED}'" if is_failed else "is left alone until it changes"
        return f"it {fate}, the others go on"

    def _note_failure(self) -> None:
        if self._is_job:
            self.App.set_exit_code(1)

    def _take_blocking(self, candidate: Candidate) -> InputFile | None:
        codec = codec_of(candidate.path, self.compression)
        file = InputFile.take(candidate.path, codec, is_orphan=candidate.is_orphan, rename=self.post != "noop")
        if file is None:
            return None
        self._progress.hold(file)
        if self._resumes:
            entries = [entry for entry in self._store.of_all_slots(file.key) if entry.is_of(file.fd)]
            usable = [entry for entry in entries if not self._is_outdated(entry.state, entry.size, file)]
            file.place = max((entry.place for entry in usable), default=Place())
        return file

    def _is_outdated(self, state: str, size: int, file: InputFile) -> bool:
        """Tell whether a file that was finished is to be read from its beginning again."""
        return state != "open" and (self.reread == "always" or os.fstat(file.fd).st_size <= size)

    @property
    def _resumes(self) -> bool:
        return bool(getattr(type(self).read, "_resumes", False))

    # One file

    async def _read_file(self, file: InputFile, *, is_last_try: bool = False) -> Outcome:
        visit = self._visit = self._progress.begin(file)
        file.is_waiting = file.has_writer = False
        try:
            outcome = await self._read_content(file)
        except FileError as error:
            outcome = await self._fail_file(file, error)
        except Exception as error:
            # What stops the pipeline is not the fault of the file.
            if self._resumes or self.Pipeline.is_error():
                raise
            outcome = await self._fail_file(file, error)
        if outcome is Outcome.PENDING and is_last_try:
            outcome = Outcome.UNFINISHED
        self._visit = None
        self.position = self._progress.end(visit, outcome)
        if outcome is not Outcome.PENDING:
            self._submit(self._progress.limit_open_blocking, file)
        return outcome

    async def _read_content(self, file: InputFile) -> Outcome:
        with file_errors():
            f = await self._in_thread(self._open_blocking, file)
        try:
            await self.read(file.path, f)
            if not self._resumes:
                await self._in_thread(lambda: file.note_end(is_exact=False))
        finally:
            self._submit(f.close)
        if file.is_waiting:
            return Outcome.PENDING
        return Outcome.UNFINISHED if file.has_writer else Outcome.FINISHED

    def _open_blocking(self, file: InputFile) -> BinaryIO | TextIO:
        if file.end is not None and not file.end.is_of(file.fd):
            file.place = Place()  # it was rewritten while its last line was waited for
        content = file.content()
        if "b" in self.mode or self._resumes:
            return content
        return io.TextIOWrapper(
            content, encoding=self.encoding or "utf-8", errors=self.encoding_errors, newline=self.newline
        )

    async def _fail_file(self, file: InputFile, error: Exception) -> Outcome:
        cause = error.__cause__ or error
        if isinstance(cause, BrokenArchiveError) and cause.truncated:
            settled = await self._in_thread(file.is_settled, self.settle)
            if not settled:
                file.is_waiting = True
                return Outcome.PENDING
        self._note_failure()
        reason = str(error) if isinstance(error, FileError) else f"cannot be read: {type(error).__name__}: {error}"
        line = f" (after line {file.place.line})" if file.place.line else ""
        fate = self._fate(file.path, is_failed=self.post != "noop")
        self.Pipeline.L.error("%r: file '%s' %s%s; %s", self, file.path, reason, line, fate)
        return Outcome.FAILED

    # Acknowledging

    async def commit(self, position: FilePosition) -> None:
        """Keep the position on disk, and put files that are finished where they belong."""
        pause = _SHORTEST_RETRY
        while True:
            try:
                await self._in_thread(self._progress.commit_blocking, position)
            except OSError as error:
                if error.errno == errno.EBADF:
                    raise  # no time will mend that
                if pause == _SHORTEST_RETRY:
                    self.Pipeline.L.error("%r cannot commit its position and tries again until it can: %s", self, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_RETRY)
            else:
                return

    async def rewind(self) -> None:
        """Read again what was not committed, in a cycle that begins at once."""
        await self._in_thread(self._progress.forget_blocking)
        await super().rewind()

    # Life

    def rest_get(self) -> dict[str, Any]:
        """Return the description of the source for the REST interface, with the place that it has come to."""
        description = super().rest_get()
        position: FilePosition | None = self.position
        if position is not None:
            description |= {"File": position.filename, "Line": position.line}
        committed: FilePosition | None = self.committed_position
        if committed is not None:
            description |= {"CommittedFile": committed.filename, "CommittedLine": committed.line}
        return description

    async def open(self) -> None:
        """Load what an earlier run has committed.

        Raises:
            ConfigurationError: the folder for the position file cannot be used.
        """
        self._is_first_look = True
        if not self._paths:
            self.Pipeline.L.warning("%r has nothing to read, since its option 'path' is empty", self)
        try:
            await self._in_thread(self._open_store_blocking)
        except OSError as error:
            folder, reason = self._store.path.parent, error.strerror or error
            raise ConfigurationError(
                f"[{self.section}] position_dir: '{folder}' cannot be used for the position file: {reason}"
            ) from error

    @property
    def _prunes_at_start(self) -> bool:
        return True

    def _open_store_blocking(self) -> None:
        self._store.open()
        if self._prunes_at_start:
            self._progress.prune_blocking(self._paths, finished_too=False)

    async def close(self) -> None:
        """Give the files that are not finished back their names."""
        if self._thread is None:
            return
        try:
            await self._in_thread(self._close_blocking)
        finally:
            self._thread.shutdown(wait=False)
            self._thread = None

    def _close_blocking(self) -> None:
        is_complete = not self._is_cycle_unfinished and not self._progress.held
        self._progress.release_blocking()
        if is_complete and self._is_reread_by_next_run():
            self._progress.prune_blocking(self._paths, finished_too=True)
        self._store.close()

    def _is_reread_by_next_run(self) -> bool:
        if self.reread == "auto":
            return self._is_job
        return self.reread == "run"


def _split(paths: str) -> list[str]:
    return [path for path in (part.strip() for part in paths.replace("\n", os.pathsep).split(os.pathsep)) if path]


def _quoted(identifier: str) -> str:
    """Return an identifier as it may be a part of a file name between dots."""
    return urllib.parse.quote(identifier, safe="").replace(".", "%2E")


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
