"""The pool card: what a pool is, in Markdown with the fields of a Hugging Face dataset card, from what is recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from dermsynth.cohorts.cohort import Cohort
from dermsynth.pools.ancestry import ancestry

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def pool_card(pool: Cohort, measured: Mapping[str, Any] | None = None) -> str:
    """Return the card of a pool as Markdown with YAML front matter.

    Args:
        pool: Synthetic images, opened from a folder.
        measured: What `dermsynth measure` found, if it was asked: its values and floors go into the card.
    """
    origin = ancestry(pool, pool.table["image_id"][0])
    run, drawn = origin["generator"], origin["pool"]["drawn"] or {}
    algorithm = (run.get("config") or {}).get("algorithm", "an unknown algorithm")
    licence = origin["learnt_from"]["licence"] or "not stated"
    front = {
        "license": "other",
        "license_name": licence.split(".")[0] if licence[:2] == "CC" else "see the card",
        "task_categories": ["image-classification"],
        "tags": ["dermoscopy", "skin lesion", "synthetic", algorithm, "dermsynth"],
        "size_categories": [next((name for most, name in _SIZES if len(pool) < most), "n>1M")],
        "pretty_name": f"Synthetic dermoscopy images by {algorithm}",
    }
    counts = {name: count for name, count in pool.counts().items() if count}
    screens = origin["pool"]["screens"]
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---",
        f"# Synthetic dermoscopy images by {algorithm}",
        f"{len(pool):,} images of {pool.size_px} x {pool.size_px} px. None of them shows a patient. They were made by "
        f"a generator that learnt from {origin['learnt_from']['images']:,} photos of "
        f"{origin['learnt_from']['lesions']:,} lesions.",
        _table(("class", "images"), ((name, f"{count:,}") for name, count in counts.items())),
        "## How they were made",
        _list(
            {
                "algorithm": algorithm,
                "settings": json.dumps((run.get("config") or {}).get("settings", {}), ensure_ascii=False),
                "training": f"{_kimg(run, 'images_seen')}, snapshot at {_kimg(run, 'chosen_at')}",
                "weights (SHA-256)": run.get("networks_sha256", "unknown"),
                "amounts": drawn.get("reckoned", "see `config` in card.json"),
                "seed": drawn.get("seed"),
                "identity of the pool": origin["pool"]["identity"],
            }
        ),
        "## How they were screened",
        _table(("rule", "kept", "rejected"), ((s["rule"], f"{s['kept']:,}", f"{s['rejected']:,}") for s in screens))
        if screens
        else "Not at all: every image that was drawn is here.",
        "## What was measured",
        _table(
            ("measure", "pool", "real images, same number"),
            ((name, _number(one["value"]), _number(one.get("floor"))) for name, one in measured["measures"].items()),
        )
        + f"\n\nEncoder: {measured['encoder']}, n = {measured['n']:,}."
        if measured
        else "Nothing yet: run `dermsynth measure`.",
        "## Licence and source",
        f"The real images that the generator learnt from: {licence}. A generator may reproduce parts of them, so their "
        "terms apply to these images too.",
        "## What they must not be used for",
        "- Diagnosis, or teaching diagnosis: class labels are what the generator was asked for, not what anybody saw.\n"
        "- Testing or validating a classifier: only real images can.\n"
        "- Adding to a training set whose test lesions are among those that the generator saw (`seen.parquet`).\n"
        "- Being passed on without their mark as synthetic.",
    ]
    return "\n\n".join(parts) + "\n"


def _table(heads: tuple[str, ...], rows: Any) -> str:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (heads, ["---"] * len(heads), *rows)]
    return "\n".join(lines)


def _list(values: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in values.items())


def _kimg(run: Mapping[str, Any], key: str) -> str:
    return f"{run.get(key, 0) / 1000:g} kimg"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
