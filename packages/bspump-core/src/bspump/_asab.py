"""Access to asab where its own annotations are missing or wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asab

if TYPE_CHECKING:
    from .service import BSPumpService

PUMP_SERVICE = "bspump.PumpService"


def find_pump_service(app: asab.Application) -> BSPumpService | None:
    """Return the pump's service of an application, or None."""
    service: Any = app.get_service(PUMP_SERVICE)
    found: BSPumpService | None = service
    return found


def pump_service(app: asab.Application) -> BSPumpService:
    """Return the pump's service of an application.

    Raises:
        RuntimeError: the application has none; it is no `bspump.BSPumpApplication`.
    """
    service = find_pump_service(app)
    if service is None:
        raise RuntimeError(f"{type(app).__name__} has no {PUMP_SERVICE}; derive it from bspump.BSPumpApplication")
    return service


def service_of_module(app: asab.Application, module: Any, name: str) -> Any:
    """Add an asab module, unless it is there already, and return the service it brings."""
    app.add_module(module)
    return app.get_service(name)


def stop_application(app: asab.Application, exit_code: int | None = None) -> None:
    """Stop the application, unless it stops already: asab takes a third call of ``stop()`` for an emergency."""
    if not app._stop_counter:
        app.stop(exit_code)
    elif exit_code is not None:
        app.set_exit_code(exit_code)
