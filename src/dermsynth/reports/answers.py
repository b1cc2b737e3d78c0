"""What would change the verdict: each answer a plain sentence with its number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from dermsynth.metrics.power import Design
from dermsynth.reports import numbers
from dermsynth.reports.evidence import Evidence
from dermsynth.reports.robustness import Omission, Robustness, left_out

_POWER = 0.8
_SEEDS = (4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 60, 80, 100)
_TIMES = (1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_HARDLY = 0.05
_NOT_SYNTHETIC = {"real", "classical", "oversampled", "weighted", "focal", "logit-adjusted", "oracle"}


def answers(evidence: Evidence) -> dict[str, Any]:
    """Return the sentences, and the comparison without each seed and each class as a forest plot."""
    asked = Robustness(evidence)
    omissions = asked.omissions()
    sentences = [
        {"topic": topic, "text": text}
        for topic, text in (
            ("The margin", _margin(asked)),
            ("The seeds", _of_seeds(asked, [one for one in omissions if one.kind == "seed"])),
            ("The classes", _of_classes(asked, [one for one in omissions if one.kind == "class"])),
            ("A few lesions", _few_lesions(asked)),
            ("The size of the trial", _size(asked)),
            *_controls(asked),
            ("The generator", _generators(asked)),
        )
        if text
    ]
    return {"sentences": sentences, "figure": left_out(asked, omissions) if omissions else None}


def _margin(asked: Robustness) -> str:
    main, edge = asked.main, max(abs(asked.main["low"]), abs(asked.main["high"]))
    declared, edge_said = _points(asked.margin), _points(edge)
    if main["outcome"] == "equivalent":
        sign = "helps" if main["low"] > 0 else "harms" if main["high"] < 0 else "inconclusive"
        return (
            f"The interval reaches {edge_said} from 0. With a margin of less than that in place of {declared}, the "
            f"outcome would be ‘{sign}’."
        )
    if main["outcome"] == "inconclusive":
        return (
            f"Only a margin above {edge_said} in place of {declared} would have made this ‘equivalent’; no margin "
            "makes it a gain or a loss, because the interval holds 0."
        )
    return (
        f"The outcome stays ‘{main['outcome']}’ for every margin up to {edge_said}; {declared} was declared. The "
        f"interval would hold 0 only at a confidence above {_certain(main['p_value'])}."
    )


def _certain(p_value: float) -> str:
    share = 100 * (1 - p_value)
    return f"99.9{numbers.GAP}%" if share > 99.9 else f"{math.floor(10 * share) / 10:.1f}{numbers.GAP}%"


def _of_seeds(asked: Robustness, found: Sequence[Omission]) -> str:
    if not found:
        return (
            "One seed was trained, so nothing here says how another training would have come out. Train three or more: "
            "only then does the interval cover it."
        )
    values = [float(value) for value in asked.main["by_seed"]]
    side = max(sum(value > 0 for value in values), sum(value < 0 for value in values))
    every = "Both" if len(values) == 2 else f"All {len(values)}"
    many = every if side == len(values) else f"{side} of {len(values)}"
    spread = f"{many} seeds lie on the same side of 0 ({numbers.points_range(min(values), max(values))})"
    return f"{spread}. {_changes(asked, found, 'seed')}"


def _of_classes(asked: Robustness, found: Sequence[Omission]) -> str:
    if not found:
        return ""
    moved = max(found, key=lambda one: abs(one.found.value - asked.main["difference"]))
    name = moved.label.removeprefix("without ")
    return (
        f"{name} moves the result most: without that class the difference would be {_contrast(moved)}. "
        f"{_changes(asked, found, 'class')}"
    )


def _changes(asked: Robustness, found: Sequence[Omission], kind: str) -> str:
    outcome = asked.main["outcome"]
    others = [one for one in found if one.outcome != outcome]
    if not others:
        return f"Leave out any one {kind}, and the outcome stays ‘{outcome}’."
    told = "; ".join(f"{one.label} it would be ‘{one.outcome}’ ({_contrast(one)})" for one in others[:3])
    more = f"; and so on, {len(others)} in all" if len(others) > 3 else ""
    alone = f" One {kind} alone carries the outcome:" if len(others) == 1 else " It changes where one is left out:"
    return f"{alone.strip()} {told}{more}."


def _few_lesions(asked: Robustness) -> str:
    """How many lesions of the rarest class, judged the other way, would let the interval touch 0 or leave it."""
    main, counts = asked.main, asked.lesions.counts
    if main["outcome"] not in ("helps", "harms"):
        return ""
    rarest = int(counts.argmin())
    name = asked.evidence.verdict["classes"][rarest]
    one = 1 / (len(counts) * counts[rarest])
    needed = math.ceil(min(abs(main["low"]), abs(main["high"])) / one)
    said = f"{name} has {numbers.several(int(counts[rarest]), 'lesion')}, so one of them is worth {_points(one)}."
    if needed > counts[rarest]:
        return f"{said} Even all of them, judged the other way, would not bring the interval to 0."
    return (
        f"{said} {numbers.several(needed, 'lesion')} of {name} judged the other way in every seed would bring the "
        "interval to 0, if it kept its width."
    )


def _size(asked: Robustness) -> str:
    design = asked.design(asked.seeds)
    if design is None:
        return ""
    counts = asked.lesions.counts
    seen = design.smallest_difference(_POWER)
    seen_said = f"more than {_points(1.0)}" if seen > 1 else _points(seen)
    equal = design.chance_of_equivalent()
    said = (
        f"With the noise measured here, {numbers.several(asked.seeds, 'seed')} and "
        f"{numbers.several(int(counts.sum()), 'lesion')}, 4 of 5 such trials find a true gain of {seen_said}; if "
        f"there is no difference at all, {numbers.percent(equal)} of them find ‘equivalent’."
    )
    if equal < _HARDLY:
        said += f" So a margin of {_points(asked.margin)} is too narrow for a trial of this size to find equivalence."
    if asked.main["outcome"] != "inconclusive":
        return said
    truth = abs(float(asked.main["difference"]))
    seeds = next((n for n in _SEEDS if n > asked.seeds and _told(asked.design(n), truth)), None)
    times = next((n for n in _TIMES if _told(asked.design(asked.seeds, n), truth)), None)
    by_seeds = (
        f"about {seeds} seeds on these lesions"
        if seeds
        else f"more than {_SEEDS[-1]} seeds on these lesions, if seeds can do it at all"
    )
    by_lesions = (
        f"about {numbers.count(times * counts.sum())} lesions ({times:g} times as many) with "
        f"{numbers.several(asked.seeds, 'seed')}"
        if times
        else f"more than {_TIMES[-1]} times the lesions with {numbers.several(asked.seeds, 'seed')}"
    )
    return (
        f"{said} If the true difference is the measured {numbers.points(asked.main['difference'])}, an answer in 4 of "
        f"5 trials needs {by_seeds}, or {by_lesions}."
    )


def _told(design: Design | None, truth: float) -> bool:
    return design is not None and design.chance_of_helps(truth) + design.chance_of_equivalent(truth) >= _POWER


def _controls(asked: Robustness) -> Iterator[tuple[str, str]]:
    """What placebo and oracle say about the result."""
    comparisons, recipe_of = asked.evidence.verdict["comparisons"], asked.evidence.recipe_of
    synthetic = recipe_of(asked.treatment) not in _NOT_SYNTHETIC
    placebo = next(
        (c for c in comparisons if c["arm"] == asked.treatment and recipe_of(c["against"]) == "placebo"), None
    )
    if placebo is not None:
        said = {
            "helps": "so more varied pictures are not all of it: what the images show of their class matters",
            "harms": "so shuffling the labels of the synthetic images does better than their own labels",
            "equivalent": "so their labels make no difference that matters: they teach nothing of their class",
            "inconclusive": "so it cannot be told whether what the images show of their class matters",
        }[placebo["outcome"]]
        yield (
            "The placebo",
            f"Against the same images with shuffled labels, {asked.treatment} is at {_measured(placebo)}; {said}.",
        )
    elif synthetic:
        yield (
            "The placebo",
            "No placebo was run. The same images with shuffled labels would say whether it is what they show of their "
            "class that matters, or only that there are more pictures.",
        )
    oracle = next((c for c in comparisons if recipe_of(c["arm"]) == "oracle" and c["against"] == asked.control), None)
    if oracle is not None and asked.treatment != oracle["arm"]:
        said = f"With as many new real images, {oracle['arm']} is at {_measured(oracle)} from {asked.control}"
        reached = numbers.percent(asked.main["difference"] / (oracle["difference"] or 1.0))
        meaning = {
            "helps": f"of this gain {asked.treatment} reaches {reached}"
            if asked.main["outcome"] == "helps"
            else f"so there is room for a gain, which {asked.treatment} does not reach",
            "harms": "so even real images do harm here, and synthetic ones cannot be expected to help",
            "equivalent": "so even real images make no difference that matters: there is no room for a gain",
            "inconclusive": "so it cannot be told whether there is room for any gain",
        }[oracle["outcome"]]
        yield "The oracle", f"{said}; {meaning}."


def _generators(asked: Robustness) -> str:
    count = asked.evidence.verdict["generators"]
    if count != 1 or asked.evidence.recipe_of(asked.treatment) in _NOT_SYNTHETIC:
        return ""
    # A protocol takes one generator, or one for each repeat.
    enough = asked.seeds if asked.seeds > 1 else 3
    keys = f"replicas: {enough}" if enough == asked.seeds else f"repeats: {enough} with replicas: {enough}"
    return (
        "One generator was trained, so how another training of it would come out is in none of these numbers. "
        f"In the protocol, {keys} would put it into the interval."
    )


def _contrast(one: Omission) -> str:
    return f"{numbers.points(one.found.value)}, {numbers.points_range(one.low, one.high)}"


def _measured(comparison: Any) -> str:
    return (
        f"{numbers.points(comparison['difference'])} ({numbers.points_range(comparison['low'], comparison['high'])}, "
        f"adjusted {numbers.equals_p(comparison['adjusted_p'])})"
    )


def _points(share: float) -> str:
    return numbers.points(share).removeprefix("+")
