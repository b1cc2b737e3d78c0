"""The folder in which a run grows until its budget is spent: `OUT.partial`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dermsynth.cohorts.unseen import SEEN
from dermsynth.core import artefacts
from dermsynth.core.errors import ArtefactError
from dermsynth.training.monitors import Finding

CHECKPOINT, SETTINGS = "checkpoint.safetensors", "settings.json"
GOOD, BEST = "snapshot.safetensors", "best.safetensors"
WORKING = (CHECKPOINT, SETTINGS, GOOD, BEST)
"""What is in the folder only while the run is partial: `GOOD` is the state at the last snapshot, `BEST` the average."""
NETWORKS, SAMPLES = "networks.safetensors", "samples"
HISTORY, LOOKS, FINDINGS = "history.jsonl", "looks.jsonl", "findings.jsonl"


class PartialRun:
    """Whose run is in the folder, and what a killed process left behind in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint = folder / CHECKPOINT

    def claim(self, identity: Mapping[str, Any], *, force: bool) -> None:
        """Leave the state of this very run as it is; if the folder holds no run, start one in it.

        Args:
            identity: Flat JSON values; all of them must be equal for a run to be continued.
            force: Start over where they are not.

        Raises:
            ArtefactError: the folder holds an unfinished run with other settings, or something that is no run.
        """
        settings = self.folder / SETTINGS
        if settings.exists():
            known = json.loads(settings.read_text(encoding="utf-8"))
            if known == identity:
                return
            if not force:
                differences = ", ".join(
                    f"{name} {known.get(name)} → {identity.get(name)}"
                    for name in sorted({*known, *identity})
                    if known.get(name) != identity.get(name)
                )
                raise ArtefactError(
                    f"{self.folder}: holds an unfinished run with other settings ({differences}); "
                    "finish it with its own settings, or --force to start over"
                )
        else:
            left = [path.name for path in self.folder.iterdir() if not path.name.startswith(".")]
            if left:
                raise ArtefactError(f"{self.folder}: holds '{left[0]}' but no run; move it away or take another --out")
        for name in (*WORKING, HISTORY, LOOKS, FINDINGS, NETWORKS, SEEN):
            (self.folder / name).unlink(missing_ok=True)
        artefacts.write_json(settings, dict(identity))

    def forget_after(self, images_seen: int) -> None:
        """Drop what a killed process wrote after its last checkpoint, and what it was writing when it died."""
        (self.folder / SAMPLES).mkdir(exist_ok=True)
        for unfinished in self.folder.rglob(".*.tmp-*"):
            unfinished.unlink()
        for name in (HISTORY, LOOKS, FINDINGS):
            path = self.folder / name
            if path.exists():
                lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
                whole = [line for line in lines if line.endswith("\n")]
                kept = [line for line in whole if json.loads(line)["images_seen"] <= images_seen]
                artefacts.write_atomically(path, "".join(kept).encode())
        for grid in (self.folder / SAMPLES).glob("*.png"):
            if int(grid.stem) > images_seen:
                grid.unlink()

    def append_history(self, line: Mapping[str, float]) -> None:
        """Add a line of means to the history."""
        self._append(HISTORY, line)

    def append_look(self, look: Mapping[str, float]) -> None:
        """Add what was measured at a snapshot."""
        self._append(LOOKS, look)

    def append_finding(self, finding: Finding) -> None:
        """Add what a monitor noticed."""
        self._append(FINDINGS, asdict(finding))

    def history(self) -> list[dict[str, float]]:
        """Return all lines of the history."""
        return self._lines(HISTORY)

    def looks(self) -> list[dict[str, float]]:
        """Return what was measured at all snapshots."""
        return self._lines(LOOKS)

    def last_grid(self) -> Path | None:
        """Return the newest sample grid, if there is one."""
        return max((self.folder / SAMPLES).glob("*.png"), default=None)

    def _append(self, name: str, line: Mapping[str, Any]) -> None:
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _lines(self, name: str) -> list[dict[str, float]]:
        path = self.folder / name
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    def grid(self, images_seen: int) -> Path:
        """Return where the sample grid of this moment goes."""
        return self.folder / SAMPLES / f"{images_seen:09d}.png"


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return {'training.seed': 0} of {'training': {'seed': 0}}."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found
