"""The presets: each variant at each scale is a protocol, and the smallest scale runs to a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.trials.test_synthesis import run

from dermsynth.core.errors import ConfigError
from dermsynth.trials.judging import judge_folder
from dermsynth.trials.loading import PRESETS, load_protocol, parts_of
from dermsynth.trials.plan import plan

PAPERS = ("001", "002-refined", "002-translated", "003", "004", "low-data")


def targets() -> list[str]:
    """Return every preset with every variant and scale that it has."""
    found = []
    for path in sorted(PRESETS.glob("*.yaml")):
        variants, scales = parts_of(path)
        found += [":".join(filter(None, (path.stem, v, s))) for v in ("", *variants) for s in ("", *scales)]
    return found


@pytest.mark.parametrize("target", targets())
def test_it_is_a_protocol_that_says_what_it_is(target: str) -> None:
    assert load_protocol(target).name == target.replace(":", ", ")


@pytest.mark.parametrize("name", PAPERS)
def test_a_paper_has_a_smoke_a_cpu_and_a_published_form(name: str) -> None:
    variants, scales = parts_of(PRESETS / f"{name}.yaml")
    assert {"smoke", "cpu", "full"} <= set(scales)
    assert name == "low-data" or "as-published" in variants


@pytest.mark.parametrize("name", PAPERS)
def test_as_published_differs_in_its_split_or_its_test(name: str) -> None:
    variants, _ = parts_of(PRESETS / f"{name}.yaml")
    if "as-published" in variants:
        honest, published = (load_protocol(f"{name}{part}") for part in ("", ":as-published"))
        assert honest.cohort.split.scheme in ("lesion", "official")
        assert published.cohort.split.scheme in ("image", "fixed")
        assert published.control in ("real", "from scratch")


@pytest.mark.parametrize(
    "target",
    [
        *("001:smoke", "002-refined:smoke", "002-translated:smoke", "003:smoke", "004:smoke"),
        *("low-data:5-percent:smoke", "003:as-published:smoke", "004:augmented-first:smoke"),
    ],
)
def test_it_runs_to_a_verdict(tmp_path: Path, target: str) -> None:
    protocol = load_protocol(target)
    jobs, index = plan(protocol)
    run(jobs, tmp_path / "jobs")
    found = judge_folder(protocol, tmp_path, index)
    assert list(found.arms) == [arm.name for arm in protocol.arms]
    assert found.treatment in protocol.candidates


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("001:cup", "has no 'cup'; did you mean 'cpu'?"),
        ("demo:cpu", "has no 'cpu'; it has no variants"),
        ("001:cpu:smoke", "'cpu' and 'smoke' are both scales; choose one"),
    ],
)
def test_what_a_preset_does_not_have_is_named(target: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_protocol(target)
    assert told in str(error.value)


def test_a_scale_stands_over_a_variant_and_has_its_own_block_for_it(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(
        "name: t\ncohort: {source: {kind: phantom, counts: {mel: 20, nv: 30}}, size_px: 16}\nfill_to: 1\n"
        "variants: {more: {fill_to: 2, repeats: 4}}\n"
        "scales: {small: {repeats: 2, seed: 6, variants: {more: {seed: 7}}}}\n"
    )
    found = load_protocol(f"{tmp_path / 't.yaml'}:small:more")
    assert (found.fill_to, found.repeats, found.seed, found.name) == (2, 2, 7, "t, more, small")
    assert load_protocol(f"{tmp_path / 't.yaml'}:small").seed == 6
