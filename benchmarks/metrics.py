"""What do metrics and their intervals cost, beside the plain way?

    python benchmarks/metrics.py                    # all sections
    python benchmarks/metrics.py bootstrap          # one of them

Sections are timed side by side, in turns, and the median of the turns is printed. Set OMP_NUM_THREADS=1 and
OPENBLAS_NUM_THREADS=1.

- `bootstrap`: every score of `dermsynth score` with its interval over lesions, against a loop that redraws lesions and
  calls scikit-learn. The loop gets fewer redraws; what is compared is the time of one redraw of one fit. The images are
  as many as in the test set of ISIC 2018 Task 3, in its seven classes, with predictions made up. Seconds are those of
  processors.
- `coverage`: how often the 95 % intervals of one fit miss the truth, on test sets drawn again and again. The truth is
  the mean over these sets.
- `frechet`, `balls`: distances between sets of features (`benchmarks/distances.py`) beside SciPy's and the package
  prdc's, and their memory. `infinity`: what extrapolating leaves of a distance that should be 0. `intervals`: how many
  intervals of equal distributions miss the truth.
"""

from __future__ import annotations

import argparse
import resource
import statistics
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

import distances
from common import processor_s
from dermsynth.metrics.judged import (
    BenefitScores,
    CalibrationScores,
    Judged,
    OperatingScores,
    RankingScores,
    TableScores,
    chosen_thresholds,
)
from dermsynth.metrics.lesions import Lesions
from dermsynth.metrics.redraws import Score, Spread, spreads

ISIC2018_TEST = (43, 93, 217, 44, 171, 909, 35)
"""Images of akiec, bcc, bkl, df, mel, nv and vasc."""
FITS, RESAMPLES, LOOPED = 10, 10_000, 5
TURNS = 3
TRIALS, REDRAWS = 400, 300
"""Of the section `coverage`: test sets for each line, and redraws for each of these."""


def main() -> None:
    """Print one table for each section."""
    sections: dict[str, Callable[[], None]] = {"bootstrap": bootstrap, "coverage": coverage, **distances.SECTIONS}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", nargs="?", choices=list(sections), help="default: all")
    chosen = parser.parse_args().section
    for name in [chosen] if chosen else sections:
        print(f"{name}:")
        sections[name]()


def bootstrap() -> None:
    """Time the intervals of each kind of score and of all together."""
    judged = made_up(ISIC2018_TEST, FITS)
    thresholds = chosen_thresholds(judged.labels, judged.probabilities, judged.groups, specificity=0.9, sensitivity=0.9)
    kinds: dict[str, list[Score]] = {
        "confusion matrices": [TableScores(judged)],
        "AUC and average precision": [RankingScores(judged)],
        "Brier, calibration errors, reliability": [CalibrationScores(judged)],
        "operating points": [OperatingScores(judged, thresholds)],
        "net benefit": [BenefitScores(judged)],
    }
    kinds["all of these"] = [score for scores in kinds.values() for score in scores]
    plain = {"confusion matrices": of_tables, "AUC and average precision": of_areas}
    print(f"{len(judged.labels):,} images, {FITS} fits, {RESAMPLES:,} redraws; scikit-learn {LOOPED} redraws of 1 fit")
    print(f"{'':<40} {'s':>7} {'µs a redraw of a fit':>21} {'scikit-learn':>13} {'times':>6}")
    for kind, scores in kinds.items():
        fast: list[float] = []
        slow: list[float] = []
        for _ in range(TURNS):
            fast.append(processor_s(partial(spreads, scores, judged.lesions, resamples=RESAMPLES, seed=0)))
            if kind in plain:
                slow.append(processor_s(partial(looped, judged, plain[kind])))
        seconds = statistics.median(fast)
        line = f"  {kind:<38} {seconds:>7.2f} {seconds / RESAMPLES / FITS * 1e6:>21.1f}"
        if slow:
            each = statistics.median(slow) / LOOPED
            line += f" {each * 1e6:>13,.0f} {each / (seconds / RESAMPLES / FITS):>6,.0f}"
        print(line)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  most memory of the whole process: {peak:,.0f} MiB")


