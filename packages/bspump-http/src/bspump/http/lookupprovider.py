"""Lookups over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asab

from bspump import option
from bspump._urls import shown_url
from bspump.abc.lookupprovider import LookupBatchProviderABC

from ._client import HTTPClient
from ._failures import NETWORK_ERRORS, RequestFailedError, reason_of, shown_status

if TYPE_CHECKING:
    from bspump import Lookup

L = logging.getLogger(__name__)

_LENGTH = struct.Struct("<L")


class HTTPBatchLookupProvider(HTTPClient, LookupBatchProviderABC):
    """Loads the content of a lookup from a URL, such as that of another pump's lookup (``/bspump/v1/lookup/<id>``).

    The version that is there already is named by the headers ``If-None-Match`` and ``ETag``, so that it is not sent
    again. The last content is kept on disk; if the server cannot be reached, or answers with an error, that is what the
    lookup starts with.

    The section of the configuration is ``[lookupprovider:<id>]``. Further options: those of `HTTPClient` (headers,
    username, password, bearer_token, cafile, cert, key, key_password, verify_mode, connect_timeout, read_timeout).

    Attributes:
        CachePath: the file that the content is kept in, or None.
        SSL: what aiohttp takes as ``ssl``; None to go by the options.
    """

    master_timeout = option.seconds(30, help="How long a request may take; 0 for no limit.")
    use_cache = option.boolean(
        True, help="Whether to keep the content on disk. What the lookup itself says under this name counts too."
    )
    cache_dir = option.text(
        help="Where to keep the content: what the lookup itself says under this name, or ``[general] var_dir``, if "
        "empty."
    )

    def __init__(
        self, lookup: Lookup, url: str, id: str | None = None, config: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(lookup, url, id=id, config=config)
        self._prepare_requests(url)
        self.CachePath: Path | None = None
        if self.use_cache and lookup.use_cache:
            directory = self.cache_dir.strip() or lookup.cache_dir.strip() or asab.Config["general"]["var_dir"]
            self.CachePath = Path(directory).absolute() / f"lookup_{lookup.Id.replace('/', '_')}.cache"
        self._has_loaded = False

    async def load(self) -> bytes | bool | None:
        """Return the content, or False if there is nothing newer than what was loaded last.

        Raises:
            RequestFailedError: there is neither an answer, nor content that was kept on disk. It is an OSError.
        """
        kept: bytes | None = None
        if not self._has_loaded:
            kept = await asyncio.to_thread(self.load_from_cache)
        try:
            content = await self._request()
        except RequestFailedError as failure:
            return self._go_without(failure, kept)
        if content is False:
            # The server knows that nothing is newer than what is on disk; the lookup does not have it yet.
            content = kept if kept is not None else False
        if isinstance(content, bytes):
            self._has_loaded = True
            if content is not kept:
                await asyncio.to_thread(self.save_to_cache, content)
        return content

    def _go_without(self, failure: RequestFailedError, kept: bytes | None) -> bytes | bool:
        if self._has_loaded or kept is None:
            raise failure  # the lookup says so, and keeps the content that it has
        L.warning("Lookup '%s' begins with what is kept in %s: %s", self.Lookup.Id, self.CachePath, failure)
        self._has_loaded = True
        return kept

    async def _request(self) -> bytes | bool:
        headers = dict(self.Headers)
        if self.ETag is not None:
            is_quoted = self.ETag.startswith(('"', "W/"))
            headers["ETag"] = self.ETag
            headers["If-None-Match"] = self.ETag if is_quoted else f'"{self.ETag}"'
        try:
            async with (
                self._new_session(total=self.master_timeout or None) as session,
                session.get(self.URL, headers=headers) as response,
            ):
                if response.status == 200:
                    content = await response.read()
                    self.ETag = response.headers.get("ETag")
                    return content
        except NETWORK_ERRORS as error:
            raise RequestFailedError(f"GET {shown_url(self.URL)} failed: {reason_of(error)}") from None
        if response.status == 304:
            return False
        if response.status == 501:
            raise RequestFailedError(f"{shown_url(self.URL)} says that its lookup cannot be copied", response.status)
        raise RequestFailedError(
            f"GET {shown_url(self.URL)} answered {shown_status(response.status)}, expected 200", response.status
        )

    # The content on disk: the length of the ETag (32 bits, little endian), the ETag, a newline, the content

    def load_from_cache(self) -> bytes | None:
        """Return what is kept on disk, and set `ETag` accordingly; None if nothing is. Blocks."""
        if self.CachePath is None:
            return None
        try:
            data = self.CachePath.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            L.warning("Lookup '%s': %s cannot be read: %s", self.Lookup.Id, self.CachePath, error.strerror)
            return None
        try:
            (length,) = _LENGTH.unpack_from(data)
            end = _LENGTH.size + length
            etag = data[_LENGTH.size : end].decode("utf-8")
            if data[end : end + 1] != b"\n":
                raise ValueError
        except (struct.error, ValueError):
            L.warning("Lookup '%s': %s is damaged and not used", self.Lookup.Id, self.CachePath)
            return None
        self.ETag = etag or None
        return data[end + 1 :]

    def save_to_cache(self, content: bytes) -> None:
        """Keep content on disk, together with `ETag`; at any time either the old or the new one is there. Blocks."""
        if self.CachePath is None:
            return
        etag = (self.ETag or "").encode("utf-8")
        try:
            self.CachePath.parent.mkdir(parents=True, exist_ok=True)
            _replace(self.CachePath, _LENGTH.pack(len(etag)) + etag + b"\n" + content)
        except OSError as error:
            L.warning("Lookup '%s' cannot be kept in %s: %s", self.Lookup.Id, self.CachePath, error.strerror)


def _replace(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
