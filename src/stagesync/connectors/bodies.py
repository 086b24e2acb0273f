"""The body of an answer as bytes, unpacked by zlib-ng: Python's own zlib takes twice the time, a sixth of a pull."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import DecodeError
from zlib_ng import gzip_ng, zlib_ng

_PACKED = frozenset({"gzip", "x-gzip"})
# The library's own types say less.
_unpacked = cast("Callable[[bytes], bytes]", gzip_ng.decompress)
_BROKEN = (EOFError, OSError, cast("type[Exception]", zlib_ng.error))


def whole_body(response: BaseHTTPResponse) -> bytes:
    """All of a body that was not read yet. Errors: urllib3's own, ``DecodeError`` where it cannot be unpacked."""
    if response.headers.get("Content-Encoding", "").strip().lower() not in _PACKED:
        return response.read(decode_content=True)
    packed = response.read(decode_content=False)
    try:
        return _unpacked(packed)
    except _BROKEN as error:
        raise DecodeError(f"{len(packed)} bytes that are not the gzip that was promised", error) from error