def coverage() -> None:
    """Print for each kind of test set and score how often and to which side the interval misses."""
    names = ("balanced_accuracy", "f1_macro", "mcc", "kappa", "auc_macro", "average_precision_macro", "brier", "ece")
    of_class = ("sensitivity", "specificity", "precision", "f1", "auc", "average_precision")
    shown = [(name, 0) for name in (*names, "ece_equal_mass", *of_class)]
    print(f"{TRIALS} test sets a column, {REDRAWS} redraws each; misses in %, classes: the first and rarest one")
    found = {}
    for counts, skill in (((15, 40, 80), 1.5), ((15, 40, 80), 3.0), ((6, 12, 40), 1.5), ((60, 150, 400), 1.5)):
        drawn = [small_set(counts, skill, trial) for trial in range(TRIALS)]
        found[f"{' '.join(map(str, counts))}, {'easy' if skill > 2 else 'hard'}"] = [
            [spread[name].estimate([0], m, confidence=0.95) for name, m in shown] for spread in drawn
        ]
    print(f"{'lesions per class, task':<28}" + "".join(f"{title:>22}" for title in found))
    for row, (name, _) in enumerate(shown):
        line = f"  {name:<26}"
        for trials in found.values():
            mean, low, high = np.array([(one[row].mean, one[row].low, one[row].high) for one in trials]).T
            missed = np.mean((low > mean.mean()) | (high < mean.mean()))
            line += f"{100 * missed:>12.1f} (±{np.median(high - low) / 2:.3f})"
        print(line)


def small_set(counts: tuple[int, ...], skill: float, seed: int) -> dict[str, Spread]:
    """Return the scores of a classifier on a new test set; lesions have one to three photos."""
    generator = np.random.default_rng([seed, *counts])
    of_lesion = np.repeat(np.arange(len(counts)), counts)
    lesion = np.repeat(np.arange(len(of_lesion)), generator.integers(1, 4, len(of_lesion)))
    labels = of_lesion[lesion]
    looks = generator.normal(0, 0.9, (len(of_lesion), len(counts)))[lesion] + skill * np.eye(len(counts))[labels]
    raw = np.exp(looks + generator.normal(0, 0.5, looks.shape))
    probabilities = (raw / raw.sum(axis=1, keepdims=True))[None]
    lesions = Lesions.of(labels, lesion, len(counts))
    judged = Judged(labels, probabilities, lesions, np.eye(len(counts), dtype=np.bool_))
    scores: list[Score] = [TableScores(judged), RankingScores(judged), CalibrationScores(judged)]
    return spreads(scores, lesions, resamples=REDRAWS, seed=seed)


def made_up(counts: tuple[int, ...], fits: int) -> Judged:
    """Return predictions of a middling classifier: one photo of a lesion in two, two in a quarter."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    lesions = Lesions.of(labels, np.arange(len(labels)) * 3 // 4, len(counts))
    logits = generator.normal(0, 1, (fits, len(labels), len(counts))) + 1.5 * np.eye(len(counts))[labels]
    raw = np.exp(logits)
    return Judged(labels, raw / raw.sum(axis=2, keepdims=True), lesions, np.eye(len(counts), dtype=np.bool_))


def looped(judged: Judged, scored: Callable[[npt.NDArray[np.int64], npt.NDArray[np.float64]], object]) -> None:
    """Redraw the lesions of each class and score the first fit's redrawn images, `LOOPED` times."""
    generator = np.random.default_rng(0)
    images_of = [np.flatnonzero(judged.lesions.of_image == lesion) for lesion in range(len(judged.lesions.stratum))]
    of_class = [np.flatnonzero(judged.lesions.stratum == c) for c in range(judged.lesions.n_classes)]
    for _ in range(LOOPED):
        drawn = np.concatenate([generator.choice(lesions, len(lesions)) for lesions in of_class])
        rows = np.concatenate([images_of[lesion] for lesion in drawn])
        scored(judged.labels[rows], judged.probabilities[0][rows])


def of_tables(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> object:
    from sklearn import metrics

    predicted = probabilities.argmax(axis=1)
    metrics.precision_recall_fscore_support(labels, predicted, zero_division=0)
    metrics.cohen_kappa_score(labels, predicted)
    return metrics.matthews_corrcoef(labels, predicted)


def of_areas(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> object:
    from sklearn import metrics

    return [
        (metrics.roc_auc_score(labels == c, column), metrics.average_precision_score(labels == c, column))
        for c, column in enumerate(probabilities.T)
    ]


if __name__ == "__main__":
    main()
