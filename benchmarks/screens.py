"""What does every rule of a screen find, what does it reject by mistake, and is what it keeps nearer to the truth?

    python benchmarks/screens.py            # prints the tables of docs/screens.md

The cohort is the phantom, so the truth is known: a pool is made of new lesions of the same distribution (honest) and of
planted defects of eight kinds. Every rule is applied alone, with its defaults. `kept` and `dropped` are the mean over
classes of the kernel distance between images so labelled and 100 new lesions of that class (features of the offline
encoder, scaled); it is unbiased, so sets of different size compare, and 0 is the truth. Then a memoriser and an honest
generator are measured.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.fit import fit
from dermsynth.cohorts.cohort import Cohort, writing_cohort
from dermsynth.cohorts.ingest import ingest
from dermsynth.cohorts.sources.phantom import PhantomConfig, draw
from dermsynth.cohorts.split import SplitConfig, split
from dermsynth.encoders.chosen import chosen_encoder
from dermsynth.metrics.kernel import kernel_distance
from dermsynth.pools.measure import measure
from dermsynth.pools.screen import screen
from dermsynth.pools.screens import rules_of

COUNTS = {"bkl": 260, "mel": 260, "nv": 380, "vasc": 200}
HONEST, TRUE, PLANTED = 60, 100, 40
"""Honest and true images of a class; images of a defect."""
SIZE_PX = 64
FITS = 2
RULES = (
    "confidence",
    "agreement",
    "rank",
    "rank:order=worst",
    "boundary",
    "realism",
    "discriminator",
    "near-copy",
    "duplicate",
    "duplicate:of=train",
    "artefact:trace=checkerboard",
    "artefact:trace=grey_fill",
    "artefact:trace=mirrored_border",
    "artefact:trace=unusual_colour",
    "artefact:trace=exposure",
    "artefact:trace=hair",
    "artefact:trace=ink",
    "k-centre",
)

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Alteration = Callable[[Pixels, np.random.Generator], Pixels]


def blurred(image: Pixels, _: np.random.Generator) -> Pixels:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.5), np.uint8)


def noisy(image: Pixels, generator: np.random.Generator) -> Pixels:
    return np.asarray(np.clip(image + generator.normal(0, 12, image.shape), 0, 255), np.uint8)


def checkered(image: Pixels, _: np.random.Generator) -> Pixels:
    y, x = np.indices(image.shape[:2]) // 2
    return np.asarray(np.clip(image + np.where((x + y) % 2, 4, -4)[..., None], 0, 255), np.uint8)


def greyed(image: Pixels, generator: np.random.Generator) -> Pixels:
    found, side = image.copy(), len(image) // 3
    y, x = generator.integers(0, len(image) - side, 2)
    found[y : y + side, x : x + side] = 127
    return found


def copied(image: Pixels, generator: np.random.Generator) -> Pixels:
    turned = np.rot90(image, int(generator.integers(4)))
    turned = turned[:, ::-1] if generator.random() < 0.5 else turned
    return np.asarray(np.clip(turned + generator.normal(0, 4, image.shape), 0, 255), np.uint8)


def cropped(image: Pixels, generator: np.random.Generator) -> Pixels:
    side = round(0.9 * len(image))
    y, x = generator.integers(0, len(image) - side + 1, 2)
    part = np.ascontiguousarray(image[y : y + side, x : x + side])
    return np.asarray(cv2.resize(part, image.shape[:2], interpolation=cv2.INTER_CUBIC), np.uint8)


def inked(image: Pixels, generator: np.random.Generator) -> Pixels:
    found, side = image.copy(), len(image)
    first, last = generator.integers(0, side // 6, 2)
    cv2.line(found, (0, int(first)), (side, int(last)), (90, 60, 200), max(1, side // 24))
    return np.ascontiguousarray(np.rot90(found, int(generator.integers(4))))


def haired(image: Pixels, generator: np.random.Generator) -> Pixels:
    found = image.copy()
    for _ in range(3):
        (x, y), (u, v) = generator.integers(0, len(image), (2, 2))
        cv2.line(found, (int(x), 0), (int(u), len(image)), (50, 35, 30), 1, cv2.LINE_AA)
        cv2.line(found, (0, int(y)), (len(image), int(v)), (50, 35, 30), 1, cv2.LINE_AA)
    return found


DEFECTS: dict[str, Alteration] = {
    "blurred": blurred,
    "noisy": noisy,
    "grid": checkered,
    "grey": greyed,
    "ink": inked,
    "hair": haired,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kimg", type=float, default=8.0, help="budget of each of the two classifiers")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        ingest(PhantomConfig(counts=COUNTS), SIZE_PX, folder / "cohort")
        split(folder / "cohort", SplitConfig(val=0.2, test=0.2, near_duplicates=False), seed=0)
        cohort = Cohort.open(folder / "cohort")
        print({part: len(cohort.part(part)) for part in ("train", "val", "test")}, flush=True)
        fits = [folder / f"fit{seed}" for seed in range(FITS)]
        for seed, out in enumerate(fits):
            config = FitConfig(width=8, budget_kimg=arguments.kimg, seed=seed)
            fit(cohort.part("train"), cohort.part("val"), cohort.part("test"), config, out)
        images, labels, kinds = planted(cohort)
        pool = saved(folder / "pool", cohort, images, labels)
        rules_table(cohort, pool, kinds, fits)
        memorisers(folder, cohort)


def new(cohort: Cohort, count: int, first_lesion: int) -> tuple[Pixels, Labels]:
    """Return new lesions of the cohort's distribution, `count` of each class, one photo each."""
    config = PhantomConfig(counts=dict.fromkeys(cohort.classes, count), first_lesion=first_lesion, several_photos=0)
    photos = list(draw(config, SIZE_PX))
    labels = [cohort.classes.index(label) for part in photos for label in part.table["label"]]
    return np.concatenate([part.images for part in photos]), np.array(labels, dtype=np.int64)


