"""One process at a time in a folder that grows."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from dermsynth.core.errors import ArtefactError


@contextlib.contextmanager
def alone_in(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold `folder`, which exists, for this process; the system lets go of it when the process ends, however it ends.

    Args:
        folder: Or a file.
        wait: Until no other process holds it.

    Raises:
        ArtefactError: another process holds it, and `wait` is false.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArtefactError(f"{folder}: another process is at work here; wait for it or stop it") from None
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing would not do: a forked child shares the descriptor
    finally:
        os.close(descriptor)
