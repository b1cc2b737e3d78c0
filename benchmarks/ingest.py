"""Does ingest cost more than decoding? The whole of it beside decoding and resizing alone, in interleaved rounds.

    python benchmarks/ingest.py [--size 64] [--rounds 3] [--threads N]

Reads HAM10000 from $DERMSYNTH_DATA (default ../shared/data beside the checkout), or draws JPEG files if it is absent.

    ingest     checks, hashes, decoding, writing, flushing to disk, the card's hashes, opening
    decode     the files are read, decoded, cropped and resized by the same functions, on as many threads
    ratio      ingest / decode; 1.2 is the figure to stay under
    wall, cpu  seconds by the clock, and of processors; on a machine that does other things too, only these compare
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from dermsynth.cohorts.decode import decode
from dermsynth.cohorts.ingest import ingest
from dermsynth.cohorts.sources import make_source, source_config
from dermsynth.cohorts.sources.files import FileSource, ImageFiles


def main() -> None:
    """Time both and print one line per round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(os.environ.get("DERMSYNTH_DATA", Path(__file__).parents[2] / "shared" / "data")) / "ham10000"
        real = data.is_dir()
        root = data if real else drawn_jpegs(Path(scratch) / "jpegs", 2000)
        config = source_config("ham10000" if real else "folder", {"root": str(root)})
        source = make_source(config)
        assert isinstance(source, FileSource)
        files = source.files
        print(f"{root}: {len(files.ids):,} images at {arguments.size} px on {arguments.threads} threads")
        print("wall ingest decode ratio | cpu ingest decode ratio | images/s")
        ratios = []
        for number in range(arguments.rounds):
            out = Path(scratch) / f"cohort{number}"
            whole = timed(partial(ingest, config, arguments.size, out, threads=arguments.threads))
            alone = timed(partial(decode_alone, files, arguments.size, arguments.threads))
            wall, cpu = (a / b for a, b in zip(whole, alone, strict=True))
            ratios.append((wall, cpu))
            rate = len(files.ids) / whole[0]
            by_clock = f"{whole[0]:11.2f} {alone[0]:6.2f} {wall:5.2f}"
            print(f"{by_clock} | {whole[1]:10.2f} {alone[1]:6.2f} {cpu:5.2f} | {rate:,.0f}")
        wall, cpu = (statistics.median(values) for values in zip(*ratios, strict=True))
        print(f"median ratio: {wall:.2f} by the clock, {cpu:.2f} of processor seconds")


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that `work` takes by the clock and of processors."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def decode_alone(files: ImageFiles, size_px: int, threads: int) -> None:
    """Read, decode, crop and resize, one share of the files per thread."""
    stems = sorted(files.ids)

    def share(first: int) -> None:
        for stem in stems[first::threads]:
            image = decode(files.read(stem), stem)
            side = min(image.size)
            left, top = (image.width - side) / 2, (image.height - side) / 2
            box = (left, top, left + side, top + side)
            np.asarray(image.resize((size_px, size_px), Image.Resampling.BICUBIC, box=box))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(share, range(threads)))


def drawn_jpegs(root: Path, count: int) -> Path:
    """Return a folder per class of JPEG files of 200 x 150 px."""
    generator = np.random.default_rng(0)
    for number in range(count):
        coarse = generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        path = root / ("mel" if number % 2 else "nv") / f"image{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize((200, 150), Image.Resampling.BICUBIC).save(path, quality=75)
    return root


if __name__ == "__main__":
    main()
