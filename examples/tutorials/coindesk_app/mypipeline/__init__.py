"""The pump of the Coindesk tutorial, in parts."""

from .app import BlankAppApplication

__all__ = ["BlankAppApplication"]
