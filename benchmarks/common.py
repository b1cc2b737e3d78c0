"""What several benchmarks need: a cohort whose content does not matter, and clocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from dermsynth.cohorts.cohort import Cohort

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


def random_cohort(images: int, size_px: int, prefix: str = "") -> Cohort:
    """Return a cohort of noise: the content does not change the time of a step. `prefix` begins every id."""
    generator = np.random.default_rng(0)
    ids = [f"{prefix}{number}" for number in range(images)]
    table = pl.DataFrame({"image_id": ids, "lesion_id": ids, "sha256": ids}).with_columns(
        label=pl.Series([CLASSES[number % len(CLASSES)] for number in range(images)]),
        patient_id=pl.lit(None, dtype=pl.String),
        source=pl.lit("noise"),
        origin=pl.lit("real"),
        split=pl.lit("train"),
    )
    pixels = generator.integers(0, 256, (images, size_px, size_px, 3), dtype=np.uint8)
    return Cohort.in_memory(table, pixels, CLASSES)


def timed(function: Callable[[], Any]) -> float:
    """Return the seconds of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def processor_s(function: Callable[[], Any]) -> float:
    """Return the seconds of processors that one call takes, which other programs change little."""
    started = time.process_time()
    function()
    return time.process_time() - started


class Stopwatch:
    """Adds up the time inside wrapped functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` with its time counted."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - started

        return wrapped
