"""Start and stop the real servers: `python -m services start kafka`."""

import argparse
import sys
import time
from collections.abc import Callable

from services import SERVICES, Service, ServiceError, State

ACTIONS: dict[str, Callable[[Service], None]] = {
    "start": Service.start,
    "stop": Service.stop,
    "restart": lambda service: service.restart(),
    "kill": Service.kill,
    "pause": Service.pause,
    "resume": Service.resume,
    "clean": Service.clean,
}


def describe(service: Service) -> str:
    """Return a line about a server."""
    state = service.state
    line = f"{service.name:22} {state.value:9}"
    if state is State.STOPPED:
        return line
    ready = "ready" if state is not State.PAUSED and service.is_ready() else "not ready"
    return f"{line} {ready:9}  {'  '.join(f'{name} {address}' for name, address in service.addresses.items())}"


def main() -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="services", description="Start and stop the servers of the integration tests."
    )
    parser.add_argument("action", nargs="?", default="status", choices=["status", *ACTIONS])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(SERVICES)}; all of them without a name")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in SERVICES]
    if unknown:
        parser.error(f"there is no server {', '.join(unknown)}; there are {', '.join(SERVICES)}")
    status = 0
    for name in arguments.names or SERVICES:
        service = SERVICES[name]()
        try:
            if arguments.action == "status":
                print(describe(service))
                continue
            begun = time.monotonic()
            ACTIONS[arguments.action](service)
            print(f"{describe(service)}  ({arguments.action}: {time.monotonic() - begun:.1f} s)")
        except ServiceError as error:
            print(f"error: {error}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
