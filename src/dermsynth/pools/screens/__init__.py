"""Screens: rules that keep or reject images of a pool, each with a reason. The registry maps a name to its rule."""

from __future__ import annotations

from collections.abc import Sequence

from dermsynth.core.config import parse_named
from dermsynth.pools.screens.artefacts import Artefact
from dermsynth.pools.screens.confidence import Agreement, Boundary, Confidence, Rank
from dermsynth.pools.screens.copies import Duplicate, NearCopy
from dermsynth.pools.screens.features import Discriminator, KCentre, Realism
from dermsynth.pools.screens.rule import Rule

RULES: dict[str, type[Rule]] = {
    "agreement": Agreement,
    "artefact": Artefact,
    "boundary": Boundary,
    "confidence": Confidence,
    "discriminator": Discriminator,
    "duplicate": Duplicate,
    "k-centre": KCentre,
    "near-copy": NearCopy,
    "rank": Rank,
    "realism": Realism,
}


def rules_of(texts: Sequence[str]) -> list[Rule]:
    """Return the rules of texts such as `near-copy` and `rank:keep=0.5`; raises ConfigError for an unknown one."""
    return [parse_named(text, RULES, "rule") for text in texts]
