"""A folder or a zip file, whose files are read without unpacking."""

from __future__ import annotations

import lzma
import re
import struct
import zipfile
import zlib
from functools import cached_property
from pathlib import Path, PurePosixPath

from dermsynth.core.errors import InputError

MOST_FILES = 500_000
"""Of a zip; the whole ISIC Archive has fewer images."""
MOST_BYTES = 512 * 2**20
"""Of a file that is read whole: a zip of kilobytes can claim gigabytes."""

_NAME_BYTES = 200
_TAIL_BYTES = 2**16 + 128  # the longest comment, and the records of the directory before it


class Place:
    """A folder or a zip file.

    Raises:
        InputError: nothing there, no zip, a zip of more than 500,000 files (seen before they are listed), or one with a
            file whose name leads out of it or stands there twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = None if path.is_dir() else _opened(path)

    @cached_property
    def names(self) -> list[str]:
        """All files as paths inside, `/` between their parts, in alphabetical order."""
        if self._zip is not None:
            return sorted(self._members)
        return sorted(path.relative_to(self.path).as_posix() for path in self.path.rglob("*") if path.is_file())

    @cached_property
    def _members(self) -> dict[str, zipfile.ZipInfo]:
        assert self._zip is not None
        found: dict[str, zipfile.ZipInfo] = {}
        for member in self._zip.infolist():
            name = member.filename.replace("\\", "/")  # old Windows tools write backslashes
            if name.startswith("/") or ".." in name.split("/") or re.match("[A-Za-z]:", name):
                raise InputError(f"{self.path}: holds '{name}', which leads out of the zip; do not use this file")
            if name in found:
                raise InputError(f"{self.path}: holds '{name}' twice; make the zip again")
            if not name.endswith("/"):
                found[name] = member
        return found

    def find(self, file: str) -> str | None:
        """Return the path inside of the file of this name, the one that lies least deep; None if there is none."""
        found = [name for name in self.names if PurePosixPath(name).name == file]
        return min(found, key=lambda name: (name.count("/"), name), default=None)

    def title(self, name: str) -> str:
        """Return where a file is, for a message."""
        return f"{self.path}/{name}"

    def check(self, name: str) -> None:
        """Check a file that is to be read, without reading it; raises InputError if it is encrypted or too large."""
        if self._zip is None:
            return
        member = self._members[name]
        if member.flag_bits & 1:
            raise InputError(f"{self.title(name)}: is encrypted; unpack the zip with its password first")
        if member.file_size > MOST_BYTES:
            limit = f"at most {MOST_BYTES // 2**20} MiB are read"
            raise InputError(f"{self.title(name)}: claims {member.file_size:,} bytes; {limit}; remove it from the zip")

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; raises InputError if it cannot be read."""
        try:
            return (self.path / name).read_bytes() if self._zip is None else self._zip.read(self._members[name])
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError) as error:
            raise InputError(f"{self.title(name)}: cannot be read ({error}); fetch it again") from None

    def stamp(self, name: str) -> str:
        """Return what changes when a file does: size and checksum in a zip, size and time in a folder."""
        if self._zip is not None:
            return f"{self._members[name].file_size} {self._members[name].CRC}"
        status = (self.path / name).stat()
        return f"{status.st_size} {status.st_mtime_ns}"


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        files, size = _directory(path)
        # The count can lie, the size of the directory cannot: it is what would be read.
        if files > MOST_FILES or size > MOST_FILES * _NAME_BYTES:
            raise InputError(
                f"{path}: lists {files:,} files in {size:,} bytes; at most {MOST_FILES:,} are read: divide the zip"
            )
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such folder or zip file") from None
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise InputError(f"{path}: cannot be read as a zip file ({error}); fetch it again") from None


def _directory(path: Path) -> tuple[int, int]:
    """Return how many files the directory at the end of a zip claims, and its size in bytes; (0, 0) if there is none.

    `zipfile` builds the whole list on opening. The layout is that of APPNOTE.TXT, sections 4.3.14 to 4.3.16.
    """
    with path.open("rb") as file:
        start = max(0, file.seek(0, 2) - _TAIL_BYTES)
        file.seek(start)
        tail = file.read()
    end = tail.rfind(b"PK\5\6")
    if end < 0 or len(tail) < end + 22:
        return 0, 0
    files, size = struct.unpack_from("<HL", tail, end + 10)
    wide = end - 76  # 56 bytes of the record of zip64 and 20 of its locator
    if wide >= 0 and tail[wide : wide + 4] == b"PK\6\6":
        files, size = struct.unpack_from("<QQ", tail, wide + 32)
    return files, size
