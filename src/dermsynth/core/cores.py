"""How many processor cores there are to use."""

from __future__ import annotations

import os


def cores() -> int:
    """Return the number of cores that this process may use, which may be fewer than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
