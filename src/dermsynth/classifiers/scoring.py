"""Score fits from their predictions files alone: every metric with its interval, curves, and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dermsynth.classifiers.recipes import Recipe, distinct, need_pairs, recipes_of
from dermsynth.classifiers.scorecard import Scorecard
from dermsynth.classifiers.scored import Scored
from dermsynth.core.errors import ConfigError, InputError


def score(
    fits: Sequence[Path | str],
    *,
    part: str = "test",
    positive: Sequence[str] = (),
    against: Sequence[Path | str] = (),
    target: float = 0.9,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Scorecard:
    """Score fits of the same images; nothing but their predictions files (and cards, if any) is read.

    Fits that differ in their seed alone, as their cards say, become one column with the mean over seeds; its interval
    covers lesions and seeds. A column of one fit has an interval over lesions, for that one training.

    Args:
        fits: Folders of fits, or predictions files (`dermsynth.classifiers.predictions`) from anywhere.
        part: The images that are scored, `test` or `val`.
        positive: Classes that together are positive in one more question of yes or no, the one in focus.
        against: One fit, or all seeds of one recipe, that every column is compared with: paired by lesion and by seed.
        target: The specificity, and the sensitivity, for which a threshold is chosen on val and judged on `part`.
        confidence: Of all intervals, each for itself.
        resamples: Redraws of lesions; `seed`: of these.

    Raises:
        InputError: no fit, or one given twice; a file that cannot be used, or that is about other images, labels,
            lesions or classes than the first; a class without an image; an unknown positive class, or all of them;
            `against` of several recipes, or of other seeds.
        ConfigError: a part, a target, a confidence or a number of redraws that cannot be.
    """
    _check(part, target, confidence, resamples)
    baseline = _baseline([Path(path) for path in against])
    held = {path.resolve() for path in baseline.fits} if baseline else set()
    recipes = recipes_of([path for path in map(Path, fits) if path.resolve() not in held])
    if not recipes:
        told = " beside those to compare with" if baseline else ""
        raise InputError(f"no fit to score{told}; name the folder of a fit or a predictions file")
    if baseline:
        *recipes, baseline = distinct([*recipes, baseline])
        for recipe in recipes:
            need_pairs(recipe, baseline)
    columns = distinct(recipes) if baseline is None else [*recipes, baseline]
    scored = Scored.of(
        columns,
        part=part,
        positive=tuple(dict.fromkeys(positive)),
        target=target,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )
    first = scored.predictions
    return Scorecard(
        part=part,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        target=target,
        classes=first.classes,
        images=len(first),
        lesions=len(np.unique(first.lesion_ids)),
        focus=scored.focus,
        questions=scored.questions,
        columns=tuple(scored.column(recipe) for recipe in columns),
        comparisons=tuple(scored.comparison(recipe, baseline) for recipe in recipes) if baseline else (),
        notes=tuple(scored.notes(columns)),
    )


def _check(part: str, target: float, confidence: float, resamples: int) -> None:
    if part not in ("test", "val"):
        raise ConfigError(f"part is '{part}'; expected test or val")
    if not 0 < target < 1:
        raise ConfigError(f"target is {target:g}; expected a share between 0 and 1, such as 0.9")
    if not 0.5 < confidence < 1:
        raise ConfigError(f"confidence is {confidence:g}; expected a share above 0.5 and below 1, such as 0.95")
    if resamples < 100:
        raise ConfigError(f"resamples is {resamples}; intervals need at least 100")


def _baseline(against: Sequence[Path]) -> Recipe | None:
    recipes = recipes_of(against)
    if len(recipes) > 1:
        raise InputError(
            f"{recipes[1].fits[0]}: is of another recipe than {recipes[0].fits[0]}; compare with one fit, or with fits "
            "that differ in their seed alone"
        )
    return recipes[0] if recipes else None
