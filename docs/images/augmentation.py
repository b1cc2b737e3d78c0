"""Make the figures of augmentation.md from procedural lesions: `python docs/images/augmentation.py`."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.cohorts.ingest import ingest
from dermsynth.cohorts.sources.phantom import PhantomConfig
from dermsynth.reports.augmentation import rows
from dermsynth.reports.sheets import Row, drawn

HERE = Path(__file__).parent
CLASSES = ("bcc", "bkl", "df", "mel", "nv", "vasc")
MOVED = ("flip", "rotation", "shear", "scale", "translation", "crop")


def main() -> None:
    """Write augmentation-places.png and augmentation-colours.png (both `strong`) and augmentation-more.png."""
    with tempfile.TemporaryDirectory() as folder:
        cohort = ingest(PhantomConfig(counts=dict.fromkeys(CLASSES, 6)), 64, Path(folder) / "phantom")
        strong = {row.name: row for row in rows(cohort, ClassicalAugmentation(policy="strong"), "mel")}
        others = ClassicalAugmentation(
            policy="strong", quarter_turns=True, erasing_chance=0.25, randaugment_ops=3, mixup_alpha=1, cutmix_alpha=1
        )
        write("augmentation-places.png", [row for name, row in strong.items() if name in MOVED])
        write("augmentation-colours.png", [row for name, row in strong.items() if name not in MOVED])
        write("augmentation-more.png", [row for row in rows(cohort, others, "mel") if row.name not in strong])


def write(name: str, shown: Sequence[Row]) -> None:
    """Write rows as a PNG with a palette, which takes a third of the room."""
    with Image.open(io.BytesIO(drawn(shown))) as figure:
        few = figure.convert("RGB").quantize(dither=Image.Dither.NONE)
    few.save(HERE / name, optimize=True)


if __name__ == "__main__":
    main()
