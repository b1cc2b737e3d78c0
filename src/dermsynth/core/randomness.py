"""Counted randomness: every draw comes from a generator keyed by (seed, purpose, step).

No generator state is carried from one step to the next, so a resumed run equals an uninterrupted one and nothing needs
saving. The purpose keeps draws apart that share a step (noise, feed, augmentation).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def key(seed: int, purpose: str, step: int = 0) -> int:
    """Return the 63-bit key of one draw: the same three values give the same key on every machine."""
    digest = hashlib.blake2b(f"{seed}|{purpose}|{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def numpy_generator(seed: int, purpose: str, step: int = 0) -> np.random.Generator:
    """Return a fresh NumPy generator for one draw."""
    return np.random.Generator(np.random.PCG64(key(seed, purpose, step)))


def torch_generator(seed: int, purpose: str, step: int = 0, device: str | torch.device = "cpu") -> torch.Generator:
    """Return a fresh torch generator on `device` for one draw."""
    import torch

    return torch.Generator(device=device).manual_seed(key(seed, purpose, step))


@contextlib.contextmanager
def global_torch_seed(seed: int, purpose: str, step: int = 0) -> Iterator[None]:
    """Let torch's global generator start from this key inside the block; afterwards it is as it was.

    Only for what draws from the global generator by design, such as the initial weights of a layer.
    """
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(key(seed, purpose, step))
        yield


def seed_layers(key: int, device: torch.device) -> None:
    """Start torch's global generators of the processor and of `device` from a key, as `torch.manual_seed` does.

    For layers that draw from the global generator by design, such as dropout. `torch.manual_seed` also notes the stack
    of its caller for devices that are not in use, which takes longer than feeding a batch.
    """
    import torch

    torch.default_generator.manual_seed(key)
    if device.type != "cpu":
        getattr(torch, device.type).manual_seed(key)
