"""Fixtures that give tests the real servers, started for the whole run.

The servers that the collected tests ask for are started together before the first test, and those that did not
run before are stopped and cleaned after the last one. Where CI is set, an integration test that is skipped fails.
"""

import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar, cast

import pytest

from services import (
    SERVICES,
    Elasticsearch8,
    Elasticsearch8Secure,
    Elasticsearch9,
    Elasticsearch9Secure,
    InfluxDB,
    Kafka,
    MariaDB,
    RabbitMQ,
    Service,
    ServiceError,
    State,
    UnavailableError,
)

S = TypeVar("S", bound=Service)

_STARTED = pytest.StashKey[dict[str, Service | ServiceError]]()
_NAMES = {name.replace("-", "_"): name for name in SERVICES}


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def _start(name: str) -> tuple[Service | ServiceError, Callable[[], None] | None]:
    """Start a server; return it, or why it does not run, and what to do at the end."""
    service = SERVICES[name]()
    clean = None
    try:
        if service.state is State.STOPPED:
            clean = service.clean
        service.start(timeout=300)
    except ServiceError as error:
        return error, clean
    return service, clean


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Start what the tests need, outside their time limits."""
    asked = {fixture for item in session.items for fixture in getattr(item, "fixturenames", ())}
    names = sorted(_NAMES[fixture] for fixture in asked & _NAMES.keys())
    if session.config.option.collectonly or not names:
        return (yield)
    with ExitStack() as stack:
        known: dict[str, Service | ServiceError] = {}
        with ThreadPoolExecutor() as threads:
            for name, (service, clean) in zip(names, threads.map(_start, names), strict=True):
                known[name] = service
                if clean is not None:
                    stack.callback(clean)
        session.config.stash[_STARTED] = known
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Skip a test that wants of a server what cannot be done to it, as killing one that is somebody else's."""
    try:
        return (yield)
    except UnavailableError as error:
        pytest.skip(str(error))


def pytest_report_header() -> str:
    """Say what runs the servers."""
    try:
        ways = {SERVICES[name]().way for name in SERVICES}
    except UnavailableError as error:
        return f"servers: none, because {error}"
    return f"servers: {', '.join(sorted(ways))}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Start again what the test has killed, stopped or paused and left so."""
    result = yield
    for fixture in _NAMES.keys() & set(getattr(item, "fixturenames", ())):
        service = item.config.stash.get(_STARTED, {}).get(_NAMES[fixture])
        if isinstance(service, Service) and service.state in (State.STOPPED, State.PAUSED):
            service.start()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail an integration test that is skipped where CI is set: nothing would have been tested."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("integration") and _in_ci():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"An integration test may not be skipped in CI. {reason}"
    return report


def _fixture(kind: type[S]) -> Callable[[pytest.FixtureRequest], Iterator[S]]:
    name = kind.name

    @pytest.fixture(scope="session", name=name.replace("-", "_"))
    def started(request: pytest.FixtureRequest) -> Iterator[S]:
        clean = None
        known = request.config.stash.setdefault(_STARTED, {})
        if name not in known:  # asked for by name while the tests run, so that nobody could know
            known[name], clean = _start(name)
        service = known[name]
        if isinstance(service, UnavailableError):
            pytest.skip(str(service))
        if isinstance(service, ServiceError):
            pytest.fail(str(service), pytrace=False)
        yield cast(S, service)
        if clean is not None:
            clean()
            del known[name]

    started.__doc__ = f"{kind.__doc__}"
    return cast("Callable[[pytest.FixtureRequest], Iterator[S]]", started)


kafka = _fixture(Kafka)
rabbitmq = _fixture(RabbitMQ)
influxdb = _fixture(InfluxDB)
mariadb = _fixture(MariaDB)
elasticsearch8 = _fixture(Elasticsearch8)
elasticsearch9 = _fixture(Elasticsearch9)
elasticsearch8_secure = _fixture(Elasticsearch8Secure)
elasticsearch9_secure = _fixture(Elasticsearch9Secure)
