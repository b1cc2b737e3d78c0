"""How long and how an algorithm is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dermsynth.core.config import Config
from dermsynth.training.device import Precision


class TrainConfig(Config):
    """How long and how an algorithm is trained; what is trained are the algorithm's own settings."""

    budget_kimg: float = Field(200.0, gt=0, allow_inf_nan=False, description="thousands of real images seen")
    seed: int = Field(0, ge=0, description="of the initial weights, the order of images and the noise")
    precision: Precision = Field("auto", description="`auto` takes bf16 where the hardware has it")
    classes: tuple[str, ...] = Field((), description="train on these classes alone; empty: on all of the cohort")
    held_out: int = Field(
        256, ge=0, description="most images kept from the networks to choose the best snapshot; 0 takes the last one"
    )
    encoder: str | None = Field(
        None,
        description="its features choose the snapshot: a network as for `measure`; without one the offline encoder",
    )
    ema_halflife_kimg: float = Field(5.0, gt=0, description="half-life of the averaged weights that are sampled")
    snapshots: int = Field(8, ge=1, description="looks at the averaged generator over the run, the last one at its end")
    checkpoint_every_s: float = Field(60.0, ge=0, description="seconds of work at risk")
    accumulate: int = Field(1, ge=1, description="parts a batch is computed in, one after the other, to save memory")
    compile: Literal["none", "default", "graphs"] = Field("none", description="torch.compile; graphs: with CUDA graphs")
    freeze: tuple[str, ...] = Field((), description="weights that stay as they are: network.layer prefixes")
