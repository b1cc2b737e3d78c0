"""Made-up papers that are true: every number is computed from a confusion matrix and rounded as papers round."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import numpy as np

HOW = (ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_DOWN)


def made_up_paper(seed: int) -> dict[str, Any]:
    """Return the YAML values of a paper with sets, sums, two tables of several arms, matrices, shares and claims."""
    random = np.random.default_rng(seed)
    classes = [f"c{number}" for number in range(random.integers(2, 8))]
    test = {name: int(random.integers(3, 900)) for name in classes}
    times = int(random.integers(2, 9))
    train = {name: times * count for name, count in test.items()}  # a stratified split
    fake = {name: int(random.integers(0, 500)) for name in classes}
    arms = {f"arm {number}": _confusion(random, list(test.values())) for number in range(random.integers(1, 5))}
    said = _Printer(random)
    positive = classes[int(random.integers(len(classes)))]
    binary = {name: said.row(_of_class(matrix, classes.index(positive), len(classes))) for name, matrix in arms.items()}
    headings = ["precision", "recall", "specificity", "f1"] + ["accuracy"] * (len(classes) == 2)
    every = {}
    for name, matrix in arms.items():
        values = [value for at in range(len(classes)) for value in _of_class(matrix, at, 0)[:2]]
        every[name] = said.cells([*values, Fraction(int(matrix.trace()), int(matrix.sum()))])
    runs = int(random.integers(1, 6))
    means = {
        name: said.cells(_means([_confusion(random, list(test.values())) for _ in range(runs)])) for name in ("x", "y")
    }
    added = [int(count) for count in random.integers(10, 5000, 3)]
    return {
        "paper": f"made up from seed {seed}",
        "sets": {
            "train": {"counts": train, "total": sum(train.values())},
            "test": {"counts": test, "total": sum(test.values())},
            "all": {"total": sum(train.values()) + sum(test.values())},
            "fake": {"counts": fake, "synthetic": True},
            "hybrid": {"total": sum(train.values()) + sum(fake.values())},
        },
        "sums": ["all = train + test", "hybrid = train + fake"],
        "tables": [
            {
                "where": "Table 1",
                "test": "test",
                "positive": "either" if len(classes) == 2 and random.random() < 0.3 else positive,
                "columns": headings,
                "rows": binary,
            },
            {
                "where": "Table 2",
                "test": "test",
                "columns": [f"{name} {metric}" for name in classes for metric in ("precision", "recall")]
                + ["accuracy"],
                "rows": every,
            },
            {
                "where": "Table 5",
                "test": "test",
                "runs": runs,
                "columns": [
                    "macro precision",
                    "macro recall",
                    "macro f1",
                    "balanced accuracy",
                    "accuracy",
                    "c0 recall",
                ],
                "rows": means,
            },
        ],
        "matrices": [_printed_matrix(random, name, classes, matrix) for name, matrix in arms.items()],
        "comparisons": [{"where": "text", "metrics": ["accuracy"], "baseline": "arm 0"}],
        "shares": [
            {
                "where": "Table 3",
                "what": "share of each class",
                "of": "train",
                "classes": {name: said(Fraction(count, sum(train.values()))) for name, count in train.items()},
            },
            {
                "where": "Table 4",
                "what": "share of what was added",
                "of": "train",
                "added": {count: said(Fraction(count, sum(train.values()) + count)) for count in added},
            },
        ],
    }


class _Printer:
    """Prints shares with a paper's digits; each number may be rounded in its own way, as in paper 003."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._digits = int(random.integers(2, 5))
        self._percent = bool(random.random() < 0.3)

    def __call__(self, value: Fraction) -> str:
        return self._printed(value, self._percent)

    def cells(self, values: list[Fraction | None]) -> str:
        return " ".join("-" if value is None else self(value) for value in values)

    def row(self, values: list[Fraction | None]) -> str:
        """Return precision, recall, specificity, F1, …; some papers compute F1 from rounded precision and recall."""
        cells = self.cells(values).split()
        if "-" not in (*cells[:2], cells[3]) and self._random.random() < 0.5:
            precision, recall = (Fraction(cell.rstrip("%")) / (100 if "%" in cell else 1) for cell in cells[:2])
            if precision + recall:
                cells[3] = self(2 * precision * recall / (precision + recall))
        return " ".join(cells)

    def _printed(self, value: Fraction, percent: bool) -> str:
        unit = Decimal(1).scaleb(-(self._digits - 2 if percent else self._digits))
        exact = Decimal(value.numerator * (100 if percent else 1)) / Decimal(value.denominator)
        return f"{exact.quantize(unit, HOW[int(self._random.integers(3))])}{'%' if percent else ''}"


def _confusion(random: np.random.Generator, counts: list[int]) -> np.ndarray:
    """Return counts of actual (rows) and predicted (columns) of a classifier of random skill."""
    skill = random.uniform(0.3, 0.99)
    rows = []
    for at, count in enumerate(counts):
        chances = random.dirichlet(np.ones(len(counts))) * (1 - skill)
        chances[at] += skill
        rows.append(random.multinomial(count, chances))
    return np.array(rows)


def _of_class(matrix: np.ndarray, at: int, classes: int) -> list[Fraction | None]:
    """Return precision, recall, specificity, F1 of a class, and for two classes the accuracy."""
    tp, total = int(matrix[at, at]), int(matrix.sum())
    actual, said = int(matrix[at].sum()), int(matrix[:, at].sum())
    tn = total - actual - said + tp
    ratios = [(tp, said), (tp, actual), (tn, total - actual), (2 * tp, actual + said)]
    if classes == 2:
        ratios.append((tp + tn, total))
    return [Fraction(above, below) if below else None for above, below in ratios]


def _means(runs: list[np.ndarray]) -> list[Fraction]:
    """Return macro precision, recall and F1, balanced accuracy, accuracy and the first recall, averaged over runs."""
    found = []
    for matrix in runs:
        classes = [_of_class(matrix, at, 0) for at in range(len(matrix))]
        macro = [sum((one[at] or Fraction(0) for one in classes), Fraction(0)) / len(classes) for at in (0, 1, 3)]
        accuracy = Fraction(int(matrix.trace()), int(matrix.sum()))
        found.append([*macro, macro[1], accuracy, classes[0][1] or Fraction(0)])
    return [sum(values, Fraction(0)) / len(runs) for values in zip(*found, strict=True)]


def _printed_matrix(random: np.random.Generator, arm: str, classes: list[str], matrix: np.ndarray) -> dict[str, Any]:
    turned = bool(random.random() < 0.5)
    return {
        "where": f"figure of {arm}",
        "arm": arm,
        "test": "test",
        "orientation": "rows are predicted" if turned else "rows are actual",
        "classes": classes,
        "counts": (matrix.T if turned else matrix).tolist(),
    }