def planted(cohort: Cohort) -> tuple[Pixels, Labels, NDArray[np.str_]]:
    """Return the images of the pool, their labels, and what each is."""
    generator = np.random.default_rng(0)
    honest, of_honest = new(cohort, HONEST, 1_000_000)
    spare, of_spare = new(cohort, (len(DEFECTS) + 1) * PLANTED // len(cohort.classes), 2_000_000)
    # Every defect has lesions of its own: repeats of one would be a defect that was not planted.
    *turns, mislabelled = np.split(generator.permutation(len(spare)), len(DEFECTS) + 1)
    train = cohort.part("train")
    seen, of_seen = train.images[:], train.labels
    parts: list[tuple[str, Pixels, Labels]] = [("honest", honest, of_honest)]
    for (kind, alteration), rows in zip(DEFECTS.items(), turns, strict=True):
        parts.append((kind, np.stack([alteration(spare[row], generator) for row in rows]), of_spare[rows]))
    sources = (("copy", seen, of_seen, copied), ("crop", seen, of_seen, cropped), ("repeat", honest, of_honest, copied))
    for kind, images, labels, alteration in sources:
        rows = generator.permutation(len(images))[:PLANTED]
        parts.append((kind, np.stack([alteration(images[row], generator) for row in rows]), labels[rows]))
    others = (of_spare[mislabelled] + generator.integers(1, len(cohort.classes), PLANTED)) % len(cohort.classes)
    parts.append(("label", spare[mislabelled], others))
    kinds = np.concatenate([np.full(len(images), kind) for kind, images, _ in parts])
    return np.concatenate([images for _, images, _ in parts]), np.concatenate([each for *_, each in parts]), kinds


def saved(out: Path, cohort: Cohort, images: Pixels, labels: Labels) -> Cohort:
    """Return a pool of these images, whose generator learnt from the train part."""
    names = [f"s{number}" for number in range(len(images))]
    columns = {"image_id": names, "lesion_id": names, "sha256": names, "label": [cohort.classes[n] for n in labels]}
    table = pl.DataFrame(columns).with_columns(
        patient_id=pl.lit(None, dtype=pl.String), source=pl.lit("planted"), origin=pl.lit("synthetic")
    )
    with writing_cohort(out, cohort.classes) as writer:
        writer.append(table, images)
        seen = cohort.part("train").table.select("image_id", "lesion_id", "patient_id", "sha256")
        seen.write_parquet(writer.folder / "seen.parquet")
    return Cohort.open(out)


def rules_table(cohort: Cohort, pool: Cohort, kinds: NDArray[np.str_], fits: list[Path]) -> None:
    """Print the share of every kind that every rule rejects, and how far from the truth what it keeps and drops is."""
    names = list(dict.fromkeys(kinds.tolist()))
    encoder = chosen_encoder(None, cohort.part("train"))
    truth, of_truth = new(cohort, TRUE, 3_000_000)
    true = encoder.encode(truth)

    def distance(features: NDArray[np.floating], labels: Labels) -> float:
        found = [
            kernel_distance(features[labels == label], true[of_truth == label])
            for label in range(len(cohort.classes))
            if (labels == label).sum() >= 2
        ]
        return float(np.mean(found)) if found else float("nan")

    chance = []
    for number in range(5):
        images, of_images = new(cohort, HONEST, 5_000_000 + 1_000_000 * number)
        chance.append(distance(encoder.encode(images), of_images))
    features, labels = encoder.features(pool), pool.labels
    print(f"pool: {distance(features, labels):.2f}; five honest sets: " + ", ".join(f"{each:.2f}" for each in chance))
    print("| rule | " + " | ".join(names) + " | kept | dropped |", flush=True)
    for text in RULES:
        (step,) = screen(pool, cohort, rules_of([text]), classifiers=fits).steps
        rejected = step.judgement.rejected
        shares = " | ".join(f"{rejected[kinds == kind].mean():.0%}" for kind in names)
        told = " | ".join(f"{distance(features[rows], labels[rows]):.2f}" for rows in (~rejected, rejected))
        print(f"| `{text}` | {shares} | {told} |", flush=True)


def memorisers(folder: Path, cohort: Cohort) -> None:
    """Print what is measured of an honest generator and of two that repeat training images."""
    generator = np.random.default_rng(1)
    train = cohort.part("train")
    rows = generator.choice(len(train), 240, replace=False)
    fresh, of_fresh = new(cohort, HONEST, 4_000_000)
    noise, crops = (
        np.stack([alteration(image, generator) for image in train.images[rows]]) for alteration in (copied, cropped)
    )
    few, some = generator.permutation(len(fresh))[60:], rows[:60]
    pools = {
        "honest": (fresh, of_fresh),
        "noise, mirrors, turns": (noise, train.labels[rows]),
        "crops": (crops, train.labels[rows]),
        "a quarter copied": (np.concatenate([fresh[few], noise[:60]]), np.append(of_fresh[few], train.labels[some])),
    }
    print("| generator | nearer to train | authentic | C_T | attack |")
    for name, (images, labels) in pools.items():
        found = measure(cohort, saved(folder / name, cohort, images, labels))["memorisation"]
        near, attack, authentic = found["nearer_to_train"], found["membership"], found["authenticity"]
        copying = found["copying"]["z"] if found["copying"] else float("nan")
        shares = f"{near['share']:.2f} ({near['low']:.2f} to {near['high']:.2f})"
        area = f"{attack['auc']:.2f} ({attack['low']:.2f} to {attack['high']:.2f})"
        told = f"{authentic['value']:.2f}, real {authentic['floor']:.2f}"
        print(f"| {name} | {shares} | {told} | {copying:.1f} | {area} |", flush=True)


if __name__ == "__main__":
    main()
