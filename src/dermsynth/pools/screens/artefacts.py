"""Rules that look for the traces of how an image was made, and that it has little to do with skin."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dermsynth.metrics.checkerboard import checkerboard
from dermsynth.metrics.leakage import trace_scores
from dermsynth.pools.screens.rule import Judgement, Rule, Views, by_limit, limit_of_real


class Artefact(Rule):
    """Rejects images that show a trace more strongly than nearly all held-out real images do.

    `checkerboard` is the grid of strided convolutions, in dB; `grey_fill` (0 for mid-grey, less for what differs),
    `mirrored_border` (a correlation), `unusual_colour` (a share of the pixels), `inverted` and `exposure` (grey levels)
    are what a generator learns from its discriminator's augmentation.
    """

    what: ClassVar[str] = "strength of the trace"
    reason: ClassVar[str] = "trace of {value:.3g}, more than {threshold:.3g}"
    rule: Literal["artefact"] = "artefact"
    trace: Literal["checkerboard", "grey_fill", "mirrored_border", "unusual_colour", "inverted", "exposure"] = (
        "checkerboard"
    )
    share: float = Field(0.01, gt=0, le=0.5)
    """Of the real images of val that it would reject, which sets the limit."""

    @property
    def high(self) -> bool:
        """Return True."""
        return True

    def judge(self, views: Views) -> Judgement:
        """Judge by `metrics.checkerboard` and `metrics.leakage`; what is usual is said by the training images."""
        score = {"checkerboard": checkerboard, **trace_scores(views.train.cohort.images[:])}[self.trace]
        values, real = (score(view.cohort.images[:]) for view in (views.pool, views.held_out))
        return by_limit(self, values, limit_of_real(self, real, self.share), real)
