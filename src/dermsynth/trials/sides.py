"""Finished trials as they are compared: verdict, protocol and fits, as far as they are at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dermsynth.core import artefacts
from dermsynth.core.config import load_yaml, parse
from dermsynth.core.errors import ArtefactError, ConfigError, InputError
from dermsynth.trials.comparisons import Comparison
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.verdict import Verdict

_ENDPOINT = ("metric", "split", "smallest_difference", "confidence")
"""What trials must share to be compared; the number of redraws only makes an interval more precise."""


@dataclass(frozen=True)
class Side:
    """One trial of a comparison.

    Attributes:
        label: What it is called beside the others.
        verdict: What it found.
        protocol: Its protocol; None where only the verdict is at hand.
        fits: Folders of fits by arm and seed; empty where only the verdict is at hand.
    """

    label: str
    verdict: Verdict
    protocol: Protocol | None
    fits: Mapping[str, Mapping[int, Path]]

    @property
    def effect(self) -> Comparison:
        """Return the treatment against the control."""
        found = self.verdict.comparison(self.verdict.treatment, self.verdict.control)
        assert found is not None
        return found


def open_sides(paths: Sequence[Path]) -> list[Side]:
    """Return the trials in these folders, or of these verdict.json files.

    Raises:
        ConfigError: the same one twice.
        ArtefactError: no finished trial.
        InputError: no verdict, or one of another version of dermsynth.
    """
    return [_opened(path, label) for path, label in zip(paths, _labels(paths), strict=True)]


def _labels(paths: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths that tell them apart."""
    whole = [path.absolute().parent if path.name == "verdict.json" else path.absolute() for path in paths]
    if len(set(whole)) < len(whole):
        raise ConfigError("the same trial is given twice; give two different ones")
    for length in range(1, max(len(path.parts) for path in whole) + 1):
        labels = ["/".join(path.parts[-length:]) for path in whole]
        if len(set(labels)) == len(labels):
            break
    return labels


def _opened(path: Path, label: str) -> Side:
    if path.is_file():
        return Side(label, _verdict(path), None, {})
    artefacts.read_card(path, "trial")
    index = json.loads((path / "index.json").read_text(encoding="utf-8"))
    fits = {
        arm: {int(seed): path / folder for seed, folder in by_seed.items()} for arm, by_seed in index["fits"].items()
    }
    return Side(label, _verdict(path / "verdict.json"), load_yaml(Protocol, path / "protocol.yaml"), fits)


def _verdict(path: Path) -> Verdict:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtefactError(f"{path}: no such file; run 'dermsynth trial report {path.parent}'") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict) or "schema" not in values:
        raise InputError(f"{path}: is no verdict; expected the verdict.json of a finished trial")
    newest = Verdict.model_fields["schema_version"].default
    try:
        return parse(Verdict, values, str(path))
    except ConfigError as error:
        if values["schema"] == newest:
            raise InputError(str(error)) from None
        raise InputError(
            f"{path}: is a verdict of schema {values['schema']}, this dermsynth reads {newest}; "
            "judge the trial again with 'dermsynth trial report'"
        ) from None


def need_same_endpoint(first: Side, other: Side) -> None:
    """Raise ConfigError unless both trials answer the same question: endpoints and classes are equal."""
    for key in _ENDPOINT:
        here, there = (getattr(side.verdict.endpoint, key) for side in (first, other))
        if here != there:
            raise ConfigError(
                f"endpoint.{key} is {here} in {first.label} and {there} in {other.label}: their verdicts answer "
                "different questions; compare trials with the same endpoint"
            )
    if first.verdict.classes != other.verdict.classes:
        raise ConfigError(
            f"{first.label} tells {', '.join(first.verdict.classes)} apart and {other.label} "
            f"{', '.join(other.verdict.classes)}: {first.verdict.endpoint.metric} means something else in each; "
            "compare trials with the same classes"
        )
