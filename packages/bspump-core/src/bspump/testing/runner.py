"""Running pipelines inside a test."""

from __future__ import annotations

import asyncio
import copy
import logging
import sys
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import asab
import asab.abc.singleton

from ..application import BSPumpApplication
from ..pipeline import Pipeline
from ..service import BSPumpService

T = TypeVar("T")

_OWN_SECTIONS = ("pipeline:", "connection:", "lookup:", "lookupprovider:", "matrix:")


class PumpRunner:
    """An application of its own with a fresh event loop; at the end of the ``with`` block nothing of it is left.

    Attributes:
        app: the application.
        service: its pump service.
    """

    def __init__(self, arguments: list[str] | None = None, **options: Any) -> None:
        asab.Config.add_defaults({"general": {"watchdog_threshold": "0"}})
        self._had_web = asab.Config.has_section("web")
        self._defaults = copy.deepcopy(asab.Config._default_values)
        self._configured: list[tuple[str, str, str | None]] = []
        self._handlers = list(logging.getLogger().handlers)
        self._excepthook = sys.excepthook
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self.app = BSPumpApplication(args=arguments or [], **options)
        self.service: BSPumpService = self.app.PumpService

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def configure(self, section: str, **options: Any) -> None:
        """Set options of a section, as a configuration file would. Call it before the components are built."""
        if not asab.Config.has_section(section):
            asab.Config.add_section(section)
        for key, value in options.items():
            self._configured.append((section, key, asab.Config.get(section, key, raw=True, fallback=None)))
            asab.Config.set(section, key, str(value))

    def run(
        self,
        scenario: Callable[[], Coroutine[Any, Any, T]],
        *pipelines: Pipeline,
        limit: float = 60.0,
    ) -> T:
        """Register and start the pipelines, run the scenario, stop everything gracefully.

        Raises:
            TimeoutError: the scenario did not end in time.
        """
        self.service.add_pipelines(*pipelines)
        return self._loop.run_until_complete(self._run(scenario, limit))

    async def _run(self, scenario: Callable[[], Coroutine[Any, Any, T]], limit: float) -> T:
        await self.service.initialize(self.app)
        try:
            return await asyncio.wait_for(scenario(), limit)
        finally:
            await self.service.finalize(self.app)

    def close(self) -> None:
        """Take the application down."""
        self._forget_scheduled()
        if not self._loop.is_closed():
            self._loop.run_until_complete(self._cancel_tasks())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()
        asyncio.set_event_loop(None)
        sys.excepthook = self._excepthook
        asab.abc.singleton.Singleton.delete(type(self.app))
        root = logging.getLogger()
        for handler in list(root.handlers):
            if handler not in self._handlers:
                root.removeHandler(handler)
        self._restore_configuration()

    def _restore_configuration(self) -> None:
        # asab's configuration is one for the process; what asab's own modules added to it stays.
        asab.Config._default_values.clear()
        asab.Config._default_values.update(self._defaults)
        for section, key, value in reversed(self._configured):
            if value is None:
                asab.Config.remove_option(section, key)
            else:
                asab.Config.set(section, key, value)
        for section in asab.Config.sections():
            if section.startswith(_OWN_SECTIONS) or (section == "web" and not self._had_web):
                asab.Config.remove_section(section)

    def _forget_scheduled(self) -> None:
        # What was left for asab's task service, which does not run here, such as the start of a web server
        scheduled = self.app.TaskService.NewTasks
        while not scheduled.empty():
            task = scheduled.get_nowait()
            if asyncio.iscoroutine(task):
                task.close()

    async def _cancel_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
