"""What the trial was made of, as the page shows it: class counts, images, and how generator and classifiers learnt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dermsynth.reports import exhibits, figures, numbers, pictures
from dermsynth.reports.evidence import Evidence, History, Run
from dermsynth.reports.exhibits import Data, Exhibit
from dermsynth.reports.figures import Curve
from dermsynth.reports.results import NARROW_PX, WIDE_PX, role_of
from dermsynth.reports.texts import ADDED

SNAPSHOTS = 6
_LOSS = "loss_"
_STEEP = 5
_SMOOTHED = 40  # points of a generator's curve: the mean of what lies between, or noise hides the course


def distributions(evidence: Evidence) -> list[dict[str, Any]]:
    """Return bars of images per class: one block per distinct training set, then validation and test."""
    base = evidence.cohort.part("train").counts()
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, arm in evidence.verdict["arms"].items():
        if arm.get("train_counts"):
            groups.setdefault(tuple(arm["train_counts"][c] for c in base), []).append(name)
    largest = max([*base.values(), *(n for counts in groups for n in counts)])
    blocks = [
        _block(", ".join(names), f"Train: {numbers.several(sum(counts), 'image')}", base, counts, largest)
        for counts, names in groups.items()
    ]
    if not groups:
        blocks = [_block("the real images", "Train", base, tuple(base.values()), largest)]
    for part, title in (("val", "Validation"), ("test", "Test")):
        cohort = evidence.cohort.part(part)
        counts = cohort.counts()
        lesions = numbers.several(cohort.table["lesion_id"].n_unique(), "lesion")
        title = f"{title}: {numbers.several(len(cohort), 'image')}"
        blocks.append(_block(f"real only, {lesions}", title, counts, tuple(counts.values()), max(counts.values())))
    return blocks


def distributions_data(evidence: Evidence) -> Data:
    """Return the images of each class in every training set, and in val and test."""
    base = evidence.cohort.part("train").counts()
    rows: list[tuple[object, ...]] = []
    for name, arm in evidence.verdict["arms"].items():
        for label, count in (arm.get("train_counts") or {}).items():
            rows.append((f"train of {name}", label, min(base[label], count), max(0, count - base[label])))
    for part in ("val", "test"):
        rows += [(part, label, count, 0) for label, count in evidence.cohort.part(part).counts().items()]
    return exhibits.data("images-by-class", ("set", "class", "real", "added"), rows)


def additions(evidence: Evidence) -> list[tuple[str, str]]:
    """Return (arms, what they add to the real images), the arms that add the same in one entry."""
    base = evidence.cohort.part("train").counts()
    found: dict[str, list[str]] = {}
    for name, arm in evidence.verdict["arms"].items():
        if any(count > base[label] for label, count in (arm.get("train_counts") or {}).items()):
            found.setdefault(ADDED.get(evidence.recipe_of(name), "see the protocol"), []).append(name)
    return [(", ".join(names), added) for added, names in found.items()]


def snapshots(evidence: Evidence) -> list[dict[str, Any]]:
    """Return up to six grids of fixed-noise samples of the first generator, evenly spread, first and last included."""
    if not evidence.runs:
        return []
    samples = list(evidence.runs[0].samples.items())
    picked = sorted({round(at) for at in np.linspace(0, len(samples) - 1, SNAPSHOTS)}) if samples else []
    n_classes = len(evidence.cohort.classes)
    return [
        {"images_seen": numbers.count(seen), "picture": pictures.snapshot(path, n_classes)}
        for seen, path in (samples[i] for i in picked)
    ]


def generator(evidence: Evidence) -> dict[str, Any]:
    """Return the name of the generator whose training is shown, and of how many it is the first."""
    first = evidence.runs[0].card if evidence.runs else {}
    return {"name": str((first.get("config") or {}).get("algorithm", "unnamed")), "of": len(evidence.runs)}


def generator_curves(evidence: Evidence) -> Exhibit | None:
    """Return the plots of all losses and of the discriminator's scores; None without such a history."""
    run = evidence.runs[0] if evidence.runs else None
    names = [name for line in run.history for name in line if name.startswith(_LOSS)] if run else []
    losses = {name: name.removeprefix(_LOSS).replace("_", " ") for name in dict.fromkeys(names)}
    panels, rows = [], []
    for name, axis, entries in (
        ("losses", "loss", losses),
        ("scores", "mean score", {"score_real": "real", "score_fake": "synthetic"}),
    ):
        curves = [curve for entry, label in entries.items() if run and (curve := _course(run, entry, label))]
        if curves:
            ends = "; ".join(f"{c.name} from {c.y[0]:.2f} to {c.y[-1]:.2f}" for c in curves)
            drawn = figures.progress(
                name,
                _roles(curves),
                axis=axis,
                width_px=440,
                height_px=260,
                title=f"{axis} over images seen",
                description=f"{ends}.",
            )
            panels.append(drawn)
            rows += [(axis, *line) for line in _lines_of(curves)]
    return Exhibit(tuple(panels), _file("generator-losses", rows)) if panels else None


