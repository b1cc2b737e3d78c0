"""How fast the phantom draws, and how hard it is.

    OMP_NUM_THREADS=1 python benchmarks/phantom.py                      # seconds for 2,000 images of 64 x 64, 1 thread
    OMP_NUM_THREADS=1 python benchmarks/phantom.py --overlap 0 0.2 0.5  # also the balanced accuracy of a small CNN

The CNN (four convolutions, batch normalisation, flips and turns, classes drawn equally often) learns from 2,500 images
with the default class shares and is tested on 150 images per class of new lesions.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermsynth.cohorts.sources.phantom import CLASSES, DEFAULT_COUNTS, PhantomConfig, draw

SIZE_PX = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overlap", type=float, nargs="*", default=[], help="measure the accuracy at these overlaps")
    parser.add_argument("--train", type=int, default=2500, help="training images")
    parser.add_argument("--steps", type=int, default=900, help="optimiser steps of 64 images")
    arguments = parser.parse_args()

    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    wall, cpu, images = seconds_for(shares(2000))
    print(f"{images} images of {SIZE_PX} x {SIZE_PX}: {wall:.1f} s wall, {cpu:.1f} s of one processor")
    for overlap in arguments.overlap:
        start = time.perf_counter()
        recall = recalls(overlap, arguments.train, arguments.steps)
        per_class = ", ".join(f"{name} {value:.2f}" for name, value in zip(CLASSES, recall, strict=True))
        wall = time.perf_counter() - start
        print(f"overlap {overlap}: balanced accuracy {np.mean(recall):.3f} ({per_class}) in {wall:.0f} s")


def shares(images: int) -> dict[str, int]:
    """Return counts in the proportions of the default."""
    total = sum(DEFAULT_COUNTS.values())
    return {name: max(1, round(count * images / total)) for name, count in DEFAULT_COUNTS.items()}


def seconds_for(counts: dict[str, int]) -> tuple[float, float, int]:
    """Return wall and processor seconds for these counts, and the number of images; textures are made beforehand."""
    next(draw(PhantomConfig(counts={"nv": 1, "bcc": 1}), SIZE_PX))
    wall, cpu = time.perf_counter(), time.process_time()
    images = sum(len(photos.images) for photos in draw(PhantomConfig(counts=counts), SIZE_PX))
    return time.perf_counter() - wall, time.process_time() - cpu, images


def load(config: PhantomConfig) -> tuple[Tensor, Tensor]:
    parts = list(draw(config, SIZE_PX))
    images = torch.from_numpy(np.concatenate([part.images for part in parts]))
    labels = [CLASSES.index(label) for part in parts for label in part.table["label"]]
    return images, torch.tensor(labels)


def recalls(overlap: float, train: int, steps: int) -> list[float]:
    """Return each class's recall on new lesions by a CNN trained at this overlap."""
    images, labels = load(PhantomConfig(counts=shares(train), overlap=overlap))
    new = PhantomConfig(counts=dict.fromkeys(CLASSES, 150), overlap=overlap, first_lesion=1_000_000)
    test_images, test_labels = load(new)
    torch.manual_seed(0)
    order = torch.Generator().manual_seed(0)
    network = cnn()
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.02, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    chance = 1.0 / torch.bincount(labels)[labels].double()
    for _ in range(steps):
        rows = torch.multinomial(chance, 64, generator=order)
        turned = torch.rot90(prepared(images[rows]), int(torch.randint(4, (1,), generator=order)), (2, 3))
        batch = turned.flip(3) if torch.rand(1, generator=order) < 0.5 else turned
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(network(batch).float(), labels[rows])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    network.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = torch.cat([network(prepared(part)).argmax(1) for part in torch.split(test_images, 128)])
    return [float((found[test_labels == c] == c).float().mean()) for c in range(len(CLASSES))]


def prepared(images: Tensor) -> Tensor:
    """uint8 NHWC => float NCHW, about standardised."""
    return ((images.float() / 255 - 0.6) / 0.2).permute(0, 3, 1, 2)


def cnn() -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 32), (32, 64), (64, 128), (128, 128)):
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(128, len(CLASSES))]
    return nn.Sequential(*layers)


if __name__ == "__main__":
    main()
