"""A verdict in one to four plain sentences. Every number in them is a field of the verdict, or a ratio of two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dermsynth.trials.looks import MAIN

if TYPE_CHECKING:
    from dermsynth.trials.comparisons import Comparison
    from dermsynth.trials.verdict import Verdict


_SHUFFLED_BY_PLACEBO = "hybrid"
_FEW = 0.05
_SYNTHETIC = {"hybrid", "placebo"}


def sentence(verdict: Verdict) -> str:
    """Return the finding, what spoils it, the classes, what other arms and looks say, and what the interval omits."""
    leak = f"The split is leaky: {verdict.leaky}; all these results are too good." if verdict.leaky else ""
    said = (
        _finding(verdict),
        _changed(verdict),
        leak,
        _chosen(verdict),
        _classes(verdict),
        _context(verdict),
        _looks(verdict),
        _left_out(verdict),
    )
    return " ".join(part for part in said if part)


def _finding(verdict: Verdict) -> str:
    main = verdict.comparison(verdict.treatment, verdict.control)
    assert main is not None
    margin = f"{100 * verdict.endpoint.smallest_difference:.1f} points"
    number, said = len(verdict.seeds), _said(verdict)
    verb, size, meaning = {
        "helps": ("raised", points(main.difference), _beyond(main.low, margin, verdict, "gain")),
        "harms": ("lowered", points(-main.difference), _beyond(-main.high, margin, verdict, "loss")),
        "equivalent": ("changed", signed(main.difference), f"all within the {margin} {said} not to matter"),
        "inconclusive": ("changed", signed(main.difference), f"differences under {margin} were {said} not to matter"),
    }[main.outcome]
    size = size if main.outcome in ("helps", "harms") else f"{size} points"
    return (
        f"{main.outcome.capitalize()}: over {number} seed{'s' * (number != 1)}, training on {main.arm} instead of "
        f"{main.against} {verb} balanced accuracy on {verdict.test.images} {verdict.endpoint.split} images of "
        f"{verdict.test.lesions} lesions by {size} ({_interval(main, verdict)}, {p_words(main.p_value)}); {meaning}."
    )


def _said(verdict: Verdict) -> str:
    """Whether the margin was declared before the run."""
    return "said afterwards" if any(key.startswith("endpoint.") for key in verdict.edited) else "declared"


def _beyond(nearest: float, margin: float | str, verdict: Verdict, what: str) -> str:
    if nearest >= verdict.endpoint.smallest_difference:
        return f"the whole interval lies beyond the {margin} {_said(verdict)} to matter"
    return f"the {what} may still be smaller than the {margin} {_said(verdict)} to matter"


def _classes(verdict: Verdict) -> str:
    """Which classes gained or lost recall, on evidence adjusted for their number."""
    main = verdict.comparison(verdict.treatment, verdict.control)
    assert main is not None
    moved = {
        word: [f"{name} ({signed(change.difference)})" for name, change in main.recall.items() if change.outcome == was]
        for word, was in (("gained", "helps"), ("lost", "harms"))
    }
    told = "; ".join(f"{', '.join(names)} {word}" for word, names in moved.items() if names)
    return f"Recall by class, adjusted for {len(main.recall)} classes, in points: {told}." if told else ""


def _changed(verdict: Verdict) -> str:
    """What the protocol said when it ran and no longer says."""
    told = [f"{key} was {was} and is {now}" for key, (was, now) in verdict.edited.items()]
    return f"Changed after the run: {'; '.join(told)}." if told else ""


def _chosen(verdict: Verdict) -> str:
    """That the treatment was the best of several on val."""
    if verdict.chosen is None:
        return ""
    among = len(verdict.chosen.among)
    return (
        f"{verdict.treatment} was chosen on {verdict.chosen.on} as the best of {among} arms, before test was looked at."
    )


def _looks(verdict: Verdict) -> str:
    """What the same comparison comes to elsewhere."""
    parts = [
        f"With {look.images - verdict.test.images} synthetic images in the treatment's test, as some publish, the "
        f"difference is {signed(look.accuracy.difference)} points of accuracy and "
        f"{signed(look.comparison.difference)} of balanced accuracy: evidence of nothing."
        for look in verdict.looks
        if look.kind == "published" and look.classifier == MAIN
    ]
    others = [
        f"{look.name} {signed(look.comparison.difference)} ({look.comparison.outcome})"
        for look in verdict.looks
        if look.kind == "classifier" or (look.kind == "test" and look.classifier == MAIN)
    ]
    if others:
        parts.append(f"The same comparison elsewhere, in points: {', '.join(others)}.")
    apart = [name for name, spread in verdict.subgroups.items() if spread.p_value < _FEW / len(verdict.subgroups)]
    if apart:
        parts.append(f"The difference is not the same in all groups of {', '.join(apart)}.")
    return " ".join(parts)


def _context(verdict: Verdict) -> str:
    """What placebo and oracle say about the treatment's result."""
    parts = []
    main = verdict.comparison(verdict.treatment, verdict.control)
    placebo = verdict.comparison(verdict.treatment, verdict.of_recipe("placebo"))
    recipe = verdict.arms[verdict.treatment].recipe
    shown = main is not None and recipe == _SHUFFLED_BY_PLACEBO and main.outcome == "helps"
    if shown and placebo is not None and not _told_above(placebo, verdict):
        parts.append(
            f"the gain cannot be credited to what the images show: it was not told apart from that of the placebo, the "
            f"same images with shuffled labels ({signed(placebo.difference)} points, {_adjusted(placebo, verdict)})"
        )
    oracle = verdict.comparison(verdict.of_recipe("oracle") or "", verdict.control)
    if main is not None and oracle is not None and recipe != "oracle" and _told_above(oracle, verdict):
        # A share of a gain that was not told apart from nothing would be a number about noise.
        share = f", of which {verdict.treatment} reached {100 * main.difference / oracle.difference:.0f} %"
        parts.append(
            f"as many new real images (oracle) gained {points(oracle.difference)} ({_adjusted(oracle, verdict)})"
            f"{share if main.outcome == 'helps' else ''}"
        )
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _left_out(verdict: Verdict) -> str:
    synthetic = {verdict.arms[name].recipe for name in (verdict.treatment, verdict.control)} & _SYNTHETIC
    one_seed, one_generator = len(verdict.seeds) == 1, verdict.generators == 1 and bool(synthetic)
    if one_seed and one_generator:
        return "One seed and one generator were trained: how others would differ is left out of the interval."
    if one_seed:
        return "One seed was trained: how other seeds would differ is left out of the interval."
    few = "Two seeds say little about how others would differ: train three or more" if len(verdict.seeds) == 2 else ""
    if one_generator:
        generator = "ne generator was trained: how another one would differ is left out of the interval."
        return f"{few}; o{generator}" if few else f"O{generator}"
    return f"{few}." if few else ""


def points(share: float) -> str:
    """Return a share as points without a sign: 0.031 -> '3.1 points'."""
    return f"{abs(100 * share):.1f} points"


def signed(share: float) -> str:
    """Return a share as points with a sign and without '-0.0': 0.008 -> '+0.8'."""
    return f"{round(100 * share, 1) + 0.0:+.1f}"


def _interval(comparison: Comparison, verdict: Verdict) -> str:
    return f"{100 * verdict.endpoint.confidence:g} % interval {signed(comparison.low)} to {signed(comparison.high)}"


def _adjusted(comparison: Comparison, verdict: Verdict) -> str:
    return f"{_interval(comparison, verdict)}, adjusted {p_words(comparison.adjusted_p)}"


def _told_above(comparison: Comparison, verdict: Verdict) -> bool:
    """Return whether the difference is above 0 on evidence adjusted for the other comparisons."""
    return comparison.difference > 0 and comparison.adjusted_p < 1 - verdict.endpoint.confidence


def p_words(p_value: float) -> str:
    if p_value < 0.001:
        return "p < 0.001"
    return f"p = {p_value:.3f}" if p_value < 0.1 else f"p = {p_value:.2f}"
