"""Where a source is in the output of its program, kept on disk."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from ..errors import ConfigurationError


class PositionFile:
    """A small file that is written anew at every commit. All methods block.

    Args:
        path: the file.
        section: of the configuration, for messages.
    """

    def __init__(self, path: Path, section: str) -> None:
        self.path = path
        self._section = section
        self._lock_fd: int | None = None

    def open(self) -> tuple[int, str] | None:
        """Lock the file for this process. Returns the number of lines and the position that it has, if it is there.

        Raises:
            ConfigurationError: it cannot be used.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock()
            content = json.loads(self.path.read_bytes())
            return int(content["lines"]), str(content["position"])
        except FileNotFoundError:
            return None
        except BlockingIOError:
            reason = "another process uses it; each needs a position_dir of its own"
        except OSError as error:
            reason = str(error.strerror)
        except (ValueError, KeyError, TypeError) as error:
            reason = f"it cannot be understood ({error}); remove it to begin anew"
        self.close()
        raise ConfigurationError(f"[{self._section}] position_dir: '{self.path}' cannot be used: {reason}")

    def _lock(self) -> None:
        fd = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise
        self._lock_fd = fd

    def save(self, lines: int, position: str) -> None:
        """Write the file so that at any time the old or the new content is there, and the new one survives."""
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(json.dumps({"version": 1, "lines": lines, "position": position}).encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Give up the lock."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None
