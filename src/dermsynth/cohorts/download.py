"""Fetching large files over HTTP: what was received is kept and continued, and half a file never looks whole.

Written on the standard library because pooch starts a file over after every interruption and does not compare lengths;
the images of ISIC 2019 are one file of 9 GB.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import re
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dermsynth import __version__
from dermsynth.core.artefacts import explained_disk_errors, sha256_of, write_atomically
from dermsynth.core.errors import ArtefactError, InputError, InterruptedRunError

TRIES = 6
"""Failures in a row, without a new byte in between, before giving up: half a minute of waiting."""
TIMEOUT_S = 60
_CHUNK_BYTES = 2**20

Progress = Callable[[str, int, int | None], None]
"""Called with the name of a file, the bytes that are there, and those there will be (None if the server is silent)."""


@dataclass(frozen=True)
class Remote:
    """A file that somebody publishes.

    Attributes:
        url: Its last part is the file's name.
        md5: Of its content, where the publisher says it.
    """

    url: str
    md5: str | None = None

    @property
    def name(self) -> str:
        """Return the name of the file."""
        return self.url.rpartition("/")[2]


def download(files: Iterable[Remote], folder: Path, progress: Progress = lambda name, done, total: None) -> None:
    """Fetch what is not yet in `folder`, one file after the other.

    A file is received as `NAME.part`, checked and renamed. An interrupted one is continued by the next call, if the
    server says that it is still the same; otherwise it starts over. Checked are the length that the server announced,
    the MD5 where it is published, and that a zip has its end. `NAME.sha256`, for `sha256sum -c`, records what came.

    A file that exists is left alone, and so is a zip beside the folder or table that it was unpacked into.

    Raises:
        InputError: the server does not have the file, cannot be reached for a while, sends something else, or another
            process is fetching it.
        ArtefactError: the disk is full or too small.
        InterruptedRunError: Ctrl-C.
    """
    for remote in files:
        target = folder / remote.name
        if target.exists() or _is_unpacked(target):
            continue
        try:
            with explained_disk_errors(target):
                _fetch(remote, target, progress)
        except KeyboardInterrupt:
            raise InterruptedRunError(f"stopped while fetching {target}; the same command continues it") from None


def _is_unpacked(target: Path) -> bool:
    unpacked = target.with_suffix("")
    return target.suffix == ".zip" and (unpacked.is_dir() or unpacked.with_suffix(".csv").exists())


def _fetch(remote: Remote, target: Path, progress: Progress) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part, mark = (target.with_name(f"{target.name}.{ending}") for ending in ("part", "part.version"))
    with part.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{part}: another process is fetching it; wait for it") from None
        _receive_all(_Transfer(remote, file, mark, progress))
        file.flush()
        if problem := _problem(remote, part):
            part.unlink()
            mark.unlink(missing_ok=True)
            raise InputError(f"{remote.url}: {problem}; what came was deleted: run the same command again")
        write_atomically(target.with_name(f"{target.name}.sha256"), f"{sha256_of(part)}  {target.name}\n".encode())
        part.rename(target)
        mark.unlink(missing_ok=True)


def _problem(remote: Remote, part: Path) -> str | None:
    """Return what is wrong with a file that has its length, or None."""
    if remote.md5 is not None:
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        return None if found == remote.md5 else f"MD5 is {found}, published is {remote.md5}"
    # A zip keeps a checksum of each of its files, which is compared when it is read.
    return "is no whole zip file" if part.suffixes[-2:-1] == [".zip"] and not zipfile.is_zipfile(part) else None


class _InterruptedTransferError(Exception):
    """Something went wrong that may pass."""


def _receive_all(transfer: _Transfer) -> None:
    failures = furthest = 0
    while True:
        try:
            transfer.receive()
            return
        except _InterruptedTransferError as error:
            # A server that continues nothing gets no further by starting over.
            failures = 1 if transfer.done > furthest else failures + 1
            furthest = max(furthest, transfer.done)
            if failures == TRIES:
                raise InputError(
                    f"{transfer.remote.url}: {error}, {TRIES} times in a row; {transfer.done:,} bytes are kept: "
                    "run the same command again to continue"
                ) from None
            time.sleep(2 ** (failures - 1))


@dataclass
class _Transfer:
    """A file that grows by requests; `mark` is a file that keeps how long the server's version is, and which it is."""

    remote: Remote
    file: BinaryIO
    mark: Path
    progress: Progress

    @property
    def done(self) -> int:
        return self.file.tell()

    def receive(self) -> None:
        """Ask for what is missing and append it.

        Raises:
            _InterruptedTransferError: something went wrong that may pass.
            InputError: something that will not.
        """
        length, _, version = self.mark.read_text(encoding="ascii").partition(" ") if self.mark.exists() else ("",) * 3
        if length == str(self.done):
            return
        if not version:
            self._start_over()  # nobody could tell whether the rest belongs to what is there
        headers = {"User-Agent": f"dermsynth/{__version__}", "Accept-Encoding": "identity"}
        if self.done:
            headers |= {"Range": f"bytes={self.done}-", "If-Range": version}
        with self._opened(urllib.request.Request(self.remote.url, headers=headers)) as response:
            total = self._accepted(response, length)
            self._check_space(total)
            self.progress(self.remote.name, self.done, total)
            for data in _chunks(response):
                self.file.write(data)
                self.progress(self.remote.name, self.done, total)
            if total is not None and self.done != total:
                raise _InterruptedTransferError(f"the connection ended after {self.done:,} of {total:,} bytes")

    def _opened(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        try:
            response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            error.close()
            told = f"the server answered {error.code} {error.reason}"
            if error.code == 416:  # no such part: the file has changed
                self._start_over()
            if error.code >= 500 or error.code in (408, 416, 429):
                raise _InterruptedTransferError(told) from None
            raise InputError(
                f"{self.remote.url}: {told}; docs/data-sets.md names the page of the data set: fetch it from there"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise _InterruptedTransferError(f"no connection ({getattr(error, 'reason', error)})") from None
        return response

    def _accepted(self, response: http.client.HTTPResponse, told: str) -> int | None:
        """Prepare the file for what the answer holds, and return how long it will be, or None if that is not said.

        `told` is how long the server said it was when it began.
        """
        if response.headers.get_content_type() == "text/html":
            raise InputError(f"{self.remote.url}: came as a web page, of a log-in perhaps; open it in a browser first")
        if response.status == 206:
            span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
            if span is None or int(span[1]) != self.done or told not in ("", span[2]):
                self._start_over()
                raise _InterruptedTransferError("the server sent something else than the part asked for")
            return int(span[2])
        # The whole file: the first request, a server that continues nothing, or another version than before.
        self._start_over()
        length, etag = response.headers.get("Content-Length", ""), response.headers.get("ETag", "")
        if not length and self.remote.md5 is None:
            raise InputError(f"{self.remote.url}: the server does not say how long it is; fetch it with a browser")
        # A weak ETag (W/"…") may stay the same when bytes change.
        version = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
        write_atomically(self.mark, f"{length} {version}".encode("ascii", "ignore"))
        return int(length) if length else None

    def _start_over(self) -> None:
        self.file.truncate(0)
        self.file.seek(0)
        self.mark.unlink(missing_ok=True)

    def _check_space(self, total: int | None) -> None:
        missing, free = (total or 0) - self.done, shutil.disk_usage(self.mark.parent).free
        if missing > free:
            raise ArtefactError(
                f"{self.mark.parent}: {self.remote.name} needs {missing:,} more bytes, {free:,} are free; "
                "free some space and run the same command again"
            )


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            data = response.read(_CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _InterruptedTransferError(f"the connection broke ({error})") from None
        if not data:
            return
        yield data
