"""`doctor`: what dermsynth finds on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from dermsynth import __version__
from dermsynth.cli.app import app, command
from dermsynth.core.cores import cores


@command(app, "doctor")
def doctor() -> None:
    """Say what dermsynth finds on this machine.

    Device, precision, threads, versions and the folder of real images.
    """
    import torch

    from dermsynth.core.artefacts import versions
    from dermsynth.training.device import describe, has_fast_bf16, make_fabric

    found = describe(make_fabric())
    data = Path(os.environ.get("DERMSYNTH_DATA", "../shared/data"))
    lines = {
        "dermsynth": __version__,
        "device": found["device"],
        "precision": f"{found['precision']} ({'bfloat16 in hardware' if has_fast_bf16() else 'no fast bfloat16'})",
        "threads": f"{torch.get_num_threads()} of {cores()} cores",
        "images": f"{data.resolve()}" if data.is_dir() else f"none at {data} (set DERMSYNTH_DATA; the demo needs none)",
        **versions(),
    }
    width = max(map(len, lines))
    for name, value in lines.items():
        typer.echo(f"{name:<{width}}  {value}")
