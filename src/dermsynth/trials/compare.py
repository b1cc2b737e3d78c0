"""Finished trials side by side: what differs in their protocols, what each found, and whether the findings differ.

Where two trials were judged on the same images, and their predictions are at hand, what differs is paired: by lesion,
and by the seeds that both have, so that what these images make of both trials cancels out. Elsewhere the effects are
two independent estimates, and the interval of their difference follows from their own (square and add: Zou & Donner
2008, Statistics in Medicine 27:1693). Trials that share some of their test images are treated so too; what they share
makes that interval too wide, never too narrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from dermsynth.classifiers.predictions import read_predictions
from dermsynth.core.config import Config
from dermsynth.core.errors import ConfigError
from dermsynth.metrics.families import decide
from dermsynth.metrics.lesions import Lesions, bootstrap_recalls
from dermsynth.metrics.statistics import Contrast, contrast
from dermsynth.trials import wording
from dermsynth.trials.comparisons import Change, Comparison
from dermsynth.trials.evidence import Evidence
from dermsynth.trials.sides import Side, need_same_endpoint, open_sides
from dermsynth.trials.verdict import Verdict
from dermsynth.trials.wording import points, signed


class Unpaired(Config):
    """The difference of two independent effects (a share), its standard error, interval and two-sided p-value."""

    difference: float
    standard_error: float
    low: float
    high: float
    p_value: float


class Against(Config):
    """A trial against the first one.

    Attributes:
        trial: Which one.
        seeds: Those that both have; none where the effects are compared unpaired.
        treatment: Its treatment minus the first one's; None where unpaired. `effect`: likewise its effect, that is
            treatment minus control, minus the first one's effect.
        unpaired: The effects as independent ones; None where they are paired.
        why: In words, why they are not paired; empty where they are.
        sentence: All of it in words.
    """

    trial: str
    seeds: tuple[int, ...] = ()
    treatment: Change | None = None
    effect: Change | None = None
    unpaired: Unpaired | None = None
    why: str = ""
    sentence: str = ""


class Compared(Config):
    """Finished trials side by side.

    Attributes:
        trials: Their verdicts, by label, in the given order.
        differs: Dotted keys of the protocols that are not the same in all, with the value in each trial; None for a key
            that a protocol does not have.
        without_protocol: Trials of which only the verdict is at hand.
        against: Every other trial against the first.
    """

    trials: dict[str, Verdict]
    differs: dict[str, dict[str, Any]]
    without_protocol: tuple[str, ...]
    against: tuple[Against, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values without times."""
        return self.model_dump(mode="json", by_alias=True)


def compare(paths: Sequence[Path]) -> Compared:
    """Compare finished trials with the first of them.

    Args:
        paths: Two or more folders of finished trials, or `verdict.json` files.

    Raises:
        ConfigError: fewer than two, or endpoints or classes that differ.
        ArtefactError: no finished trial. InputError: no verdict, or one of another version of dermsynth.
    """
    if len(paths) < 2:
        raise ConfigError("give two finished trials or more")
    sides = open_sides([Path(path) for path in paths])
    for other in sides[1:]:
        need_same_endpoint(sides[0], other)
    protocols = {side.label: flat(side.protocol.canonical()) for side in sides if side.protocol is not None}
    return Compared(
        trials={side.label: side.verdict for side in sides},
        differs=differing(protocols),
        without_protocol=tuple(side.label for side in sides if side.protocol is None),
        against=_against(sides),
    )


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return {'a.b': value} of nested blocks; lists stay whole, and so do empty blocks."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= {f"{key}.{inner}": one for inner, one in flat(value).items()}
        else:
            found[key] = value
    return found


