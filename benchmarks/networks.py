"""The cost of the classifiers' networks: parameters, and processor time of an image when learning and when predicting.

    python benchmarks/networks.py [--size 64] [--folder WEIGHTS]

One thread; times are of the processor, not of the clock, so that other work on the machine disturbs them little. The
least of three steps of 16 images, after one that warms up, with the precision that `auto` takes here.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from common import CLASSES
from dermsynth.classifiers import build
from dermsynth.classifiers.config import FitConfig
from dermsynth.core.errors import InputError
from dermsynth.training.device import describe, make_fabric, set_threads

IMAGES = 16
NETWORKS: dict[str, dict[str, Any]] = {
    "small-cnn": {},
    "mobilenet-v1": {"stem": "imagenet"},
    "mobilenet-v1, small stem": {"model": "mobilenet-v1", "stem": "small"},
    "resnet-18": {"stem": "imagenet"},
    "resnet-18, small stem": {"model": "resnet-18", "stem": "small"},
    "resnet-50": {"stem": "imagenet"},
    "discriminator": {},
}


def main() -> None:
    """Print a line per network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="side of the images in px")
    parser.add_argument("--folder", help="of a pretrained network, to be measured too at several input sizes")
    options = parser.parse_args()
    set_threads(1)
    chosen = dict(NETWORKS)
    if options.folder:
        chosen["hf"] = {"model": f"hf:{options.folder}"}
        chosen |= {f"hf at {side} px": {**chosen["hf"], "input_px": side} for side in (64, 128)}
    fabric = make_fabric()
    print(", ".join(f"{name} {value}" for name, value in describe(fabric).items()))
    images = (torch.rand(IMAGES, 3, options.size, options.size) * 2 - 1).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(IMAGES) % len(CLASSES)
    print("| network | parameters | learning, ms an image | predicting, ms an image |\n|---|---|---|---|")
    for name, settings in chosen.items():
        try:
            network = build(FitConfig(**{"model": name, **settings}), len(CLASSES), options.size)
        except InputError as error:
            print(f"| {name} | | {error} | |")
            continue
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = torch.optim.AdamW(network.parameters(), fused=True)

        def learn() -> None:
            with fabric.autocast():
                loss = cross_entropy(network(images), labels)  # noqa: B023 - called before the next network
            loss.backward()
            optimiser.step()  # noqa: B023
            optimiser.zero_grad()  # noqa: B023

        def predict() -> None:
            with torch.no_grad(), fabric.autocast():
                network(images)  # noqa: B023

        parameters = sum(parameter.numel() for parameter in network.parameters())
        learning = _least(learn)
        network.eval()
        print(f"| {name} | {parameters / 1e6:.2f} million | {learning:.1f} | {_least(predict):.1f} |", flush=True)


def _least(function: Callable[[], None]) -> float:
    """Return the least milliseconds of the processor that an image took in three calls."""
    function()
    found = []
    for _ in range(3):
        started = time.process_time()
        function()
        found.append(time.process_time() - started)
    return min(found) / IMAGES * 1000


if __name__ == "__main__":
    main()
