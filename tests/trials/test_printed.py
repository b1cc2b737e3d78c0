"""A paper's printed tables beside trials: the layout is the paper's, the numbers are those of the fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from dermsynth.audits.paper import example
from dermsynth.classifiers.predictions import FILE, Predictions, write_predictions
from dermsynth.core import artefacts
from dermsynth.core.errors import ConfigError
from dermsynth.reports.printed_tables import html, latex, markdown
from dermsynth.trials.loading import PRESETS, load_protocol
from dermsynth.trials.printed import _PAPERS, _rows, names, tables_of

CLASSES = ("benign", "malignant")
TEST = "with synthetic images"


def predictions(key: list[int], images: int, share: float, prefix: str) -> Predictions:
    generator = np.random.default_rng(key)
    labels = np.arange(images) % 2
    right = generator.random(images) < share
    said = np.where(right, labels, 1 - labels)
    ids = np.array([f"{prefix}{n:04}" for n in range(images)])
    return Predictions(ids, ids, labels, 0.6 * np.eye(2)[said] + 0.2, CLASSES)


def trial(folder: Path, seeds: int = 2) -> tuple[Path, dict[str, Any]]:
    """Write a finished trial like one of preset 001, as far as its tables read it; return it and what its fits say."""
    known: dict[str, Any] = {}
    index: dict[str, Any] = {"fits": {}, "further": {"resnet-18": {}}, "tests": {TEST: {"main": {}, "resnet-18": {}}}}
    for number, classifier in enumerate(("main", "resnet-18")):
        fits = index["fits"] if classifier == "main" else index["further"][classifier]
        for arm, share in (("real", 0.7), ("hybrid", 0.75)):
            for seed in range(seeds):
                name = f"{classifier}-{arm}-{seed}"
                (folder / name).mkdir(parents=True)
                found = predictions([number, seed, len(arm)], 80, share, "t")
                val = predictions([number, seed, len(arm), 1], 40, share, "v")
                write_predictions(folder / name / FILE, {"val": val, "test": found})
                fits.setdefault(arm, {})[str(seed)] = name
                known[name] = found
                if arm == "hybrid":
                    drawn = predictions([number, seed, 9], 40, 1.0, "s")
                    (folder / f"{name}-drawn").mkdir()
                    write_predictions(folder / f"{name}-drawn" / FILE, {"test": drawn})
                    index["tests"][TEST][classifier].setdefault(arm, {})[str(seed)] = f"{name}-drawn"
                    known[f"{name}-drawn"] = drawn
    artefacts.write_json(folder / "index.json", index)
    artefacts.write_json(
        folder / "verdict.json", {"trial": "001, made up", "test": {"images": 80}, "seeds": list(range(seeds))}
    )
    artefacts.write_json(folder / "card.json", {"kind": "trial", "files": {}})
    return folder, known


def test_the_honest_number_is_the_mean_over_seeds_on_real_images(tmp_path: Path) -> None:
    folder, known = trial(tmp_path / "honest")
    found = tables_of("001", published=None, honest=folder)
    table = next(table for table in found.tables if table.where == "Tables 6 to 8")
    assert table.columns == tuple(map(str, example("001").rows_in("Tables 6 to 8")[0].cells))
    (line,) = [line for line in table.lines if line.name == "ResNet-18 + GAN"]
    fits = [known[f"resnet-18-hybrid-{seed}"] for seed in (0, 1)]
    place = {name: number for number, name in enumerate(table.columns)}
    for column, function in (("recall", recall_score), ("f1", f1_score), ("accuracy", accuracy_score)):
        value = line.honest[place[column]]
        assert value is not None
        assert value.value == pytest.approx(np.mean([function(one.labels, one.predicted) for one in fits]))
        assert value.low <= value.value <= value.high
    assert line.printed[place["accuracy"]] == "0.9178"
    assert set(line.published) == {None}


def test_as_published_the_test_has_the_synthetic_images_too(tmp_path: Path) -> None:
    folder, known = trial(tmp_path / "published", seeds=1)
    found = tables_of("001", published=folder, honest=None)
    table = next(table for table in found.tables if table.where == "Table 5")
    (line,) = [line for line in table.lines if line.name == "CNN + GAN"]
    both = [known["main-hybrid-0"], known["main-hybrid-0-drawn"]]
    labels, said = (np.concatenate([getattr(one, name) for one in both]) for name in ("labels", "predicted"))
    value = line.published[table.columns.index("accuracy")]
    assert value is not None
    assert value.value == pytest.approx(accuracy_score(labels, said))
    plain = next(table for table in found.tables if table.where == "Table 4").lines[0]
    real = known["main-real-0"]
    assert plain.published[0] is not None
    assert plain.published[0].value == pytest.approx(accuracy_score(real.labels, real.predicted))


def test_every_format_has_every_printed_number_and_what_the_audit_says(tmp_path: Path) -> None:
    found = tables_of("001", published=trial(tmp_path / "a", 1)[0], honest=trial(tmp_path / "b")[0])
    for text in (markdown(found), latex(found), html(found)):
        for number in ("0.8674", "0.9178", "0.9239"[:3]):
            assert number in text
        assert "as published, here" in text
        assert "honest, here" in text
    assert "impossible" in markdown(found) or "doubtful" in markdown(found)
    assert latex(found).count(r"\begin{tabular}") == latex(found).count(r"\end{tabular}") == len(found.tables)


@pytest.mark.parametrize("name", names())
def test_the_rows_are_rows_of_the_paper_and_arms_of_the_preset(name: str) -> None:
    rows = _rows(name)
    printed = {row.arm for row in example(rows.paper).rows}
    assert set(rows.rows) <= printed
    protocols = [load_protocol(name), load_protocol(f"{name}:as-published")]
    arms = {arm.name for protocol in protocols for arm in protocol.arms}
    assert {place.arm for place in rows.rows.values()} <= arms
    classifiers = {"main", *(name for protocol in protocols for name in protocol.classifiers)}
    assert {place.classifier for place in rows.rows.values()} <= classifiers
    assert (PRESETS / f"{name}.yaml").exists()
    assert (_PAPERS / f"{name}.yaml").exists()


def test_an_unknown_paper_and_no_trial_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no printed tables of '01'; did you mean '001'"):
        tables_of("01", published=None, honest=tmp_path)
    with pytest.raises(ConfigError, match="give one with --published or --honest"):
        tables_of("001", published=None, honest=None)
