"""The folder where encoders keep what is slow to make: features, and weights that were fetched.

`$DERMSYNTH_CACHE`, or `dermsynth` in `$XDG_CACHE_HOME` (default `~/.cache`). All of it can be deleted at any time. A
cohort's own folder is no place for it: it may be read-only, and its card lists what is in it.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermsynth.core.artefacts import write_atomically
from dermsynth.core.errors import ArtefactError

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return the folder; it may not exist yet."""
    if chosen := os.environ.get("DERMSYNTH_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dermsynth"


def kept_features(
    cohort: str, encoder: str, images: int, compute: Callable[[], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return features from the cache, or compute and keep them.

    Where nothing can be kept (a read-only home, a full disk) they are only computed.

    Args:
        cohort: Identity of the images, `Cohort.identity`; `encoder`: of what computes them.
        images: How many rows are expected.
        compute: Returns float32 n x d.
    """
    key = hashlib.sha256(f"{cohort}\n{encoder}".encode()).hexdigest()
    path = cache_folder() / "features" / f"{key}.npy"
    if (found := _read(path, images)) is not None:
        return found
    made = compute()
    data = io.BytesIO()
    np.save(data, made, allow_pickle=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data.getvalue())
    except (OSError, ArtefactError) as error:
        _log.warning("features are not kept for the next time: %s", error)
    return made


def _read(path: Path, images: int) -> NDArray[np.float32] | None:
    """Return the features of a file, or None if it is absent, damaged, or of something else."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    usable = found.dtype == np.float32 and found.ndim == 2 and len(found) == images and np.isfinite(found).all()
    return found if usable else None
