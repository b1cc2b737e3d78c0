"""Fit classifiers on the real ISIC 2018 training images and judge them on the official test.

    python docs/results/classifiers.py fit WORK WEIGHTS NAME …   # one fit after the other; NAME is one of the table
    python docs/results/classifiers.py page WORK                 # classifiers.md beside this file

WORK has the cohorts `isic64` and `isic128` of `generators.py`; WEIGHTS is the folder of a pretrained MobileNetV2. All
fits have one thread, so that two of these can run side by side. What is finished is left alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from dermsynth.classifiers.scorecard import Column
from dermsynth.classifiers.scoring import score

HERE = Path(__file__).parent
MARKER = "<!-- below: written by hand -->"
SEEDS = (0, 1, 2)
HEADS = (
    "network",
    "px",
    "arm",
    "settings",
    "kimg",
    "seeds",
    "val: balanced",
    "val: AUC",
    "balanced accuracy",
    "macro-AUC",
    "accuracy",
    "melanomas found",
    "ECE",
    "minutes",
)


@dataclass(frozen=True)
class Choice:
    """A network, how it is trained, and against which imbalance."""

    model: str
    arm: str = "oversampled"
    settings: tuple[str, ...] = ()
    kimg: int = 24
    size_px: int = 64
    augment: str = ""
    fill_to: int | None = None

    def command(self, name: str, seed: int, weights: Path) -> list[str]:
        """Return the command of one fit."""
        model = self.model.replace("WEIGHTS", str(weights))
        pairs = [part for setting in ("calibration=temperature", *self.settings) for part in ("--set", setting)]
        solved = self.model.startswith(("probe", "knn"))
        budget = [] if solved else ["--kimg", str(self.kimg)]
        pairs = [] if solved else pairs
        budget += ["--augment", self.augment] if self.augment else []
        budget += ["--fill-to", str(self.fill_to)] if self.fill_to else []
        where = [f"isic{self.size_px}", "--arm", self.arm, "--seed", str(seed), "--threads", "1"]
        return ["dermsynth", "fit", model, *where, *budget, *pairs, "--out", f"classifiers/{name}-{seed}"]


FROM_HUB = "hf:WEIGHTS"
CHOICES = {
    "knn": Choice("knn:hf:WEIGHTS", "real", size_px=128),
    "probe": Choice("probe:hf:WEIGHTS", "real", size_px=128),
    "probe-oversampled": Choice("probe:hf:WEIGHTS", size_px=128),
    "cnn-real": Choice("small-cnn", "real"),
    "cnn-oversampled": Choice("small-cnn"),
    "cnn-classical": Choice("small-cnn", "classical"),
    "cnn-weighted": Choice("small-cnn", "weighted"),
    "cnn-focal": Choice("small-cnn", "focal"),
    "cnn-logit": Choice("small-cnn", "logit-adjusted"),
    "cnn-wide": Choice("small-cnn", "classical", ("width=32",), kimg=48),
    "cnn-tta": Choice("small-cnn", "real", ("tta=8",)),
    "cnn-papers": Choice("small-cnn", "classical", ("tta=8",), kimg=48, augment="papers", fill_to=1),
    "cnn-papers-wide": Choice("small-cnn", "classical", ("tta=8", "width=24"), kimg=48, augment="papers", fill_to=1),
    "resnet": Choice("resnet-18"),
    "resnet-classical": Choice("resnet-18", "classical"),
    "tuned-64": Choice(FROM_HUB, settings=("recipe=fastai", "input_px=64")),
    "tuned-64-classical": Choice(FROM_HUB, "classical", ("recipe=fastai", "input_px=64")),
    "tuned-128": Choice(
        FROM_HUB, "classical", ("recipe=fastai", "input_px=128", "tta=4"), kimg=16, size_px=128, augment="papers"
    ),
}


def fit(work: Path, weights: Path, names: list[str]) -> None:
    """Run the fits that are not there yet."""
    for name in names:
        choice = CHOICES[name]
        for seed in SEEDS if not choice.model.startswith(("probe", "knn")) else SEEDS[:1]:
            if not (work / "classifiers" / f"{name}-{seed}").exists():
                command = choice.command(name, seed, weights)
                sys.stdout.write(" ".join(command) + "\n")
                sys.stdout.flush()
                subprocess.run(command, check=True, cwd=work)


def page(work: Path) -> None:
    """Write the table of what is finished."""
    lines = [
        "# Classifiers on real images",
        "",
        "Fitted on 5,387 ISIC 2018 training images (one per lesion; 5,386 at 128 px), state and temperature chosen on",
        "597 others of the training set, judged once on the official test: 1,512 images, 7 classes. One thread of a",
        "machine without bfloat16. Made by `docs/results/classifiers.py`.",
        "",
        f"| {' | '.join(HEADS)} |",
        "|---" * len(HEADS) + "|",
    ]
    commands = []
    for name, choice in CHOICES.items():
        fits = [path for path in (work / "classifiers" / f"{name}-{seed}" for seed in SEEDS) if path.exists()]
        if fits:
            (column,) = score(fits, positive=["mel"], resamples=2000).columns
            lines.append(_row(choice, column, fits))
            commands.append(" ".join(choice.command(name, 0, Path("MOBILENETV2"))))
    target = HERE / "classifiers.md"
    by_hand = target.read_text(encoding="utf-8").partition(MARKER)[2] if target.exists() else "\n"
    whole = [*lines, "", "The first seed of each:", "", "```", *commands, "```", "", MARKER]
    target.write_text("\n".join(whole) + by_hand, encoding="utf-8")


def _row(choice: Choice, column: Column, fits: list[Path]) -> str:
    def told(name: str) -> str:
        value = column.overall[name]
        return f"{100 * value.value:.1f} ({100 * value.low:.1f} to {100 * value.high:.1f})"

    (on_val,) = score(fits, part="val", resamples=200).columns
    val = [f"{100 * on_val.overall[name].value:.1f}" for name in ("balanced_accuracy", "auc_macro")]
    minutes = sum(json.loads((path / "card.json").read_text())["wall_s"] for path in fits) / len(fits) / 60
    found = column.operating["mel"].sensitivity_at_specificity
    melanomas = f"{100 * found.value:.0f} % ({100 * found.low:.0f} to {100 * found.high:.0f})"
    solved = choice.model.startswith(("probe", "knn"))
    settings = ", ".join(choice.settings) or ""
    model = choice.model.replace("hf:WEIGHTS", "MobileNetV2").replace(":", " of ")
    parts = [
        model,
        str(choice.size_px),
        choice.arm + (f" ({choice.augment})" if choice.augment else "") + (", not filled up" if choice.fill_to else ""),
        settings,
        "" if solved else str(choice.kimg),
        str(len(fits)),
        *val,
        f"**{told('balanced_accuracy')}**",
        told("auc_macro"),
        f"{100 * column.overall['accuracy'].value:.1f}",
        melanomas,
        f"{100 * column.overall['ece'].value:.1f}",
        f"{minutes:.1f}",
    ]
    return f"| {' | '.join(parts)} |"


if __name__ == "__main__":
    verb, where, *rest = sys.argv[1:]
    if verb == "fit":
        fit(Path(where).resolve(), Path(rest[0]).resolve(), rest[1:])
    else:
        page(Path(where).resolve())
