"""Translate the training images of some classes into a pool of another: each synthetic image has a real partner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.unseen import SEEN, check_unseen
from dermsynth.core.config import nearest
from dermsynth.core.errors import InputError, LeakageError
from dermsynth.core.randomness import numpy_generator
from dermsynth.pools.trained import Trained


def translate(
    run: Path | str,
    cohort: Cohort,
    out: Path | str,
    *,
    count: int | None = None,
    label: str | None = None,
    seed: int = 0,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Cohort:
    """Translate images of a run's source classes into a pool of its target class.

    Args:
        run: A finished run of `dermsynth train`, of an algorithm that makes images from images.
        cohort: The cohort that the run was trained on, with the same split, or a staged one (`pools.stage`). Only its
            train part is translated.
        out: The pool's folder: a cohort with `origin` synthetic, the classes of `cohort`, and the columns `algorithm`,
            `generator_sha256`, `translated_from` and `translated_from_label` (the real partner's `image_id` and
            `label`), `seed` and `draw`.
        count: How many images; without a number all of the source classes' train part.
        label: The class of the pool's images, one of the run's target classes; needed if there are several.
        seed: Another seed picks other images and another order. The first ones stay the same when `count` grows.
        force: Replace an existing pool.
        progress: Called with images translated and images in all.

    Returns:
        The pool, opened from `out`. Its folder keeps `seen.parquet`, the images the generator learnt from, to which all
        translated ones belong.

    Raises:
        InputError: a run that draws images from noise, another image size, missing classes, an unknown `label`, or more
            images than there are.
        LeakageError: the run saw an image, a lesion or a patient of the cohort's val or test part, or did not see an
            image that is to be translated.
        ArtefactError: `run` is no finished run, or `out` exists.
    """
    trained = Trained.open(run)
    if not trained.translates:
        raise InputError(
            f"{run}: {trained.name} draws images from noise; use 'dermsynth sample {run} --per-class …' instead"
        )
    algorithm, generator = trained.network
    domains = algorithm.domains()
    assert domains is not None
    label = _label(label, domains[1], trained)
    pictures = _pick(_material(cohort, domains[0], label, trained), count, seed)
    names = [f"{trained.name}-{trained.sha256[:8]}-{label}-{name}" for name in pictures.table["image_id"]]
    config = {"count": count, "label": label, "seed": seed, "cohort": cohort.identity}

    import torch

    from dermsynth.training import samples
    from dermsynth.training.device import to_network

    with trained.writing_pool(out, _real_classes(cohort), config, force=force) as writer:
        for first in range(0, len(pictures), trained.at_once):
            draws = range(first, min(first + trained.at_once, len(pictures)))
            given = to_network(torch.from_numpy(pictures.images[np.array(draws)]), trained.fabric)
            images = samples.translate(algorithm, generator, given).numpy()
            partners = pictures.table[first : draws.stop]
            table = trained.rows(
                names[first : draws.stop],
                label,
                images,
                translated_from=partners["image_id"],
                translated_from_label=partners["label"],
                seed=seed,
                draw=draws,
            )
            writer.append(table, images)
            progress(draws.stop, len(pictures))
    return Cohort.open(out)


def _real_classes(cohort: Cohort) -> tuple[str, ...]:
    """Return the classes without those of a staged cohort's synthetic images; pools join the cohort it was made of."""
    return tuple(cohort.card.get("base_classes", cohort.classes))


def _label(label: str | None, targets: tuple[str, ...], trained: Trained) -> str:
    if label is None and len(targets) > 1:
        raise InputError(
            f"{trained.path}: translates to {', '.join(targets)}; say which class its images count as, "
            f"for example --label {targets[0]}"
        )
    if label is not None and label not in targets:
        raise InputError(f"{trained.path}: label '{label}' is no target class of it; {nearest(label, targets)}")
    return label or targets[0]


def _material(cohort: Cohort, sources: tuple[str, ...], label: str, trained: Trained) -> Cohort:
    """Return the train images of the source classes, if all of them were seen and nothing of val and test was."""
    where = cohort.path or "cohort"
    if cohort.size_px != trained.card["size_px"]:
        raise InputError(
            f"{where}: has images of {cohort.size_px} px, and {trained.path} translates {trained.card['size_px']} px; "
            "give the cohort that it was trained on"
        )
    missing = [name for name in (*sources, label) if name not in cohort.classes]
    if missing:
        raise InputError(f"{where}: has no class '{missing[0]}', which {trained.path} translates")
    train = cohort.part("train")
    seen = pl.read_parquet(trained.path / SEEN)
    check_unseen(cohort, seen, str(trained.path))
    # Synthetic images are translated from classes of their own alone.
    wanted = (pl.col("origin") == "real") | ~pl.col("label").is_in(_real_classes(cohort))
    found = train.select(pl.col("label").is_in(sources) & wanted)
    if not len(found):
        raise InputError(f"{where}: the train part has no image of {', '.join(sources)}, which are to be translated")
    strangers = found.table.join(seen, on=["image_id", "sha256"], how="anti")
    if strangers.height:
        # An image that this run never saw may be held out where the pool is used, and no list would say so.
        raise LeakageError(
            f"{where}: image '{strangers['image_id'][0]}' is not among those that {trained.path} was trained on "
            f"({strangers.height} such images in all); translate the cohort and the split that it was trained on"
        )
    return found


def _pick(found: Cohort, count: int | None, seed: int) -> Cohort:
    if count is not None and not 1 <= count <= len(found):
        raise InputError(
            f"{found.path or 'cohort'}: cannot translate {count} images: the train part has {len(found):,} of the "
            "source classes, and each gives one"
        )
    return found.select(numpy_generator(seed, "translate").permutation(len(found))[:count].astype(np.int64))
