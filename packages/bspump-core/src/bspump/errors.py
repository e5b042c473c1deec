"""The errors of BSPump, one tree, ordered by what an operator can do about them.

    BSPumpError
    ├── ConfigurationError      correct the configuration and start again
    ├── ConnectionLostError     wait: it is retried with a backoff
    ├── ProcessingError         an event cannot be processed: see ``on_error`` of the pipeline
    │   ├── RejectedError       a destination refuses one event for good
    │   └── PipelineError       the pipeline stopped on a hard error: clear it, and it goes on
    └── PluginError             install, upgrade or remove a distribution

Every message is one sentence that names the component, the option or stage, the value and what was expected.
"""

from __future__ import annotations


class BSPumpError(Exception):
    """The base of everything that BSPump raises by itself."""


class ConfigurationError(BSPumpError, ValueError):
    """The configuration cannot be used. Carries every problem that was found, not only the first."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ConnectionLostError(BSPumpError, ConnectionError):
    """The other side cannot be reached at the moment. A sink that raises it is asked to write again."""


class ProcessingError(BSPumpError, RuntimeError):
    """An event cannot be processed."""


class RejectedError(ProcessingError):
    """A destination refuses an event for good; to send it again would not help."""


class PipelineError(ProcessingError):
    """What was asked for cannot be had, since the pipeline is stopped by a hard error or by its end."""


class PluginError(BSPumpError, ImportError):
    """A distribution is missing, broken or does not fit the installed core."""
