"""A protocol that is edited after the run: its verdict says what was changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dermsynth.trials.protocol import Protocol
from dermsynth.trials.run import judge_trial, run_trial

TINY = {
    "name": "tiny",
    "repeats": 2,
    "fill_to": 30,
    "cohort": {
        "source": {"kind": "phantom", "counts": {"bkl": 30, "mel": 40, "nv": 60}},
        "size_px": 16,
        "split": {"val": 0.25, "test": 0.35},
    },
    "arms": ["real", "oversampled"],
    "treatment": "real",
    "classifier": {"width": 2, "budget_kimg": 0.1, "evaluations": 1},
    "endpoint": {"smallest_difference": 0.05, "resamples": 200},
}


def test_a_changed_endpoint_is_reported_as_changed(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        ran = run_trial(Protocol.model_validate(TINY), tmp_path / "trial", executor=executor)
    assert ran.to_json()["edited"] == {}
    file = tmp_path / "trial" / "protocol.yaml"
    file.write_text(file.read_text().replace("smallest_difference: 0.05", "smallest_difference: 0.5"))
    judged = judge_trial(tmp_path / "trial")
    assert judged.to_json()["edited"] == {"endpoint.smallest_difference": [0.05, 0.5]}
    assert "Changed after the run: endpoint.smallest_difference was 0.05 and is 0.5" in judged.sentence
    assert "declared" not in judged.sentence.split("Changed after the run")[0]
    file.write_text(file.read_text().replace("smallest_difference: 0.5", "smallest_difference: 0.05"))
    assert judge_trial(tmp_path / "trial") == ran
