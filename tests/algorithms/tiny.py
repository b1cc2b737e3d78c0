"""The smallest settings of every algorithm, for tests that run all of them."""

from __future__ import annotations

from typing import Any

TINY: dict[str, dict[str, Any]] = {
    "acgan": {"width": 2, "latent": 8},
    "cgan": {"width": 2, "latent": 8, "spectral_norm": True},
    "cyclegan": {"source": ["nv"], "target": ["mel"], "width": 2, "blocks": 1, "pool": 4, "batch_size": 2},
    "dcgan": {"width": 2, "latent": 8, "augment": "ada"},
    "gan": {"width": 20},
    "lapgan": {"width": 4, "coarse_width": 16},
    "progressive": {"width": 2, "most_maps": 8, "latent": 8},
    "r3gan": {"width": 4, "widest": 8, "group": 4, "latent": 8, "augment": "diffaugment"},
    "rectified-flow": {"width": 8},
    "sgan": {"width": 2, "latent": 8, "augment": "ada"},
    "stylegan2": {"width": 4, "most_maps": 8, "latent": 8, "r1_every": 4, "path_length_every": 4},
    "wgan-gp": {"width": 2, "critic_width": 2, "latent": 8, "n_critic": 3},
}
"""By name, for `SIZE_PX` and a batch of 8 unless it says otherwise; together they use all that must be remembered."""
SIZE_PX = {name: 32 if name in ("acgan", "cyclegan") else 16 for name in TINY}
