"""Rules that look for the traces of how an image was made, and that it has little to do with skin."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from pydantic import Field

from dermsynth.core.cores import cores
from dermsynth.core.errors import InputError
from dermsynth.encoders.chosen import Floats
from dermsynth.metrics.artefacts import ARTEFACTS, MIN_SIZE_PX, artefact_scores, ink
from dermsynth.metrics.checkerboard import checkerboard
from dermsynth.metrics.leakage import trace_scores
from dermsynth.pools.screens.rule import Judgement, Pixels, Rule, Views, by_limit, limit_of_real

Score = Callable[[Pixels], Floats]


class Artefact(Rule):
    """Rejects images that show a trace more strongly than nearly all held-out real images do.

    `checkerboard` is the grid of strided convolutions, in dB; `grey_fill` (0 for mid-grey, less for what differs),
    `mirrored_border` (a correlation), `unusual_colour` (a share of the pixels), `inverted` and `exposure` (grey levels)
    are what a generator learns from its discriminator's augmentation; `dark_corners`, `hair`, `ruler_marks` and `ink`
    what it learns from photos.
    """

    what: ClassVar[str] = "strength of the trace"
    reason: ClassVar[str] = "trace of {value:.3g}, more than {threshold:.3g}"
    rule: Literal["artefact"] = "artefact"
    trace: Literal[
        "checkerboard",
        "grey_fill",
        "mirrored_border",
        "unusual_colour",
        "inverted",
        "exposure",
        "dark_corners",
        "hair",
        "ruler_marks",
        "ink",
    ] = "checkerboard"
    share: float = Field(0.01, gt=0, le=0.5)
    """Of the real images of val that it would reject, which sets the limit."""

    @property
    def high(self) -> bool:
        """Return True."""
        return True

    def judge(self, views: Views) -> Judgement:
        """Judge by `metrics.checkerboard`, `metrics.leakage` or `metrics.artefacts`.

        Raises:
            InputError: images too small for hair and rulers to show.
        """
        score = self._score(views)
        values, real = (score(view.cohort.images[:]) for view in (views.pool, views.held_out))
        return by_limit(self, values, limit_of_real(self, real, self.share), real)

    def _score(self, views: Views) -> Score:
        if self.trace == "checkerboard":
            return checkerboard
        if self.trace == "ink":
            return ink
        name = self.trace.replace("_", " ")
        if name not in ARTEFACTS:
            return trace_scores(views.train.cohort.images[:])[self.trace]
        if views.pool.cohort.size_px < MIN_SIZE_PX:
            raise InputError(
                f"rule {self.written}: shows from {MIN_SIZE_PX} px up, and the images have "
                f"{views.pool.cohort.size_px} px; leave the rule out"
            )
        return lambda images: artefact_scores(images, cores(), (name,))[name]
