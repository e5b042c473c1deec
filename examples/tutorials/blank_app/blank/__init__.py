"""An application in parts: application, module, service, pipeline, processor, web handler."""

from .app import BlankAppApplication

__all__ = ["BlankAppApplication"]
