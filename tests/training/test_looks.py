"""What a look at the generator finds: near or far, varied or not, moving or frozen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.helpers import make_cohort

from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.core.artefacts import read_card
from dermsynth.core.errors import InputError
from dermsynth.training import checkpoint
from dermsynth.training.config import TrainConfig
from dermsynth.training.device import make_fabric
from dermsynth.training.images import gather
from dermsynth.training.learner import Learner
from dermsynth.training.looks import Looks
from dermsynth.training.loop import train

COHORT = make_cohort((80, 160, 320))
SETTINGS = DcganConfig(width=2, batch_size=8)
CONFIG = TrainConfig(budget_kimg=0.4, precision="fp32", snapshots=4, held_out=24)


class Ideal(torch.nn.Module):
    """Draws images as the cohort's: a colour per class, with noise; `spread` 0 draws one image per class."""

    def __init__(self, spread: float = 20.0, shift: float = 0.0) -> None:
        super().__init__()
        self.spread, self.shift = spread, shift
        self.colours = torch.nn.Parameter(torch.tensor([[200.0, 90, 90], [90, 200, 90], [90, 90, 200]]))

    def forward(self, noise: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        tiled = noise.repeat(1, 16 * 16 * 3 // noise.shape[1] + 1)[:, : 16 * 16 * 3]
        shuffled = tiled[:, torch.randperm(16 * 16 * 3, generator=torch.Generator().manual_seed(1))]
        images = self.colours[labels][:, :, None, None] + self.shift + self.spread * shuffled.view(-1, 3, 16, 16)
        return images.clamp(0, 255) / 127.5 - 1


def looks_with(generator: torch.nn.Module) -> Looks:
    images = gather(COHORT, Dcgan, SETTINGS, CONFIG, None)
    learner = Learner(images, Dcgan, SETTINGS, CONFIG, make_fabric("fp32"))
    learner.average.network = generator
    return Looks(learner, images)


def look(generator: torch.nn.Module) -> dict[str, float]:
    return looks_with(generator).look(100, None)[0]


def test_the_true_distribution_is_nearer_than_a_shifted_one() -> None:
    near, far = look(Ideal()), look(Ideal(shift=40.0))
    assert near["kernel_distance"] < far["kernel_distance"] / 5
    assert near["coverage"] > 0.5 > far["coverage"]


def test_one_image_per_class_has_no_diversity() -> None:
    assert look(Ideal(spread=0.0))["diversity"] == pytest.approx(0, abs=1e-6)
    assert look(Ideal())["diversity"] > 0.5 * look(Ideal())["real_diversity"]


def test_an_unchanged_generator_has_not_moved_and_a_changed_one_has() -> None:
    looks = looks_with(Ideal())
    _, grid = looks.look(100, None)
    again, _ = looks.look(200, grid)
    assert again["change"] == 0
    moved, _ = looks.look(300, np.clip(grid.astype(np.int64) + 3, 0, 255).astype(np.uint8))
    assert moved["change"] == pytest.approx(3, abs=0.3)


def test_looks_are_the_same_however_often_one_looks() -> None:
    looks = looks_with(Ideal())
    assert looks.look(100, None)[0] == looks.look(100, None)[0]


def test_the_best_snapshot_is_what_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first one is the floor between real images.
    distances = iter([0.0, 0.5, 0.2, 0.9, 0.3])
    monkeypatch.setattr("dermsynth.training.looks.kernel_distance", lambda a, b: next(distances))
    chosen = {}

    def keep(images_seen: int) -> None:
        chosen[images_seen] = checkpoint.load(tmp_path / "run.partial" / "snapshot.safetensors")[0]

    out = train(COHORT, Dcgan, SETTINGS, CONFIG, tmp_path / "run", progress=lambda done, total: keep_at(done, keep))
    assert read_card(out, "run")["chosen_at"] == 200
    expected = chosen[200]["ema.project.weight"]
    assert torch.equal(checkpoint.load(out / "networks.safetensors")[0]["ema.project.weight"], expected)


def keep_at(done: int, keep: Callable[[int], None]) -> None:
    if done == 208:  # the step after the second snapshot
        keep(200)


def test_without_held_out_images_the_last_snapshot_is_taken(tmp_path: Path) -> None:
    out = train(COHORT, Dcgan, SETTINGS, CONFIG.changed(held_out=0), tmp_path / "run")
    card = read_card(out, "run")
    assert card["chosen_at"] == card["images_seen"]
    assert "kernel_distance" not in (out / "looks.jsonl").read_text()


def test_the_encoder_of_the_settings_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    from dermsynth.encoders.chosen import Encoder

    asked: list[str | None] = []

    def chosen(choice: str | None, reference: object) -> Encoder:
        asked.append(choice)
        return Encoder("brightness", lambda images: images.mean((1, 2)).astype(np.float64))

    monkeypatch.setattr("dermsynth.training.looks.chosen_encoder", chosen)
    config = CONFIG.changed(encoder="weights/network")
    images = gather(COHORT, Dcgan, SETTINGS, config, None)
    learner = Learner(images, Dcgan, SETTINGS, config, make_fabric("fp32"))
    learner.average.network = Ideal()
    found = Looks(learner, images).look(100, None)[0]
    assert asked == ["weights/network"]
    assert found["kernel_distance"] < 0.5


def test_an_encoder_that_is_not_there_is_refused_before_the_first_step(tmp_path: Path) -> None:
    config = CONFIG.changed(encoder=str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="nowhere"):
        train(COHORT, Dcgan, SETTINGS, config, tmp_path / "run")
    assert not list((tmp_path).glob("run*/history.jsonl"))