def differing(sides: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the keys whose values are not the same on all sides, in their order, with the value on each."""
    keys = list(dict.fromkeys(key for values in sides.values() for key in values))
    rows = {key: {label: values.get(key) for label, values in sides.items()} for key in keys}
    return {key: row for key, row in rows.items() if any(value != next(iter(row.values())) for value in row.values())}


def _against(sides: Sequence[Side]) -> tuple[Against, ...]:
    first, *others = sides
    endpoint = first.verdict.endpoint
    reasons = {other.label: _why_unpaired(first, other) for other in others}
    pairs = {other.label: _paired(first, other) for other in others if not reasons[other.label]}
    # Several trials against the first are one family, whose false findings would add up.
    treatments, effects = (
        _changes([pair[which] for pair in pairs.values()], endpoint.smallest_difference, endpoint.confidence)
        for which in (0, 1)
    )
    changes = dict(zip(pairs, zip(treatments, effects, strict=True), strict=True))
    results = []
    for other in others:
        label = other.label
        if label in changes:
            treatment, effect = changes[label]
            made = Against(trial=label, seeds=_common_seeds(first, other), treatment=treatment, effect=effect)
        else:
            alone = unpaired(first.effect, other.effect, endpoint.confidence)
            made = Against(trial=label, unpaired=alone, why=reasons[label])
        results.append(made.model_copy(update={"sentence": _sentence(first, other, made)}))
    return tuple(results)


def _why_unpaired(first: Side, other: Side) -> str:
    for side in (first, other):
        if not side.fits:
            return f"the predictions of {side.label} are not at hand"
    if not _common_seeds(first, other):
        return "the trials have no seed in common"
    one, two = (_judged(side) for side in (first, other))
    if one != two:
        same = len(one.keys() & two.keys())
        return f"they were judged on other images ({len(one):,} and {len(two):,}, {same:,} of them in both)"
    return ""


def _common_seeds(first: Side, other: Side) -> tuple[int, ...]:
    return tuple(sorted(set(first.verdict.seeds) & set(other.verdict.seeds)))


def _judged(side: Side) -> dict[str, tuple[str, str]]:
    """Return lesion and class of every image that a trial was judged on."""
    by_seed = side.fits[side.verdict.control]
    found = read_predictions(next(iter(by_seed.values())), side.verdict.endpoint.split)
    names = np.array(found.classes)[found.labels]
    return {
        str(image): (str(lesion), str(name))
        for image, lesion, name in zip(found.image_ids, found.lesion_ids, names, strict=True)
    }


def _paired(first: Side, other: Side) -> tuple[Contrast, Contrast]:
    """Return other's treatment minus first's, and other's effect minus first's."""
    seeds, endpoint = _common_seeds(first, other), first.verdict.endpoint
    arms = {
        f"{number}/{role}": side.fits[getattr(side.verdict, role)]
        for number, side in enumerate((first, other))
        for role in ("treatment", "control")
    }
    evidence = Evidence.read(arms, seeds, endpoint.split)
    lesions = Lesions.of(evidence.labels, evidence.lesion_ids, len(evidence.classes))
    correct = (evidence.predicted == evidence.labels).T
    statistic = bootstrap_recalls(correct, lesions, resamples=endpoint.resamples).balanced_accuracy()
    fits = {name: evidence.fits_of(name) for name in arms}
    treatment = contrast(statistic, [fits["1/treatment"], fits["0/treatment"]], [1.0, -1.0])
    four = [fits[name] for name in ("1/treatment", "1/control", "0/treatment", "0/control")]
    return treatment, contrast(statistic, four, [1.0, -1.0, -1.0, 1.0])


def _changes(family: Sequence[Contrast], margin: float, confidence: float) -> list[Change]:
    made = []
    for found, decision in zip(family, decide(family, margin=margin, confidence=confidence), strict=True):
        low, high = found.interval(confidence)
        made.append(
            Change(
                difference=found.value + 0.0,
                low=low,
                high=high,
                p_value=found.p_value,
                adjusted_p=decision.adjusted_p,
                equivalence_p=decision.equivalence_p,
                outcome=decision.outcome,
                by_seed=found.by_seed,
            )
        )
    return made


def unpaired(first: Comparison, other: Comparison, confidence: float) -> Unpaired:
    """Return the difference of two independent effects, from their intervals of this confidence."""
    difference = other.difference - first.difference
    below = float(np.hypot(other.difference - other.low, first.high - first.difference))
    above = float(np.hypot(other.high - other.difference, first.difference - first.low))
    # An interval that leans on few seeds is wider than by its standard error: this one is larger than theirs, not less.
    normal = NormalDist()
    error = max(below, above) / normal.inv_cdf((1 + confidence) / 2)
    return Unpaired(
        difference=difference,
        standard_error=error,
        low=difference - below,
        high=difference + above,
        p_value=2 * normal.cdf(-abs(difference) / error),
    )


def _sentence(first: Side, other: Side, found: Against) -> str:
    level = f"{100 * first.verdict.endpoint.confidence:g} % interval"
    if found.unpaired is not None:
        one = found.unpaired
        return (
            f"The effect of {other.label} is {_than(one.difference)} that of {first.label} (standard error "
            f"{points(one.standard_error)}, {level} {signed(one.low)} to {signed(one.high)}, "
            f"{wording.p_words(one.p_value)}); not paired: {found.why}, so the two count as independent."
        )
    assert found.treatment is not None
    assert found.effect is not None
    test, number = first.verdict.test, len(found.seeds)
    parts = [
        f"{subject} {_than(change.difference)} that of {first.label} ({level} {signed(change.low)} to "
        f"{signed(change.high)}, {wording.p_words(change.p_value)}{_adjusted(change)})"
        for subject, change in (
            (f"the treatment of {other.label} ({other.verdict.treatment}) scores", found.treatment),
            ("its effect is", found.effect),
        )
    ]
    return (
        f"Paired on the same {test.images:,} {first.verdict.endpoint.split} images of {test.lesions:,} lesions and "
        f"{number} seed{'s' * (number != 1)}: {parts[0]}; {parts[1]}."
    )


def _adjusted(change: Change) -> str:
    return "" if change.adjusted_p == change.p_value else f", adjusted {wording.p_words(change.adjusted_p)}"


def _than(difference: float) -> str:
    if signed(difference) in ("+0.0", "-0.0"):
        return "within 0.05 points of"
    return f"{points(difference)} {'above' if difference > 0 else 'below'}"
