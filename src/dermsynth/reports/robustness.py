"""The verdict's comparison asked again: without one seed, without one class, with more seeds, with more lesions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dermsynth.metrics.families import decide
from dermsynth.metrics.lesions import Lesions, Recalls, Statistic, bootstrap_recalls
from dermsynth.metrics.power import Design, Noise
from dermsynth.metrics.statistics import Contrast, contrast
from dermsynth.reports import exhibits
from dermsynth.reports.comparisons import forest
from dermsynth.reports.evidence import Evidence
from dermsynth.reports.exhibits import Exhibit
from dermsynth.reports.figures import Row
from dermsynth.reports.judgements import declared_seed, judgements
from dermsynth.reports.results import metric_name

_MOST_ROWS = 8
"""Of a forest plot: those that move the result most."""


@dataclass(frozen=True)
class Omission:
    """The comparison without one seed or one class: the declared question, asked of less."""

    label: str
    kind: str
    found: Contrast
    low: float
    high: float
    outcome: str


class Robustness:
    """The comparison of treatment and control, open to be asked again with something changed."""

    def __init__(self, evidence: Evidence) -> None:
        verdict = evidence.verdict
        self.evidence, self.endpoint = evidence, verdict["endpoint"]
        self.treatment, self.control = str(verdict["treatment"]), str(verdict["control"])
        self.main = evidence.primary
        self.margin, self.confidence = float(self.endpoint["smallest_difference"]), float(self.endpoint["confidence"])
        both = judgements(evidence, (self.treatment, self.control))
        judged = both.judged
        self.lesions: Lesions = judged.lesions
        self.arms = list(both.fits.values())
        self.correct = (judged.predicted == judged.labels).T
        self.recalls: Recalls = bootstrap_recalls(
            self.correct, judged.lesions, resamples=int(self.endpoint["resamples"]), seed=declared_seed(evidence)
        )

    @property
    def seeds(self) -> int:
        """How many repeats there are."""
        return len(self.arms[0])

    def omissions(self) -> list[Omission]:
        """Return the comparison without each seed, and without each class."""
        whole, classes = self.recalls.balanced_accuracy(), self.evidence.verdict["classes"]
        found = []
        if self.seeds > 1:
            for place, seed in enumerate(self.evidence.seeds):
                arms = [[*arm[:place], *arm[place + 1 :]] for arm in self.arms]
                found.append(self._omitted(f"without seed {seed}", "seed", whole, arms))
        if len(classes) > 2:
            for place, name in enumerate(classes):
                weights = np.full(len(classes), 1 / (len(classes) - 1))
                weights[place] = 0
                found.append(self._omitted(f"without {name}", "class", self.recalls.combined(weights), self.arms))
        return found

    def _omitted(self, label: str, kind: str, statistic: Statistic, arms: Sequence[Sequence[int]]) -> Omission:
        found = contrast(statistic, arms, [1.0, -1.0])
        outcome = decide([found], margin=self.margin, confidence=self.confidence)[0].outcome
        return Omission(label, kind, found, *found.interval(self.confidence), outcome)

    @cached_property
    def noise(self) -> Noise | None:
        """What made the arms differ by chance; None where one seed or complete agreement leaves it unknown."""
        if self.seeds < 2:
            return None
        found = Noise.measured(self.correct, self.lesions, *self.arms)
        return found if (found.lesion + found.churn).any() else None

    def design(self, seeds: int, times: float = 1.0) -> Design | None:
        """Return the comparison with so many seeds and so many times the lesions."""
        if self.noise is None:
            return None
        lesions = np.maximum(1, np.round(times * self.lesions.counts)).astype(np.int64)
        return Design.of_endpoint(self.noise, lesions, seeds, margin=self.margin, confidence=self.confidence)


def left_out(asked: Robustness, omissions: Sequence[Omission]) -> Exhibit:
    """Return the declared comparison and all omissions as a forest plot."""
    main = asked.main
    groups: dict[str, list[Row]] = {
        "as declared": [
            Row(
                f"{asked.treatment} − {asked.control}",
                float(main["difference"]),
                float(main["low"]),
                float(main["high"]),
                tuple(float(value) for value in main["by_seed"]),
                highlighted=True,
            )
        ]
    }
    for kind, heading in (("seed", "one seed left out"), ("class", "one class left out")):
        found = [one for one in omissions if one.kind == kind]
        if not found:
            continue
        strongest = sorted(found, key=lambda one: -abs(one.found.value - main["difference"]))[:_MOST_ROWS]
        title = heading if len(found) <= _MOST_ROWS else f"{heading}: the {_MOST_ROWS} that move it most"
        groups[title] = [
            Row(one.label, one.found.value, one.low, one.high, one.found.by_seed)
            for one in found
            if any(one is other for other in strongest)
        ]
    rows = [
        (one.kind, one.label, one.found.value, one.low, one.high, one.found.p_value, one.outcome) for one in omissions
    ]
    columns = ("kind", "left_out", "difference", "low", "high", "p_value", "outcome")
    return forest(
        asked.evidence,
        "left-out",
        groups,
        f"difference in {metric_name(asked.evidence)}, percentage points",
        f"{asked.treatment} minus {asked.control} with one seed or one class left out",
        exhibits.data("left-out", columns, rows),
    )
