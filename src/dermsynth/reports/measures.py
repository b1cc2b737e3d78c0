"""What was measured of a pool, as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dermsynth.encoders.inception import FID
from dermsynth.pools.sides import GROUPS

_ASKED = {
    "fidelity": "do the images look real?",
    "coverage": "is all that is real among them?",
    "diversity": "do they differ within a class? (mean over classes)",
    "classes": "do they show their classes? (balanced accuracy on features)",
}
_NAMES = {
    "frechet": ("Frechet distance", "less is nearer; compare with real"),
    "frechet_infinity": ("… at infinitely many", "0: equal"),
    "kernel": ("kernel distance", "0: equal"),
    "told_apart": ("told apart", "0.5: cannot be; 1: always"),
    "precision": ("precision", ""),
    "density": ("density", "1: as dense as real ones"),
    "spectrum": ("spectrum, dB", "less is nearer"),
    "recall": ("recall", ""),
    "coverage": ("coverage", ""),
    "mean_distance": ("mean distance", "less than real: too alike"),
    "vendi": ("Vendi score", "less than real: too alike"),
    "ms_ssim": ("similarity (MS-SSIM)", "more than real: too alike"),
    "train_synthetic_test_real": ("learnt from synthetic", "asked about held-out; real: learnt from train"),
    "train_real_test_synthetic": ("learnt from train", "asked about synthetic; real: about held-out"),
    "classifier_score": ("classifier score", "of the fit's probabilities; no Inception Score"),
}
_OF_CLASS = ("frechet", "told_apart", "coverage", "vendi")


def measures_table(found: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table of what `dermsynth.pools.measure.measure` found."""
    lines = [
        f"{found['n']:,} images of each kind (synthetic, train, held out), {found['dimensions']:,} features of "
        f"{found['encoder']}",
        "real: what held-out images score in place of the synthetic ones",
        f"{'':<24}{'pool':>10}  {'95 % interval':<20}{'real':>10}",
    ]
    for group, names in GROUPS.items():
        known = [name for name in names if name in found["measures"]]
        if known:
            lines.append(f"{group}: {_ASKED[group]}")
            lines += [_line(name, found["measures"][name], found) for name in known]
    lines.append("memorisation: are training images repeated?")
    lines += _memorisation(found["memorisation"])
    return lines + _by_class(found)


def _line(name: str, one: Mapping[str, float | None], found: Mapping[str, Any]) -> str:
    title, hint = _title(name, found), _NAMES[name][1]
    if name == "ms_ssim":
        hint += f"; {found['ms_ssim']['scales']} scales"
    if one["value"] is None:
        return f"  {title:<22}{'–':>10}  {'':<20}{'–':>10}  needs more than {found['dimensions']:,} images"
    interval = ""
    if "low" in one:
        interval = f"{_number(one['low'])} to {_number(one['high'])}"
    elif "standard_error" in one:
        interval = f"± {_number(one['standard_error'])} (s.e.)"
    return f"  {title:<22}{_number(one['value']):>10}  {interval:<20}{_number(one['floor']):>10}  {hint}".rstrip()


def _title(name: str, found: Mapping[str, Any]) -> str:
    return "FID" if name == "frechet" and found["encoder"] == FID else _NAMES[name][0]


def _memorisation(copied: Mapping[str, Any]) -> list[str]:
    lines = []
    for title, key, field in (("nearer to train", "nearer_to_train", "share"), ("attack (AUC)", "membership", "auc")):
        one = copied[key]
        interval = f"{one['low']:.3f} to {one['high']:.3f}"
        lines.append(f"  {title:<22}{one[field]:>10.3f}  {interval:<20}{'':>10}  0.5: nothing is copied")
    authentic, copying = copied["authenticity"], copied["copying"]
    told = f"{authentic['value']:>10.3f}  {'':<20}{authentic['floor']:>10.3f}"
    lines.append(f"  {'authentic':<22}{told}  far below real: copied")
    if copying:
        lines.append(f"  {'copying (C_T)':<22}{copying['z']:>10.2f}  {'':<20}{'':>10}  around 0; far below: copied")
    return lines


def _by_class(found: Mapping[str, Any]) -> list[str]:
    classes = found["classes"]
    if len(classes) < 2:
        return []
    titles = "".join(f"{_title(name, found):>20}" for name in _OF_CLASS)
    lines = [f"{'by class: pool (real)':<24}{'images':>8}{titles}"]
    for label, one in classes.items():
        cells = [
            f"{_number(m['value'])} ({_number(m['floor'])})" for m in (one["measures"][name] for name in _OF_CLASS)
        ]
        lines.append(f"  {label:<22}{one['n']:>8,}" + "".join(f"{cell:>20}" for cell in cells))
    return lines


def _number(value: float | None) -> str:
    """Return three digits that say something; a distance of 12,345 keeps its thousands."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
