"""What the keys of a configuration mean, may be and are by default: read from the models, so never out of date."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Iterator
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dermsynth.classifiers.config import RECIPES
from dermsynth.cohorts.augment import POLICIES

_SIGNS: tuple[tuple[type, str, str], ...] = ((Ge, "ge", "≥"), (Gt, "gt", ">"), (Le, "le", "≤"), (Lt, "lt", "<"))


@cache
def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return what each field of a model means, on one line: its description, or the string below it in the source.

    A field without either that holds another model has that model's first line. A field that has nothing is left out.
    """
    below: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if issubclass(owner, BaseModel) and owner is not BaseModel:
            below |= _strings_below(owner)
    found = {}
    for name, field in model.model_fields.items():
        inner = list(models_in(field.annotation))
        first_line = (inner[0].__doc__ or "").split("\n")[0] if len(inner) == 1 else ""
        text = " ".join((field.description or below.get(name) or first_line).split())
        if text:
            found[name] = text
    return found


def _strings_below(model: type[BaseModel]) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    except (OSError, TypeError):  # made at run time: it has no source
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    return {
        here.target.id: inspect.cleandoc(after.value.value)
        for here, after in itertools.pairwise(body)
        if isinstance(here, ast.AnnAssign)
        and isinstance(here.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and isinstance(after.value.value, str)
    }


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a field with this annotation may hold, in the order in which they are named."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def kinds(annotation: Any) -> set[type]:
    """Return the plain types among the values that an annotation allows: int, float, bool, str, tuple, dict, models."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return {kind for argument in get_args(annotation) for kind in kinds(argument)}
    if origin is Annotated:
        return kinds(get_args(annotation)[0])
    if origin is Literal:
        return {type(value) for value in get_args(annotation)}
    found = origin or annotation
    return {found} if isinstance(found, type) and found is not NoneType else set()


def choices(annotation: Any) -> list[Any]:
    """Return the values that an annotation lists one by one; none if it does not."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [member.value for member in annotation]
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return [value for argument in get_args(annotation) for value in choices(argument)]
    return []


def limits(field: FieldInfo) -> str:
    """Return the limits of a number, as in `≥ 0, < 1`, the list of its values, or nothing."""
    listed = choices(field.annotation)
    if listed:
        return " | ".join(str(value) for value in listed)
    said = [
        f"{sign} {getattr(bound, key)}"
        for bound in field.metadata
        for kind, key, sign in _SIGNS
        if isinstance(bound, kind)
    ]
    said += [
        f"at least {bound.min_length}" for bound in field.metadata if isinstance(bound, MinLen) and bound.min_length > 1
    ]
    return ", ".join(said)


def implied(config: BaseModel) -> set[str]:
    """Return the keys whose values follow from a recipe or a policy: written out, they would outlast another one."""
    for key, sets in (("recipe", RECIPES), ("policy", POLICIES)):
        if key in type(config).model_fields:
            alone = type(config)(**{key: getattr(config, key)})
            named = {name for values in sets.values() for name in values}
            return {name for name in named if getattr(alone, name) == getattr(config, name)}
    return set()
