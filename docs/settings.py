"""Write the tables of settings in algorithms.md from the code: `python docs/settings.py`.

A table stands between `<!-- settings of NAME -->` and `<!-- end -->`; what is there is replaced.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from dermsynth.algorithms import algorithm_class

PAGE = Path(__file__).parent / "algorithms.md"
_TABLE = re.compile(r"<!-- settings of (\S+) -->\n.*?<!-- end -->", flags=re.DOTALL)
_SIGNS: tuple[tuple[type, str, str], ...] = ((Ge, "ge", "≥"), (Gt, "gt", ">"), (Le, "le", "≤"), (Lt, "lt", "<"))


def written(page: str) -> str:
    """Return the page with every table as the code has it."""
    return _TABLE.sub(lambda found: f"<!-- settings of {found[1]} -->\n{table(found[1])}\n<!-- end -->", page)


def table(algorithm: str) -> str:
    """Return the table of an algorithm's settings."""
    chosen = algorithm_class(algorithm)
    lines = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for name, field in chosen.Config.model_fields.items():
        when_drawing = " (may be changed when drawing)" if name in chosen.sampling else ""
        meaning = (field.description or "").replace("|", "\\|") + when_drawing
        lines.append(f"| `{name}` | {_values(field)} | `{_plain(field.default)}` | {meaning} |")
    return "\n".join(lines)


def _values(field: FieldInfo) -> str:
    limits = [
        f"{sign} {getattr(limit, key)}"
        for limit in field.metadata
        for kind, key, sign in _SIGNS
        if isinstance(limit, kind)
    ]
    return ", ".join([_type(field.annotation), *limits])


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join("nothing" if part is NoneType else _type(part) for part in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {_type(get_args(annotation)[0])}"
    return {int: "integer", float: "number", bool: "true or false", str: "name"}[annotation]


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(list(value) if isinstance(value, tuple) else value).strip('"')


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