def generator_looks(evidence: Evidence) -> dict[str, Any] | None:
    """Return plots of what was measured of the generator's images on the way, and the monitors' findings, if any."""
    if not evidence.runs:
        return None
    run = evidence.runs[0]
    plots, rows = [], []
    for name, measured, real in (
        ("kernel distance", "kernel_distance", "kernel_floor"),
        ("diversity", "diversity", "real_diversity"),
        ("coverage", "coverage", "real_coverage"),
    ):
        (x, y), (_, floor) = _points(run.looks, measured), _points(run.looks, real)
        if len(x) > 1 and len(x) == len(floor):
            kept = run.card.get("chosen_at")
            chosen = (float(kept),) if isinstance(kept, int | float) and x[0] <= kept <= x[-1] else ()
            curves = [Curve("real", x, floor, "control"), Curve("synthetic", x, y, "treatment", chosen)]
            # A generator that has hardly begun is so far away that nothing else would be seen on its scale.
            top = max(float(floor.max()), min(float(y.max()), _STEEP * float(np.median(y))))
            low = min(0.0, float(y.min()), float(floor.min()))
            plots.append(
                figures.progress(
                    name.replace(" ", "-"),
                    curves,
                    axis=name,
                    width_px=310,
                    height_px=230,
                    title=f"{name} over images seen",
                    description=f"From {y[0]:.2f} to {y[-1]:.2f}; real images: {floor[-1]:.2f}.",
                    limits=(low - 0.03 * (top - low), top + 0.05 * (top - low)),
                )
            )
            rows += [(name, *line) for line in _lines_of(curves)]
    findings = [
        {"images_seen": numbers.count(line["images_seen"]), "message": line["message"]} for line in run.findings
    ]
    figure = Exhibit(tuple(plots), _file("generator-looks", rows)) if plots else None
    return {"figure": figure, "findings": findings} if plots or findings else None


def fit_curves(evidence: Evidence) -> Exhibit | None:
    """Return validation balanced accuracy over images seen, mean over seeds, wide and narrow; None without history."""
    curves = [curve for arm in evidence.verdict["arms"] if (curve := _arm_course(evidence, arm)) is not None]
    if not curves:
        return None
    ends = "; ".join(f"{curve.name} ends at {curve.y[-1]:.1f}" for curve in curves)

    def drawn(size: str, width_px: int, height_px: int) -> tuple[str, ...]:
        return (
            figures.progress(
                f"fits-{size}",
                curves,
                axis="balanced accuracy on validation, %",
                width_px=width_px,
                height_px=height_px,
                title="Balanced accuracy on validation over images seen, mean over seeds, per cent",
                description=f"{ends}.",
            ),
        )

    rows = [("balanced accuracy on validation, %", *line) for line in _lines_of(curves)]
    return Exhibit(drawn("wide", WIDE_PX, 340), _file("classifier-training", rows), drawn("narrow", NARROW_PX, 280))


def _lines_of(curves: Sequence[Curve]) -> Iterator[tuple[str, float, float]]:
    for curve in curves:
        yield from ((curve.name, x, y) for x, y in zip(curve.x.tolist(), curve.y.tolist(), strict=True))


def _file(name: str, rows: Iterable[Sequence[object]]) -> Data:
    return exhibits.data(name, ("measure", "of", "images_seen", "value"), rows)


def _block(names: str, title: str, base: dict[str, int], counts: tuple[int, ...], largest: int) -> dict[str, Any]:
    rows = []
    for (name, real), count in zip(base.items(), counts, strict=True):
        kept = min(real, count)
        rows.append(
            {
                "name": name,
                "real": numbers.count(kept),
                "added": numbers.count(count - kept) if count > kept else None,
                "real_share": round(100 * kept / largest, 2),
                "added_share": round(100 * (count - kept) / largest, 2),
            }
        )
    return {"names": names, "title": title, "rows": rows}


def _course(run: Run, entry: str, label: str) -> Curve | None:
    x, y = _points(run.history, entry)
    if len(x) < 2:
        return None
    chunks = np.array_split(np.arange(len(x)), min(len(x), _SMOOTHED))
    return Curve(label, np.array([x[c].mean() for c in chunks]), np.array([y[c].mean() for c in chunks]))


def _roles(curves: list[Curve]) -> list[Curve]:
    """Return the curves with one of the generator as treatment and one of its opponent as control."""
    left = {"treatment": ("generator", "synthetic"), "control": ("discriminator", "critic", "real")}
    found = []
    for curve in curves:
        role = next((role for role, words in left.items() if curve.name.startswith(words)), "other")
        left.pop(role, None)
        found.append(replace(curve, role=role))
    return found


def _arm_course(evidence: Evidence, arm: str) -> Curve | None:
    fits = [evidence.fits[arm][seed] for seed in evidence.seeds]
    courses = [_points(fit.history, "val_balanced_accuracy") for fit in fits]
    if not courses or min(len(x) for x, _ in courses) < 2:
        return None
    x = courses[0][0]
    mean = np.mean([np.interp(x, *course) for course in courses], axis=0)
    chosen = tuple(float(seen) for fit in fits if (seen := _chosen(fit.card)) is not None and seen <= x[-1])
    return Curve(arm, x, 100 * mean, role_of(evidence, arm), chosen)


def _points(history: History, entry: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    lines = [line for line in history if isinstance(line.get(entry), int | float)]
    return np.array([line["images_seen"] for line in lines], float), np.array([line[entry] for line in lines], float)


def _chosen(card: Any) -> float | None:
    found = card.get("chosen_images_seen")
    return float(found) if isinstance(found, int | float) else None
