"""The smallest settings of every algorithm, for tests that run all of them."""

from __future__ import annotations

from typing import Any

TINY: dict[str, dict[str, Any]] = {
    "dcgan": {"width": 2},
    "gan": {"generator_width": 16, "discriminator_width": 8},
}
"""By name; every one takes 16 px and a batch of 8 unless it says otherwise."""
SIZE_PX: dict[str, int] = {"cyclegan": 32, "acgan": 32}
