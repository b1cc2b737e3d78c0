"""Several pools as one: the images of generators that each know a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from dermsynth.cohorts.cohort import Cohort, writing_cohort
from dermsynth.cohorts.unseen import SEEN
from dermsynth.core import artefacts
from dermsynth.core.errors import InputError
from dermsynth.training.images import IDENTIFIERS

_CHUNK = 256


def join(pools: Sequence[Cohort], out: Path | str, *, force: bool = False) -> Cohort:
    """Write the images of several pools as one pool, one after the other.

    Args:
        pools: One or more, opened from their folders, of the same classes and size.
        out: The folder to make. Its `seen.parquet` has what any of their generators saw.
        force: Replace an existing pool.

    Raises:
        InputError: other classes, another size, or an image that stands in two pools.
        ArtefactError: `out` exists and `force` is false, or the disk is full.
    """
    if not pools:
        raise InputError("no pool to join; give one or more")
    whole = Cohort.concat(pools)
    facts = {"joined": [pool.identity for pool in pools], "licence": pools[0].card.get("licence")}
    seen = []
    for pool in pools:
        assert pool.path is not None
        seen.append(pl.read_parquet(pool.path / SEEN).select(IDENTIFIERS))
    with writing_cohort(Path(out), whole.classes, force=force, facts=facts) as writer:
        for start in range(0, len(whole), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(whole)))
            writer.append(whole.table[start : rows[-1] + 1], whole.images[rows])
        artefacts.write_parquet(
            writer.folder / SEEN, pl.concat(seen, how="vertical_relaxed").unique(maintain_order=True)
        )
    return Cohort.open(out)
