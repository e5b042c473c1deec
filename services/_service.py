"""What every server can do, whatever runs it."""

import asyncio
import gc
import importlib
import os
import time
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from services import _certificates, _ports, _runners
from services._errors import ServiceError, UnavailableError
from services._runners import Recipe, Runner, State

RUN = Path(os.environ.get("BSPUMP_SERVICES_FOLDER") or _runners.HERE / ".run")
USER = "bspump"
PASSWORD = "bspump-tests-only"


class Service(Recipe):
    """One real server for tests. It listens on 127.0.0.1 only, and other programs may share it.

    All methods block; in a coroutine, call them through `asyncio.to_thread`.

    Args:
        run: the folder for data, logs and state; each server has a folder of its own in it.
    """

    #: The listeners by name; the first is the usual one. A subset of `ports`.
    listeners: Sequence[str]
    #: The listeners that want TLS and the user.
    secure: Sequence[str] = ()
    #: What readiness is asked with: a module that must be importable.
    client: str

    #: Who may use the secure listeners.
    user = os.environ.get("BSPUMP_TEST_USER", USER)
    password = os.environ.get("BSPUMP_TEST_PASSWORD", PASSWORD)

    def __init__(self, run: Path = RUN) -> None:
        self._run = run.resolve()
        self._chosen: Runner | None = None

    @property
    def _runner(self) -> Runner:
        if self._chosen is None:
            self._chosen = _runners.choose(self, self._run)
        return self._chosen

    @abstractmethod
    async def probe(self, listener: str) -> None:
        """Ask the server with a real client whether it does its work; raise whatever the client raises."""

    # -- where it is ---------------------------------------------------------------------------------------------

    @property
    def way(self) -> str:
        """What runs it, for people."""
        return self._runner.way

    @property
    def state(self) -> State:
        """What its processes are doing; whether it answers, `is_ready` tells."""
        return self._runner.state()

    @property
    def addresses(self) -> Mapping[str, str]:
        """host:port of each listener; they stay the same when the server is started again.

        Raises:
            ServiceError: it has never been started.
        """
        known = self._runner.addresses()
        found = {name: known[name] for name in self.listeners if name in known}
        if not found:
            raise ServiceError(f"{self.name} has no address before it is started.")
        return found

    @property
    def address(self) -> str:
        """host:port of the usual listener."""
        return self.addresses[self.listeners[0]]

    def port(self, listener: str) -> int:
        """Return the port of a listener."""
        return int(self.addresses[listener].rpartition(":")[2])

    @property
    def ca(self) -> Path:
        """The file with the authority that signed the certificates of the secure listeners."""
        return Path(os.environ.get("BSPUMP_TEST_CA") or self._run / "certificates" / _certificates.CA)

    @property
    def log(self) -> str:
        """The end of its log."""
        return self._runner.log()

    # -- what it does --------------------------------------------------------------------------------------------

    def _alone(self) -> AbstractContextManager[None]:
        """Let no other program change the same server meanwhile."""
        return _runners.locked(self._run / self.name / "lock")

    def start(self, timeout: float = 120) -> None:
        """Let it run, also after `stop`, `kill` and `pause`, and wait until every listener answers a real client.

        Data are kept from one start to the next; `clean` removes them.

        Raises:
            UnavailableError: something is missing on this machine.
            ServiceError: it does not answer within `timeout` seconds; it is stopped again if this call started it.
        """
        self._require_client()
        with self._alone():
            state = self.state
            if state is State.PAUSED:
                self._runner.signal("resume")
            try:
                self._runner.start()
            except UnavailableError as error:
                raise UnavailableError(f"{self.name} cannot run here. {error}") from error
            try:
                self._wait_until_ready(timeout)
            except ServiceError:
                if state is State.STOPPED:
                    self._runner.signal("kill")
                raise

    def stop(self, timeout: float = 60) -> None:
        """Ask it to end and wait until it has; its data are kept.

        Raises:
            ServiceError: it did not end within `timeout` seconds, and was killed.
        """
        with self._alone():
            self._runner.stop(timeout)

    def kill(self) -> None:
        """End it as `kill -9` does, and wait until its processes are gone."""
        with self._alone():
            self._runner.signal("kill")

    def pause(self) -> None:
        """Let it hang: its connections stay open and nothing answers, until `resume`."""
        with self._alone():
            self._runner.signal("pause")

    def resume(self) -> None:
        """Let it go on after `pause`."""
        with self._alone():
            self._runner.signal("resume")

    def restart(self, *, timeout: float = 120) -> None:
        """Stop it and start it again, on the same ports and with the same data."""
        self.stop()
        self.start(timeout)

    def clean(self) -> None:
        """Stop it and remove its data, its logs and its configuration."""
        with self._alone():
            self._runner.stop(60)
            self._runner.clean()

    def is_ready(self, listener: str | None = None, *, timeout: float = 5) -> bool:
        """Tell whether a real client is answered, by one listener or by all of them, within `timeout` seconds."""
        return self._ask(listener, timeout) is None

    def _ask(self, listener: str | None, timeout: float) -> str | None:
        """Return None if a real client is answered, and else why not."""
        try:
            addresses = self.addresses
            for name in [listener] if listener else addresses:
                host, _, port = addresses[name].rpartition(":")
                # A closed port is not worth the words that clients log about it.
                if host == "127.0.0.1" and not _ports.accepts(int(port), timeout):
                    return f"nothing accepts connections to {addresses[name]}"
                # A thread of its own, because the caller's may have a running loop.
                with ThreadPoolExecutor(1) as thread:
                    thread.submit(asyncio.run, asyncio.wait_for(self.probe(name), timeout)).result()
        except Exception as error:  # clients raise what they like, and all of it means: not ready
            reason = f"{type(error).__name__}: {error}"
        else:
            return None
        # Some clients do not close what they could not finish, which is not the fault of the test that runs.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
        return reason

    def _wait_until_ready(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        while (reason := self._ask(None, 5)) is not None:
            state = self._runner.state()
            if state is State.STOPPED:
                raise ServiceError(f"{self.name} ended while it started. Its log ends with:\n{self.log}")
            if time.monotonic() > end:
                raise ServiceError(
                    f"{self.name} ({state.value}) does not answer a client after {timeout:g} s ({reason}). "
                    f"Its log ends with:\n{self.log}"
                )
            time.sleep(0.1)

    def _require_client(self) -> None:
        try:
            importlib.import_module(self.client)
        except ImportError as error:
            raise UnavailableError(
                f"{self.name} cannot be asked: the client {self.client} is not installed."
            ) from error

    @contextmanager
    def running(self, timeout: float = 120) -> Iterator["Service"]:
        """Have it running in a `with` block. If it did not run before, it is stopped and cleaned at the end."""
        ours = self.state is State.STOPPED
        self.start(timeout)
        try:
            yield self
        finally:
            if ours:
                self.clean()
