"""Putting a finished file or folder in its place, and clearing up after processes that were killed while at it.

A draft of `x` is called `.x.tmp-HOST-PID` and lies beside it; a folder that is being replaced is `.x.old-HOST-PID`. The
name says whose it is: while that process lives, nobody else touches it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


def draft_of(path: Path) -> Path:
    """Return where this process writes what is to become `path`."""
    return _beside(path, "tmp", os.getpid())


def replace_folder(new: Path, out: Path) -> None:
    """Rename the folder `new` to `out` and delete what was there.

    Linux swaps the two in one step, so that `out` exists at every moment. Where it cannot (another system, an old file
    system), a process killed between two renames leaves the old folder beside `out`, and `sweep` puts it back.
    """
    if not out.exists():
        new.rename(out)
        return
    old = _beside(out, "old", os.getpid())
    _delete(old)  # of a killed process that had the same number
    if _exchanged(new, out):
        new.rename(old)  # `new` may be where somebody looks for unfinished work, and this is none
    else:
        out.rename(old)
        new.rename(out)
    _delete(old)


def sweep(path: Path) -> None:
    """Delete what killed processes of this host left while they wrote `path`, or put back what they moved away."""
    if not path.parent.is_dir():
        return
    for left in sorted(path.parent.iterdir()):
        for what in ("tmp", "old"):
            start = _beside(path, what, "").name
            pid = left.name.removeprefix(start)
            if left.name.startswith(start) and pid.isdecimal() and not _lives(int(pid)):
                if what == "old" and not path.exists():
                    left.rename(path)
                else:
                    _delete(left)


def _beside(path: Path, what: str, pid: int | str) -> Path:
    return path.with_name(f".{path.name}.{what}-{platform.node()}-{pid}")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _exchanged(first: Path, second: Path) -> bool:
    """Swap two paths in one step; False where the system cannot."""
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):
        return False
    failed: int = renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    return not failed
