"""The application of a pump."""

from __future__ import annotations

import argparse
import asyncio
import configparser
import contextlib
import gc
import logging
import re
import signal
import sys
import types
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asab

from ._asab import service_of_module, stop_application
from ._version import __version__
from .errors import BSPumpError, ConfigurationError, PluginError
from .plugins import get_registry
from .service import BSPumpService

L = logging.getLogger(__name__)

_DEFAULT_GC_THRESHOLD = gc.get_threshold()[0]
_GC_THRESHOLDS = (50_000, 20, 50)
_KEPT_MEMORY = 16 << 20

# `--web-api` without an address serves this machine only.
_WEB_LISTEN = "127.0.0.1:8080"
# What asab understands: an address and a port, or a port alone, and perhaps parameters of TLS
_LISTEN = re.compile(r"(?:\S*?[:\s]\s*)?([0-9]{1,5})(?:\s+ssl\S*)*")
_LARGEST_PORT = 65535


class BSPumpApplication(asab.Application):
    """The application: reads the command line and the configuration, runs the pipelines, stops them gracefully.

    Args:
        args: command-line arguments; those of the process if not given.
        web_listen: where the REST interface listens, such as ``127.0.0.1:8080``. The command line (``-w``) and then the
            option ``[web] listen`` come before it; without any of them there is no web server.

    Attributes:
        PumpService: the `BSPumpService`.
        WebContainer: asab's web container, or None; its ``WebApp.router`` takes further routes.
        WebService: asab's web service, or None.
    """

    Description = "BSPump, a real-time stream processor"

    def __init__(self, args: Sequence[str] | None = None, web_listen: str | None = None) -> None:
        provide_event_loop()
        sys.excepthook = _say_mistakes_in_a_sentence
        try:
            super().__init__(args=list(args) if args is not None else None)
        except configparser.Error as error:
            raise ConfigurationError(f"The configuration file cannot be read: {error}") from None
        print(f"BitSwan BSPump version {__version__}", flush=True)
        import asab.metrics
        import asab.proactor

        service_of_module(self, asab.proactor.Module, "asab.ProactorService")
        service_of_module(self, asab.metrics.Module, "asab.MetricsService")
        self.PumpService = BSPumpService(self)
        self.WebContainer: Any = None
        self.WebService: Any = None
        listen = self.Args.web_api or asab.Config.get("web", "listen", fallback="") or web_listen
        if listen:
            self._start_web(listen)
        self.PubSub.subscribe("Application.run!", self._on_run)
        with contextlib.suppress(NotImplementedError, ValueError, AttributeError):  # no such signal on this system
            self.Loop.add_signal_handler(signal.SIGUSR1, self._clear_errors)
        self._plugins = get_registry()
        for problem in self._plugins.problems:
            L.warning("A plugin is not used: %s", problem)
        self.PubSub.subscribe("Application.stop!", self._on_stop)
        self._plugins.call("bspump_application_configured", app=self)

    def _start_web(self, listen: str) -> None:
        # The web server is imported by those who use it.
        import asab.web

        from .web import initialize_web

        self.WebService = service_of_module(self, asab.web.Module, "asab.WebService")
        for line in filter(None, map(str.strip, listen.split("\n"))):
            address = _LISTEN.fullmatch(line)
            if address is None or int(address[1]) > _LARGEST_PORT:
                raise ConfigurationError(f"[web] listen: {line!r} is no address and port, such as 127.0.0.1:8080")
        self.WebContainer = asab.web.WebContainer(self.WebService, "web", config={"listen": listen})
        initialize_web(self.WebContainer)
        self.PubSub.subscribe("WebContainer.started!", self._on_web_started)

    def _on_web_started(self, message_type: str, container: Any) -> None:
        if container is self.WebContainer and not container.Addresses:
            L.error("The application ends: its web server cannot listen on %s", container.Config["listen"])
            stop_application(self, exit_code=1)

    def create_argument_parser(self, *args: Any, **kwargs: Any) -> argparse.ArgumentParser:
        """Return the parser of the command line. Override it to add arguments."""
        parser: argparse.ArgumentParser = super().create_argument_parser(*args, **kwargs)
        for action in parser._actions:
            if action.dest == "web_api":
                action.const = _WEB_LISTEN
                action.help = f"serve the REST interface; without an address on {_WEB_LISTEN}"
        return parser

    def parse_arguments(self, args: Sequence[str] | None = None) -> argparse.Namespace:
        """Parse the command line, the arguments of the process if `args` is None."""
        arguments: argparse.Namespace = super().parse_arguments(args=args)
        if arguments.log_file:
            # asab creates the folder of the file, and knows none of a bare name.
            defaults: dict[str, Any] = asab.Config._default_values
            defaults["logging:file"]["path"] = str(Path(arguments.log_file).absolute())
        return arguments

    async def main(self) -> None:
        """Say how many pipelines are ready."""
        if not self._stop_counter:
            print(f"{len(self.PumpService.Pipelines)} pipeline(s) ready.", flush=True)

    async def _ensure_initialization(self) -> None:
        """Initialise modules and services as asab does, but do not run on when one of them fails at the start."""
        while self.InitModulesQueue or self.InitServicesQueue:
            queue = self.InitModulesQueue or self.InitServicesQueue
            part = queue.pop()
            try:
                await part.initialize(self)
            except BSPumpError as error:
                self._refuse_to_start(part, error)
            except Exception as error:
                L.exception("%s cannot be initialised", type(part).__name__)
                self._refuse_to_start(part, error)

    def _refuse_to_start(self, part: object, error: Exception) -> None:
        L.error("The application ends: %s cannot be initialised: %s", type(part).__name__, error)
        stop_application(self, exit_code=1)

    def _on_run(self, message_type: str) -> None:
        tune_memory()
        # A stop that was asked for while the application was still starting is not to be lost.
        if self._stop_counter:
            self._stop_event.set()
        self._plugins.call("bspump_application_started", app=self)

    def _on_stop(self, message_type: str, counter: int) -> None:
        if counter == 1:
            self._plugins.call("bspump_application_stopping", app=self)

    def _clear_errors(self) -> None:
        for pipeline in self.PumpService.Pipelines.values():
            if pipeline.is_error():
                L.warning("Clearing the error of pipeline '%s'", pipeline.Id)
                pipeline.set_error(None, None, None)


