"""What a command prints, until it has read all: nothing is printed of what fails half-way.

It also keeps a reader who takes his time over the output from holding the database's lock, and
what is printed out of memory: beyond some megabytes it is on the disk.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO

_IN_MEMORY = 4_000_000
_AT_A_TIME = 1 << 16


class Held:
    """Bytes that are written now and read later, once."""

    def __init__(self) -> None:
        self._file: IO[bytes] = io.BytesIO()
        self._size = 0

    def write(self, part: bytes) -> None:
        """Add some bytes."""
        before, self._size = self._size, self._size + len(part)
        if before <= _IN_MEMORY < self._size:
            self._move_to_disk()
        self._file.write(part)

    def take(self) -> Iterator[bytes]:
        """Yield all that was written, and forget it."""
        file, self._file, self._size = self._file, io.BytesIO(), 0
        with file:
            file.seek(0)
            while part := file.read(_AT_A_TIME):
                yield part

    def clear(self) -> None:
        """Forget all that was written."""
        self._file.close()
        self._file, self._size = io.BytesIO(), 0

    def _move_to_disk(self) -> None:
        from tempfile import TemporaryFile  # noqa: PLC0415 -- for long outputs only

        # Closed, and so removed, when it is taken or cleared.
        file = TemporaryFile(prefix="nexuslims-")  # noqa: SIM115
        file.write(self._file.getvalue())  # type: ignore[attr-defined] # it is in memory still
        self._file = file
