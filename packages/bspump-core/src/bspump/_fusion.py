"""Generated code that takes events through several processors: their calls, one after the other, in one function.

What is called is a local of the function. Calling a function with ``self`` is quicker than calling a bound method, and
``list.append`` by its name quicker than a bound ``append``.
"""

from __future__ import annotations

import dataclasses
import linecache
import types
from collections.abc import Callable, Sequence

from ._types import Context, Event
from .abc.processor import ProcessorBase


class Code:
    """Source code in the making, which remembers on which line each processor is called."""

    def __init__(self, name: str, processors: Sequence[ProcessorBase]) -> None:
        self._file_name = f"<bspump chain {name}>"
        self._lines: list[str] = []
        self._processors = list(processors)
        self._processor_of_line: dict[int, ProcessorBase] = {}
        self._callables: dict[str, object] = {}
        self._calls = [self._call(index, processor.process) for index, processor in enumerate(processors)]

    def _call(self, index: int, process: Callable[[Context, Event], Event]) -> str:
        if isinstance(process, types.MethodType) and isinstance(process.__func__, types.FunctionType):
            self._callables[f"f{index}"] = process.__func__
            self._callables[f"s{index}"] = process.__self__
            return f"f{index}(s{index}, context, event)"
        self._callables[f"f{index}"] = process
        return f"f{index}(context, event)"

    def add(self, *lines: str) -> None:
        """Add lines."""
        self._lines.extend(lines)

    def add_of(self, index: int, line: str) -> None:
        """Add a line; an exception that is raised there is one of the processor of that number."""
        self.add(line)
        if index >= 0:
            self._processor_of_line[len(self._lines)] = self._processors[index]

    def add_call(self, index: int, indent: str) -> None:
        """Add the call of a processor."""
        self.add_of(index, f"{indent}event = {self._calls[index]}")

    def define(self, name: str, *arguments: str) -> None:
        """Add the first line of the function."""
        self.add(f"def {name}({', '.join([*arguments, *(f'{local}={local}' for local in self._callables)])}):")

    def compile(self, function_name: str, **names: object) -> Callable[..., object]:
        """Return the function, which sees what the keyword arguments name, and ``stage``, which finds a processor."""
        header = ", ".join([*self._callables, *names, "stage"])
        body = [f"def build({header}):", *("    " + line for line in self._lines), f"    return {function_name}"]
        source = "\n".join(body) + "\n"
        # Tracebacks through the generated code show its lines.
        linecache.cache[self._file_name] = (len(source), None, source.splitlines(keepends=True), self._file_name)
        namespace: dict[str, Callable[..., Callable[..., object]]] = {}
        exec(compile(source, self._file_name, "exec"), namespace)
        return namespace["build"](*self._callables.values(), *names.values(), self._stage)

    def _stage(self, error: Exception) -> ProcessorBase | None:
        traceback = error.__traceback__
        # `build` adds one line before the first.
        return self._processor_of_line.get(traceback.tb_lineno - 1) if traceback is not None else None


@dataclasses.dataclass(frozen=True)
class Fusion:
    """What one generated function does with a batch.

    Attributes:
        size: the number of processors.
        is_end: they are the last ones of the chain; otherwise the function returns what is left.
        is_consumed: the last one takes the event, and returns nothing.
        is_discarded: the last one need not be called at all.
        counts_out: what the last one took has left the pipeline.
        is_profiled: each call is timed.
        makes_contexts: the function is called with the events alone, makes an empty context for each, and returns the
            index of the event that stopped the pipeline, or -1. Only for the last ones.
    """

    size: int
    is_end: bool
    is_consumed: bool = False
    is_discarded: bool = False
    counts_out: bool = False
    is_profiled: bool = False
    makes_contexts: bool = False

    def write(self, code: Code) -> None:
        """Write the function ``segment(contexts, events)``, or ``segment(events)``."""
        code.define("segment", *([] if self.makes_contexts else ["contexts"]), "events")
        code.add("    dropped = failed = 0", "    is_stopped = False")
        if not self.is_end:
            code.add("    kept_contexts = []", "    kept_events = []")
        if self.is_profiled:
            code.add(*(f"    t{index} = 0.0; n{index} = 0" for index in range(self.size)))
        self._write_loop(code)
        if not self.is_end:
            code.add("        kept_events.append(event)", "        kept_contexts.append(context)")
        self._write_accounts(code)
        if self.makes_contexts:
            code.add("    return taken - 1 if is_stopped else -1")
        elif self.is_end:
            code.add("    return nothing")
        else:
            code.add("    return kept_contexts, kept_events")

    def _write_loop(self, code: Code) -> None:
        if self.makes_contexts:
            code.add("    rest = iter(events)", "    for event in rest:", "        context = {}")
        else:
            code.add("    rest = zip(contexts, events)", "    for context, event in rest:")
        code.add("        try:")
        self._write_calls(code)
        code.add("        except Exception as error:", "            failed += 1")
        code.add("            if fail(error, context, event, stage(error)):")
        code.add("                is_stopped = True", "                break", "            continue")

    def _write_calls(self, code: Code) -> None:
        if self.is_profiled:
            code.add("            now = clock()")
        called = self.size - 1 if self.is_discarded else self.size
        for index in range(called):
            code.add_call(index, "            ")
            if self.is_profiled:
                code.add(f"            then = now; now = clock(); t{index} += now - then; n{index} += 1")
            if index < self.size - 1 or not self.is_consumed:
                code.add("            if event is None:", "                dropped += 1", "                continue")
        if self.is_end and not self.is_discarded:
            code.add("            if event is not None:")
            code.add_of(self.size - 1, "                raise unconsumed()")
        elif not called:
            code.add("            pass")

    def _write_accounts(self, code: Code) -> None:
        code.add("    counts.dropped += dropped")
        if self.is_profiled:
            code.add(*(f"    profile(processors[{index}], t{index}, n{index})" for index in range(self.size)))
        if self.is_end:
            code.add("    taken = len(events) - sum(1 for _ in rest)")
        if self.counts_out:
            code.add("    counts.out += taken - dropped - failed")