def tune_memory() -> None:
    """Let Python look for reference cycles less often, unless somebody has set that already, and keep freed memory.

    Batches keep many young objects alive for a moment. With the thresholds of the interpreter, made for programs that
    do not, a quarter of the time is spent looking for cycles among them (measured with JSON lines, Python 3.11).
    """
    if gc.get_threshold()[0] == _DEFAULT_GC_THRESHOLD:
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
    # Freeing one large block lets glibc keep as much freed memory for itself from then on (see M_MMAP_THRESHOLD in
    # mallopt(3)). Otherwise it may give that of each batch back to the system, and has to ask for it again.
    del [bytes(_KEPT_MEMORY)][0]


def provide_event_loop() -> None:
    """Make sure there is a current event loop, as asab expects; ``asyncio.run`` leaves none behind."""
    try:
        asyncio.get_running_loop()
        return
    except RuntimeError:
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            if not asyncio.get_event_loop_policy().get_event_loop().is_closed():
                return
        except RuntimeError:
            pass
        asyncio.set_event_loop(asyncio.new_event_loop())


def _say_mistakes_in_a_sentence(
    kind: type[BaseException], error: BaseException, traceback: types.TracebackType | None
) -> None:
    """Print a mistake in the configuration or the installation without a traceback."""
    if isinstance(error, ConfigurationError | PluginError):
        print(f"error: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)
