"""Where a synthetic image comes from: everything its pool knows, and the image itself drawn again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.unseen import SEEN
from dermsynth.core.config import nearest
from dermsynth.core.errors import ArtefactError, InputError
from dermsynth.pools.trained import Trained

_OF_THE_IMAGE = ("image_id", "label", "sha256", "algorithm", "generator_sha256", "seed", "draw")


def ancestry(pool: Cohort, image_id: str) -> dict[str, Any]:
    """Return what is known of an image's origin, from the image back to the data, as plain JSON values.

    Keys: `image` (identifiers, class, what made it, seed and draw, and for a translated image the real one it was made
    from), `pool` (folder, identity, settings of the draw, screens it passed), `generator` (settings and training of the
    run) and `learnt_from` (images and lesions that it saw; licence).

    Raises:
        InputError: no such image, or an image that is not synthetic.
    """
    row = _row(pool, image_id)
    run = pool.card.get("run") or {}
    seen = pl.read_parquet(pool.path / SEEN) if pool.path else pl.DataFrame(schema=["image_id", "lesion_id"])
    if "held_out" in seen.columns:  # what chose a snapshot, or what a screen was calibrated on, taught nothing
        seen = seen.filter(~pl.col("held_out").fill_null(value=False))
    return {
        "image": {name: value for name, value in row.items() if name in _OF_THE_IMAGE or name.startswith("translated")},
        "pool": {
            "folder": str(pool.path),
            "identity": pool.identity,
            "drawn": pool.card.get("config"),
            "screens": pool.card.get("screens", []),
        },
        "generator": run,
        "learnt_from": {
            "images": seen.height,
            "lesions": seen["lesion_id"].n_unique(),
            "licence": pool.card.get("licence"),
        },
    }


def redraw(pool: Cohort, image_id: str, run: Path | str) -> NDArray[np.uint8]:
    """Return H x W x 3: an image of a pool, drawn again alone by the run that made it, bit for bit the same.

    Raises:
        InputError: no such image, or one that was not drawn from noise.
        ArtefactError: another run made it, or this machine draws other pixels.
    """
    from dermsynth.pools.sample import draw_images

    row = _row(pool, image_id)
    if row.get("draw") is None or row.get("translated_from") is not None:
        raise InputError(f"{pool.path}: image '{image_id}' was not drawn from noise; translate its pool again")
    trained = Trained.open(run, (pool.card.get("config") or {}).get("settings"))
    if trained.sha256 != row["generator_sha256"]:
        raise ArtefactError(
            f"{run}: is not the run that made '{image_id}'; its weights begin with {trained.sha256[:8]}, "
            f"the image's generator with {row['generator_sha256'][:8]}"
        )
    draw = int(row["draw"])
    (image,) = draw_images(trained, row["label"], range(draw, draw + 1), int(row["seed"]))
    kept = pool.images[int(pool.table["image_id"].index_of(image_id) or 0)]
    if not np.array_equal(image, kept):
        worst = int(np.abs(image.astype(int) - kept).max())
        raise ArtefactError(
            f"{run}: draws '{image_id}' with other pixels (by at most {worst} of 255); "
            "the pool was made on another kind of processor or with other versions"
        )
    return np.asarray(image)


def differences(first: Cohort, second: Cohort) -> dict[str, Any]:
    """Return how two pools differ: what made them, images per class, and how many images they share.

    Keys: `settings` (each key of the two cards that differs, with both values), `counts` (per class, both), `images`
    (`both`, `first` alone and `second` alone, by the hash of their pixels).
    """
    cards = [_flat({"config": pool.card.get("config"), "run": pool.card.get("run")}) for pool in (first, second)]
    keys = sorted(cards[0].keys() | cards[1].keys())
    hashes = [set(pool.table["sha256"]) for pool in (first, second)]
    counts = [pool.counts() for pool in (first, second)]
    return {
        "settings": {key: [card.get(key) for card in cards] for key in keys if cards[0].get(key) != cards[1].get(key)},
        "counts": {name: [count.get(name, 0) for count in counts] for name in dict.fromkeys([*counts[0], *counts[1]])},
        "images": {
            "both": len(hashes[0] & hashes[1]),
            "first": len(hashes[0] - hashes[1]),
            "second": len(hashes[1] - hashes[0]),
        },
    }


def _row(pool: Cohort, image_id: str) -> dict[str, Any]:
    where = pool.path or "pool"
    found = pool.table.filter(pl.col("image_id") == image_id)
    if not found.height:
        raise InputError(f"{where}: no image '{image_id}'; {nearest(image_id, pool.table['image_id'])}")
    row = found.row(0, named=True)
    if row["origin"] != "synthetic":
        raise InputError(f"{where}: image '{image_id}' is real, so nothing made it")
    return row


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return nested mappings as one, with keys such as `run.config.settings.width`."""
    if not isinstance(value, Mapping):
        return {name: value}
    return {
        key: inner
        for part, sub in value.items()
        for key, inner in _flat(sub, f"{name}.{part}" if name else part).items()
    }
