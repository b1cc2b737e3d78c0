"""What goes wrong in a training run, by name and with what to try, from the numbers that the run records anyway.

Every rule is a function of the history and the looks up to a moment. A finding is told at the look at which its rule
begins to hold, and again if it stopped and came back, so that a run which was continued says what an uninterrupted one
says.

Thresholds lie between healthy and spoilt runs on HAM10000 (32 px, 256 held-out images, features of
`encoders.handmade`); beside each stands what was seen on either side of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

Line = Mapping[str, float]

_LITTLE_DIVERSITY = 0.4
"""Share of the real images' diversity: one real image per class with small changes has 0.3, two in turns already 0.7;
healthy runs never had less than 0.5 once they were near."""
_NEAR = 3.0
"""Kernel distance up to which a set as a whole lies near real images: three of them in turns are at 3, healthy runs
below 1 after 5,000 images, generators that have hardly begun, or draw noise, at 5 to 500."""
_ONE_PICTURE = 10.0
"""Kernel distance up to which a single picture may still be one of skin; real ones are at 3 to 5."""
_GROWING, _NEARER, _LONG = 1.2, 0.7, 4
"""A diversity or a kernel distance that changed by this factor since the look before is that of a generator which has
just begun, unless it stayed where it is for this many looks."""
_LOST_COVERAGE, _SOME_COVERAGE = 0.5, 0.2
"""Share of the best coverage before, if that was some. Twenty real images in turns cover 0.2, fifty 0.4, healthy runs
0.7 without ever losing a tenth. Little coverage as such says nothing: images too smooth to be real have it too."""
_GAP = 10.0
"""Logits: images that the discriminator holds e^5 times likelier to be what they are. Healthy runs reach 6, one that
learnt 20 images per class by heart likewise, one whose generator was held back 13 to 20."""
_FEWEST_LINES = 3
_SIGN, _LARGEST_P = 0.9, 0.8
"""ADA: an r_t near 1, and where p ends (`algorithms.augment`)."""
_STILL = 0.5
"""Levels of 0 to 255 from look to look: healthy runs moved by 4 to 25, a generator that learnt nothing by 0.1."""
_FEW_IMAGES = 500
"""Within so few images nothing need move."""
_WORSE, _LEAST_WORSE, _LESS_COVERAGE = 2.0, 0.1, 0.05
"""Means of two looks in a row, since 256 images leave a chance of 0.03 in a kernel distance, and 32 images 0.3: times
the smallest before, and by how much; and how much coverage was lost at the same time, which chance moves far less."""
_FAR_WORSE, _LEAST_FAR_WORSE = 5.0, 1.0
"""The same in a single look."""


@dataclass(frozen=True)
class Finding:
    """What a run is told: the name of a failure, the images seen when it was noticed, and one line for the user."""

    kind: str
    images_seen: int
    message: str


def findings(
    history: Sequence[Line],
    looks: Sequence[Line],
    *,
    logits: bool,
    settings: Mapping[str, Any] | None = None,
) -> list[Finding]:
    """Return what began at the latest look; without a look nothing.

    Args:
        history: Lines of means: `images_seen` and, where the algorithm has them, `score_real`, `score_fake`,
            `ada_sign`, `ada_p`. What came after the latest look is not read.
        looks: What was measured at the snapshots, in their order: `images_seen` and, where they were measured,
            `kernel_distance`, `diversity`, `real_diversity`, `coverage`, `real_coverage`, `change`.
        logits: Whether the scores are logits, so that their gap has a scale.
        settings: Those of the algorithm, so that advice names what it has; None names the most common ones.
    """
    if not looks:
        return []
    known = {"augment": "none", "learning_rate": None, "batch_size": None} if settings is None else settings
    now, before = (_Course(history, part, logits, known) for part in (looks, looks[:-1]))
    return [
        Finding(kind, int(looks[-1]["images_seen"]), f"{kind}: {message}")
        for kind, rule in _RULES.items()
        if (message := rule(now)) is not None and (not before.looks or rule(before) is None)
    ]


@dataclass(frozen=True)
class _Course:
    """A run up to the last of its looks."""

    history: Sequence[Line]
    looks: Sequence[Line]
    logits: bool
    settings: Mapping[str, Any]

    def since_the_look_before(self, *names: str) -> list[Line]:
        """Return the lines between the last two looks that have all these scalars."""
        first = self.looks[-2]["images_seen"] if len(self.looks) > 1 else 0
        last = self.looks[-1]["images_seen"]
        return [
            line for line in self.history if first < line["images_seen"] <= last and all(name in line for name in names)
        ]

    def measured(self) -> list[Line]:
        """Return the looks at which images were compared with real ones."""
        return [look for look in self.looks if "kernel_distance" in look]

    def advice(self, *remedies: str) -> str:
        """Return what to try: settings that the algorithm has, to be raised (`+`) or lowered (`-`), and plain words."""
        found = [said for remedy in remedies if (said := _said(remedy, self.settings)) is not None]
        return "try " + (", ".join(found[:-1]) + " or " if found[1:] else "") + found[-1]


def _said(remedy: str, settings: Mapping[str, Any]) -> str | None:
    name = remedy.lstrip("+-")
    if name == "augment":
        return "--set augment=ada" if settings.get(name) in ("none", "diffaugment") else None
    if name == remedy:
        return remedy
    if name not in settings:
        return None
    value, raised = settings[name], remedy.startswith("+")
    if not value:
        return f"a {'higher' if raised else 'lower'} --set {name}=…"
    return f"--set {name}={type(value)(2 * value if raised else value / 2):g}"


def _mode_collapse(course: _Course) -> str | None:
    """Images of a class are all alike, or reach few of the real ones that they reached before."""
    looks = course.measured()
    if len(looks) < 2 or looks[-1] is not course.looks[-1]:
        return None
    before, look = looks[-2:]
    distance = look["kernel_distance"]
    advice = course.advice("-learning_rate", "+batch_size", "augment", "more training images")
    low = [at["diversity"] < _LITTLE_DIVERSITY * at["real_diversity"] for at in looks]
    # A generator that does not move, or is not let, has another name.
    if low[-1] and look.get("change", _STILL) >= _STILL and not _discriminator_overpowering(course):
        alike = f"images of a class differ {look['diversity'] / look['real_diversity']:.2f} times as much as real ones"
        begun = look["diversity"] >= _GROWING * before["diversity"] or distance < _NEARER * before["kernel_distance"]
        was_near = any(at["kernel_distance"] <= _NEAR for at in looks)
        if was_near or (distance <= _ONE_PICTURE and not begun):
            return f"{alike}, nearly one picture; {advice}"
        if len(low) >= _LONG and all(low[-_LONG:]) and look["diversity"] < _GROWING * looks[-_LONG]["diversity"]:
            return f"{alike} and have for {_LONG} looks; unless it has hardly begun and needs a larger --kimg, {advice}"
    best = max(at["coverage"] for at in looks[:-1])
    if distance <= _NEAR and best >= _SOME_COVERAGE and look["coverage"] < _LOST_COVERAGE * best:
        return (
            f"the images come near {look['coverage']:.0%} of the real ones after {best:.0%}, so they repeat; {advice}"
        )
    return None


def _discriminator_overpowering(course: _Course) -> str | None:
    """The discriminator is certain of every image, or ADA can hold it back no more."""
    lines = course.since_the_look_before("score_real", "score_fake")
    gap = median(line["score_real"] - line["score_fake"] for line in lines) if len(lines) >= _FEWEST_LINES else 0.0
    if course.logits and gap > _GAP:
        advice = course.advice("augment", "-discriminator_learning_rate", "-width", "more training images")
        return f"it tells real from generated images by {gap:.0f} logits, so the generator learns little; {advice}"
    lines = course.since_the_look_before("ada_sign", "ada_p")
    if len(lines) >= _FEWEST_LINES and lines[-1]["ada_p"] >= _LARGEST_P - 1e-6:
        sign = median(line["ada_sign"] for line in lines)
        if sign > _SIGN:
            advice = course.advice("-discriminator_learning_rate", "-width", "more training images")
            return f"it knows the training images by heart (r_t {sign:.2f}) although ADA alters all it can; {advice}"
    return None


def _frozen_generator(course: _Course) -> str | None:
    """The same noise gives the same images as at the look before."""
    if len(course.looks) < 2:
        return None
    before, look = course.looks[-2:]
    passed = look["images_seen"] - before["images_seen"]
    if passed < _FEW_IMAGES or look.get("change", _STILL) >= _STILL:
        return None
    advice = course.advice("+learning_rate", "less in --set freeze=…")
    if _discriminator_overpowering(course):
        advice = "the discriminator leaves it nothing to learn from, see there"
    return f"while {passed:,.0f} images passed, its own moved by {look['change']:.2f} of 255 levels; {advice}"


def _getting_worse(course: _Course) -> str | None:
    """The images were clearly nearer to real ones before."""
    looks = course.measured()
    if len(looks) < 2 or looks[-1] is not course.looks[-1]:
        return None
    look, best = looks[-1], min(looks[:-1], key=lambda at: at["kernel_distance"])
    now, then = look["kernel_distance"], best["kernel_distance"]
    if then > _NEAR:  # it has yet to come near real images, and a network that grows goes back and forth on the way
        return None
    worse = now > max(_FAR_WORSE * then, then + _LEAST_FAR_WORSE)
    if len(looks) >= 4:
        pairs = [_mean_of(looks[i : i + 2]) for i in range(len(looks) - 1)]
        (pair_now, covered_now), (pair_then, covered_then) = pairs[-1], min(pairs[:-2])
        worse = worse or (
            pair_now > max(_WORSE * pair_then, pair_then + _LEAST_WORSE)
            and covered_now < covered_then - _LESS_COVERAGE
            and now > then
        )
    if not worse:
        return None
    return (
        f"the kernel distance is {now:.2f} after {then:.2f} at {best['images_seen']:,.0f} images, the snapshot that is "
        f"kept: stop there (--kimg {best['images_seen'] / 1000:.3g}), or to get further "
        + course.advice("augment", "-learning_rate", "more training images")
    )


def _mean_of(looks: Sequence[Line]) -> tuple[float, float]:
    return fmean(look["kernel_distance"] for look in looks), fmean(look["coverage"] for look in looks)


_RULES = {
    "mode collapse": _mode_collapse,
    "discriminator overpowering": _discriminator_overpowering,
    "frozen generator": _frozen_generator,
    "getting worse": _getting_worse,
}
