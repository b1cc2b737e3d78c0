"""How much memory this process takes, and how much there is for another one. Linux; elsewhere nothing is known."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def forget_peak() -> None:
    """Let `peak_bytes` count from now on, where the kernel allows it."""
    with contextlib.suppress(OSError):
        (_PROC / "self" / "clear_refs").write_text("5", encoding="ascii")


def peak_bytes() -> int | None:
    """Return the most resident memory that this process has had since `forget_peak`, or None where it is not known."""
    return _field(_PROC / "self" / "status", "VmHWM")


def resident_bytes(process: int | None = None) -> int | None:
    """Return the resident memory of a process (default: this one), or None where it is not known or it has ended."""
    return _field(_PROC / ("self" if process is None else str(process)) / "status", "VmRSS")


def available_bytes() -> int | None:
    """Return what can be taken without swapping: what the machine has, or its control group still grants, if less.

    None where neither is known.
    """
    found = [_field(_PROC / "meminfo", "MemAvailable"), *_granted()]
    return min((max(0, one) for one in found if one is not None), default=None)


def _granted() -> Iterator[int]:
    """Yield what each control group with a limit, from this process's up to the root, has left."""
    with contextlib.suppress(OSError):
        for line in (_PROC / "self" / "cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, name = line.split(":", 2)
            if not controllers:  # version 2
                files, base = ("memory.max", "memory.current"), _CGROUPS
            elif "memory" in controllers.split(","):
                files, base = ("memory.limit_in_bytes", "memory.usage_in_bytes"), _CGROUPS / "memory"
            else:
                continue
            inside = Path(name.lstrip("/"))
            for folder in [base / inside, *(base / parent for parent in inside.parents)]:
                # In a container the name may be one of the host's, and only the root is there.
                with contextlib.suppress(OSError, ValueError):
                    limit, used = (int((folder / file).read_text(encoding="ascii")) for file in files)
                    yield limit - used + (_reclaimable(folder) or 0)


def _reclaimable(folder: Path) -> int | None:
    """Return the bytes of files in memory that the kernel gives up when they are needed for something else."""
    with contextlib.suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):
                return int(value)
    return None


def _field(file: Path, name: str) -> int | None:
    """Return a figure in kB of a file in /proc, in bytes."""
    with contextlib.suppress(OSError):
        for line in file.read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None
