"""The folder in which a run grows until its budget is spent: `OUT.partial`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dermsynth.core import artefacts
from dermsynth.core.errors import ArtefactError

CHECKPOINT, SETTINGS = "checkpoint.safetensors", "settings.json"  # only while the run is partial
NETWORKS, HISTORY, SEEN, SAMPLES = "networks.safetensors", "history.jsonl", "seen.parquet", "samples"


class PartialRun:
    """Whose run is in the folder, and what a killed process left behind in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint = folder / CHECKPOINT

    def claim(self, identity: Mapping[str, Any], *, force: bool) -> bool:
        """Return whether the folder holds a checkpoint of this very run; if it holds no run, start one in it.

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
                return self.checkpoint.exists()
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
        for name in (CHECKPOINT, HISTORY, NETWORKS, SEEN, SETTINGS):
            (self.folder / name).unlink(missing_ok=True)
        artefacts.write_json(settings, dict(identity))
        return False

    def forget_after(self, images_seen: int) -> None:
        """Drop what a killed process wrote after its last checkpoint, and what it was writing when it died."""
        (self.folder / SAMPLES).mkdir(exist_ok=True)
        for unfinished in self.folder.rglob(".*.tmp-*"):
            unfinished.unlink()
        history = self.folder / HISTORY
        if history.exists():
            lines = history.read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]
            kept = [line for line in whole if json.loads(line)["images_seen"] <= images_seen]
            artefacts.write_atomically(history, "".join(kept).encode())
        for grid in (self.folder / SAMPLES).glob("*.png"):
            if int(grid.stem) > images_seen:
                grid.unlink()

    def append(self, line: Mapping[str, float | int]) -> None:
        """Add a line to the history."""
        with (self.folder / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def grid(self, images_seen: int) -> Path:
        """Return where the sample grid of this moment goes."""
        return self.folder / SAMPLES / f"{images_seen:09d}.png"


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return {'training.seed': 0} of {'training': {'seed': 0}}."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found
