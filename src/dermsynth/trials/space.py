"""What tuning may change: keys of a protocol, each with a range or a list of values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dermsynth.algorithms import algorithm_class
from dermsynth.core.config import Config, nearest, parse, read_yaml
from dermsynth.core.errors import ConfigError
from dermsynth.trials.choices import overlaid
from dermsynth.trials.generators import GeneratorChoice
from dermsynth.trials.keys import choices, implied, kinds
from dermsynth.trials.protocol import Protocol

FIXED = ("name", "question", "seed", "repeats", "arms", "treatment", "control", "endpoint", "tests", "subgroups")
FIXED_OF_THE_COHORT = ("cohort.source", "cohort.labels", "cohort.split")
"""What decides which images are judged, and how: scores of tries that differ in them could not be compared."""
_RANGE = re.compile(r"(?P<low>[-+\d.eE]+?)\.\.(?P<high>[-+\d.eE]+?)(?P<log>:log)?")


class Range(Config):
    """Numbers from `low` to `high`, both included; `log`: of equal ratios as likely; `whole`: integers."""

    key: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        """Return values that the protocol must take if it takes them all."""
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)

    def holds(self, value: Any) -> bool:
        """Return whether a value is one of them."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


class Choice(Config):
    """One of several values, in no order."""

    key: str
    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """Return all values."""
        return self.values

    def holds(self, value: Any) -> bool:
        """Return whether a value is one of them."""
        return value in self.values


Space = Sequence[Range | Choice]


def parse_space(texts: Sequence[str], protocol: Protocol) -> list[Range | Choice]:
    """Return what `KEY=LOW..HIGH`, `KEY=LOW..HIGH:log` and `KEY=A,B,C` stand for.

    Args:
        texts: One for each key; a key is dotted, as in `classifier.learning_rate` or `generator.settings.width`.
        protocol: Which must take every value, as far as that can be told without its images.

    Raises:
        ConfigError: no such key (with the nearest), one that must stay, a range of something that is no number, or a
            value that the protocol does not take.
    """
    if not texts:
        raise ConfigError("--over: give at least one, for example --over classifier.learning_rate=1e-4..1e-2:log")
    known = dict(leaves(protocol))
    found = [_parsed(text, known) for text in texts]
    keys = [knob.key for knob in found]
    for text, knob in zip(texts, found, strict=True):
        if keys.count(knob.key) > 1:
            raise ConfigError(f"--over {text}: '{knob.key}' stands twice; keep one")
        for value in knob.ends:
            laid_over(protocol, {knob.key: value}, f"--over {text}")
    return found


def leaves(config: BaseModel, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every key of a configuration that holds no further ones, dotted; settings of a generator among them."""
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(config, GeneratorChoice) and name == "settings":
            value = algorithm_class(config.algorithm).Config(**config.settings)
        blocks = {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
        for path, block in blocks.items():
            if isinstance(block, BaseModel):
                yield from leaves(block, f"{prefix}{path}.")
            elif path == name:
                yield prefix + name, field


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted keys as blocks: {'a.b': 1} -> {'a': {'b': 1}}."""
    found: dict[str, Any] = {}
    for path, value in values.items():
        for key in reversed(path.split(".")):
            value = {key: value}
        found = overlaid(found, value)
    return found


def laid_over(protocol: Protocol, values: Mapping[str, Any], where: str) -> Protocol:
    """Return the protocol with other values under some dotted keys; raises ConfigError that starts with `where`."""
    return parse(Protocol, overlaid(_said(protocol), nested(values)), where)


def _said(config: Config) -> dict[str, Any]:
    """Return all values but those that follow from a recipe or a policy, so that another one brings its own."""
    found = {}
    following = implied(config)
    for name, value in config.canonical().items():
        inner = getattr(config, name)
        if name not in following:
            found[name] = _said(inner) if isinstance(inner, Config) and isinstance(value, dict) else value
    return found


def _parsed(text: str, known: Mapping[str, FieldInfo]) -> Range | Choice:
    key, equals, said = text.partition("=")
    where = f"--over {text}"
    if not equals or not said:
        raise ConfigError(f"{where}: expected KEY=LOW..HIGH, KEY=LOW..HIGH:log or KEY=A,B,C")
    free = {path: field for path, field in known.items() if not _must_stay(path)}
    if _must_stay(key):
        raise ConfigError(
            f"{where}: '{key}' decides what is measured and must stay; tune what is trained, such as "
            "classifier.learning_rate"
        )
    if key not in free:
        blocks = [path for path in free if path.startswith(f"{key}.")]
        problem = f"'{key}' is a block; give one of its keys" if blocks else f"unknown key '{key}'"
        raise ConfigError(f"{where}: {problem}; {_nearest_key(key, blocks or list(free))}")
    matched = _RANGE.fullmatch(said)
    if ".." in said and matched is None:
        raise ConfigError(f"{where}: expected a range of numbers, LOW..HIGH or LOW..HIGH:log")
    return _range(key, matched, free[key], where) if matched else _choice(key, said, where)


def _must_stay(key: str) -> bool:
    return key.split(".")[0] in FIXED or any(f"{key}.".startswith(f"{path}.") for path in FIXED_OF_THE_COHORT)


def _nearest_key(key: str, known: Sequence[str]) -> str:
    """Return the nearest dotted key: one that ends alike, even in another block, before one that looks alike."""
    last = key.rsplit(".", 1)[-1]
    by_end: dict[str, list[str]] = {}
    for path in known:
        by_end.setdefault(path.rsplit(".", 1)[-1], []).append(path)
    ends = difflib.get_close_matches(last, by_end, n=1, cutoff=0.8)
    return nearest(key, by_end[ends[0]] if ends else known) if len(known) > 1 else f"known: {known[0]}"


def _range(key: str, matched: re.Match[str], field: FieldInfo, where: str) -> Range:
    numeric = kinds(field.annotation) & {int, float}
    if not numeric:
        listed = choices(field.annotation)
        instead = f": {key}={','.join(map(str, listed))}" if listed else ""
        raise ConfigError(f"{where}: '{key}' is no number; list its values{instead}")
    try:
        low, high = float(matched["low"]), float(matched["high"])
    except ValueError:
        raise ConfigError(f"{where}: expected a range of numbers, LOW..HIGH or LOW..HIGH:log") from None
    whole = float not in numeric
    if whole and not (low.is_integer() and high.is_integer()):
        raise ConfigError(f"{where}: '{key}' takes whole numbers")
    if not low < high:
        raise ConfigError(f"{where}: {low:g} is not below {high:g}")
    if matched["log"] and low <= 0:
        raise ConfigError(f"{where}: a logarithmic range starts above 0")
    return Range(key=key, low=low, high=high, log=bool(matched["log"]), whole=whole)


def _choice(key: str, said: str, where: str) -> Choice:
    values = tuple(_number_where_meant(value) for value in read_yaml(f"[{said}]", where))
    if len(values) < 2 or any(values.count(value) > 1 for value in values):
        raise ConfigError(f"{where}: give two different values or more, KEY=A,B,C, or a range, KEY=LOW..HIGH")
    return Choice(key=key, values=values)


def _number_where_meant(value: Any) -> Any:
    """Return 1e-3, which YAML reads as a word, as a number."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return float(value)
    return value
