"""Make the figure of preprocessing.md from procedural lesions: `python docs/images/preprocessing.py`."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from dermsynth.cohorts.preprocess import chain_of
from dermsynth.cohorts.sources import make_source
from dermsynth.cohorts.sources.phantom import PhantomConfig
from dermsynth.reports.preprocessing import rows
from dermsynth.reports.sheets import drawn

CHAIN = ("hair", "shades-of-grey", "bilateral", "gamma", "lesion-crop", "resize")


def main() -> None:
    """Write preprocessing.png beside this file."""
    source = make_source(PhantomConfig(counts=dict.fromkeys(("bcc", "mel", "nv"), 20)))
    with Image.open(io.BytesIO(drawn(rows(source, chain_of(CHAIN), 128, count=3, seed=4)))) as figure:
        few = figure.convert("RGB").quantize(dither=Image.Dither.NONE)
    few.save(Path(__file__).with_suffix(".png"), optimize=True)


if __name__ == "__main__":
    main()
