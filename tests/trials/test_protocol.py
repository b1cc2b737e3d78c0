"""The declaration of a trial: what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.journeys.commands import TRIAL

from dermsynth.core.errors import ConfigError
from dermsynth.trials.loading import PRESETS, load_protocol


def load(tmp_path: Path, text: str) -> object:
    path = tmp_path / "trial.yaml"
    path.write_text(text)
    return load_protocol(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("fill_to: 30", "fil_to: 30", "unknown key 'fil_to'; did you mean 'fill_to'"),
        ("{width: 2, batch_size: 8}", "{widht: 2}", "unknown key 'widht'; did you mean 'width'"),
        ("{kind: phantom,", "{kind: phantom, overlapp: 0.1,", "overlapp'; did you mean 'overlap'"),
        ("{budget_kimg: 0.4, snapshots: 2}", "{budget_kmig: 1}", "did you mean 'budget_kimg'"),
        ("arms: [real,", "arms: [reel,", "unknown arm 'reel'; did you mean 'real'"),
        ("arms: [real,", "arms: [real, real,", "two arms are called 'real'"),
        ("repeats: 2", "repeats: 0", "'repeats' is 0"),
        ("fill_to: 30", "control: hybrid\nfill_to: 30", "treatment and control are both 'hybrid'"),
        ("fill_to: 30", "control: weighted\nfill_to: 30", "control is 'weighted', which is not among the arms"),
        ("{width: 2, budget_kimg: 0.3,", "{seed: 3, budget_kimg: 0.3,", "set the trial's seed"),
        ("smallest_difference: 0.05", "smallest_difference: 5", "'endpoint.smallest_difference' is 5"),
        ("kind: phantom, counts: {bkl: 30, mel: 40, nv: 60}", "kind: folder, root: x", "arm 'oracle' needs new images"),
        ("generator:\n", "generator:\n  replicas: 3\n", "generator.replicas is 3; choose 2, one for each repeat, or 1"),
        ("size_px: 32", "size_px: 48", "16, 32, 64, 128, … px, not 48"),
        ("{kind: phantom,", "{kind: phantom, seed: 4,", "cohort.source.seed is 4; set the trial's seed"),
        ("{width: 2, batch_size: 8}", "{kernel_px: 4}", "'kernel_px' is 4: choose an odd number"),
        (
            "fill_to: 30",
            "augmentation: paper\nfill_to: 30",
            "'augmentation.policy' is 'paper': unknown policy; did you",
        ),
        (
            "fill_to: 30",
            "augmentation: {hue: 3}\nfill_to: 30",
            "unknown key 'augmentation.hue'; did you mean 'hue_deg'",
        ),
        ("generator:\n", "generator:\n  algorithm: dcgna\n", "unknown algorithm 'dcgna'; did you mean 'dcgan'"),
    ],
)
def test_a_protocol_that_cannot_work_is_refused_in_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TRIAL
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, TRIAL.replace(old, new))
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "trial.yaml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_every_preset_can_be_read(preset: str) -> None:
    assert load_protocol(preset).name == preset


@pytest.mark.parametrize("augmentation", ["papers", {"policy": "papers", "hue_deg": 2.0}])
def test_the_frozen_protocol_reads_back_as_itself(tmp_path: Path, augmentation: object) -> None:
    protocol = load_protocol("demo").changed(augmentation=augmentation)
    (tmp_path / "frozen.yaml").write_text(protocol.to_yaml())
    assert load_protocol(tmp_path / "frozen.yaml") == protocol
    assert yaml.safe_load(protocol.to_yaml())["classifier"]["budget_kimg"] == protocol.classifier.budget_kimg


def test_seeds_count_up_from_the_trials_seed() -> None:
    assert load_protocol("demo").changed(seed=5).seeds == (5, 6, 7)
