"""From pydantic's errors to problems that an admin can act on: the place in the file, and the nearest right key.

A wrong part does not hide what is wrong elsewhere: the rest is validated without it.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from enum import Enum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from stagesync.model.counting import counted
from stagesync.policy.document import Document, KeyPath, nearest

LONGEST_SHOWN = 80
MOST_ROUNDS = 20
"""What is left out may leave a gap that is wrong in turn, up to the whole document."""
EXPRESSIONS = ("check", "when", "where")
NO_STAND_INS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {}
FORMS: Mapping[str, str] = {
    "country": "the code of a country: two capital letters, such as DE",
    "api_version": "a version of the API, such as 67.0",
}
"""What is expected under keys whose values have a form, and are no names."""
Words = TypeVar("Words", bound=BaseModel)


def validate(
    document: Document, words: type[Words], stand_ins: Mapping[str, Callable[[Mapping[str, Any]], Any]] = NO_STAND_INS
) -> tuple[Document, Words]:
    """The document as its strict type, with the document to note further problems in.

    What is wrong is noted, and left out of both, so that what is right can be checked as well before all problems are
    raised at once. ``stand_ins`` say what stands for keys of the file without which nothing could be checked, where
    they were wrong. Raises ConfigurationError when too little is left.
    """
    if not isinstance(document.data, dict):
        document.problem((), f"is empty or not a mapping; it must start with '{next(iter(words.model_fields))}: ...'")
        document.raise_problems()
    rest, taken = document, set[KeyPath]()
    for _ in range(MOST_ROUNDS):
        try:
            return rest, words.model_validate(rest.data)
        except ValidationError as error:
            wrong = error.errors()
        places, instead = set[KeyPath](), dict[KeyPath, Any]()
        wrong_keys = {place[0] for place in taken if place}
        gone = {name for name in stand_ins if name in wrong_keys and not rest.data.get(name)}
        # What misses a part that was left out is wrong for no reason of its own.
        poorer = {rest.origin(place[:-1])[1] for place in taken} | ({()} if gone else set())
        for detail in wrong:
            path = _written(rest.data, detail["loc"])
            if path not in poorer:
                _note(rest, words, detail)
            number = len(taken) + len(instead)
            stand_in = _stand_in(words, detail, number)
            if stand_in is not None:
                instead[(*path, str(detail["loc"][-1]))] = stand_in
            elif detail["type"] == "too_short" and (filled := _filled(rest, words, path, taken, number)):
                instead |= filled
            else:
                places.add(path)
        if () in places:
            if not gone:
                break
            places -= {()}
            instead |= {(name,): stand_ins[name](rest.data) for name in gone}
        taken |= {rest.origin(place)[1] for place in places}
        rest = rest.without(places, instead)
        # Nobody wrote a stand-in, so that nothing is said of it.
        rest.doubtful |= {text for text in instead.values() if isinstance(text, str)}
    rest.raise_problems()
    raise AssertionError("a document that cannot be read has problems")


def _stand_in(words: type[BaseModel], detail: ErrorDetails, number: int) -> str | None:
    """A text for a missing one that nothing depends on, so that what stands beside it is looked at too."""
    if detail["type"] != "missing" or detail["loc"][-1] in EXPRESSIONS:
        return None
    wanted = _types_at(words, tuple(detail["loc"]))
    return f"missing-{number}" if str in wanted else None


def _filled(
    document: Document, words: type[BaseModel], path: KeyPath, taken: Set[KeyPath], number: int
) -> dict[KeyPath, Any]:
    """An entry on which nothing depends, for a mapping that may not be empty and is since something was left out."""
    _, place = document.origin(path)
    if not any(one[: len(place)] == place and len(one) == len(place) + 1 for one in taken):
        return {}
    name = f"missing-{number}"
    for candidate in _types_at(words, (*path, name)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            fields = {key: info for key, info in candidate.model_fields.items() if info.is_required()}
            entry = {key: _any_of(info.annotation, name) for key, info in fields.items()}
            # Something that asks for more than texts would be wrong itself, and people would read of it.
            with suppress(ValidationError):
                candidate.model_validate(entry)
                return {(*path, name): entry}
    return {}


def _any_of(annotation: Any, name: str) -> str:
    """Some value of an enumeration, or a text."""
    for candidate in _unwrapped(annotation):
        if isinstance(candidate, type) and issubclass(candidate, Enum):
            return str(next(iter(candidate)).value)
    return name


def _note(document: Document, words: type[BaseModel], detail: ErrorDetails) -> None:
    path = _written(document.data, detail["loc"])
    kind, last = detail["type"], path[-1] if path else ""
    if kind == "extra_forbidden":
        known = _fields_at(words, path[:-1], detail["loc"])
        hint = nearest(str(last), known) or f"; there {'is' if len(known) == 1 else 'are'} {', '.join(known)}"
        document.problem(path, f"unknown key '{last}'{hint}", key=True)
    elif kind == "missing":
        document.problem(tuple(detail["loc"][:-1]), f"'{detail['loc'][-1]}' is missing here")
    elif kind in ("enum", "literal_error"):
        choices = _choices(words, path) or [str(detail.get("ctx", {}).get("expected", ""))]
        hint = nearest(_shortened(detail["input"]), choices)
        message = f"'{_shortened(detail['input'])}' is not one of {', '.join(choices)}{hint}"
        document.problem(path, message, key=detail["loc"][-1:] == ("[key]",))
    elif kind == "union_tag_invalid":
        choices = [tag.strip("' ") for tag in detail["ctx"]["expected_tags"].split(",")]
        message = f"'{_shortened(detail['ctx']['tag'])}' is not one of {', '.join(choices)}"
        document.problem(
            (*path, detail["ctx"]["discriminator"].strip("'")), message + nearest(detail["ctx"]["tag"], choices)
        )
    elif kind == "union_tag_not_found":
        document.problem(path, f"{detail['ctx']['discriminator']} is missing here")
    elif kind == "string_pattern_mismatch":
        name = _shortened(detail["input"])
        of_name = "a name: letters, digits, - and _, beginning with a letter, at most 63"
        message = f"'{name}' is not {FORMS.get(str(last), of_name)}"
        document.problem(path, message, key=detail["loc"][-1:] == ("[key]",))
    elif kind == "value_error":
        document.problem(path, str(detail["ctx"]["error"]))
    elif kind in ("string_type", "dict_type", "list_type", "model_type", "bool_type", "bool_parsing"):
        wanted = {
            "string": "text",
            "dict": "a mapping",
            "list": "a list",
            "model": "a mapping",
            "bool": "true or false",
        }
        # Where a mapping belongs, people also write a secret: what they wrote is not repeated.
        found = "text" if isinstance(detail["input"], str) and kind == "model_type" else _named(detail["input"])
        remedy = " (in quotes it is text)" if kind == "string_type" and isinstance(detail["input"], int | float) else ""
        document.problem(path, f"{wanted[kind.split('_')[0]]} is expected here, not {found}{remedy}")
    else:
        document.problem(path, _limit(detail) or detail["msg"][:1].lower() + detail["msg"][1:])


def _limit(detail: ErrorDetails) -> str | None:
    """What is wrong with a number, or with how much there is of something; None for all else."""
    given, limits = _named(detail["input"]), detail.get("ctx", {})
    match detail["type"]:
        case "int_type" | "int_parsing" | "int_from_float":
            return f"a whole number is expected here, not {given}"
        case "float_type" | "float_parsing":
            return f"a number is expected here, not {given}"
        case "less_than_equal":
            return f"{given} is too much; {limits['le']:g} is the most"
        case "greater_than_equal":
            return f"{given} is too little; {limits['ge']:g} is the least"
        case "string_too_short":
            return "something must be written here; it is an empty text"
        case "string_too_long":
            return f"the text is longer than {counted(limits['max_length'], 'character')}"
        case "too_short":
            return "at least one entry is expected here"
    return None


def _written(data: Any, location: Sequence[str | int]) -> KeyPath:
    """The part of pydantic's location that stands in the file (it adds names of union members and ``[key]``)."""
    path: list[str | int] = []
    for step in location:
        if isinstance(data, dict) and step in data:
            data = data[step]
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            continue
        path.append(step)
    return tuple(path)


def _fields_at(words: type[BaseModel], path: KeyPath, location: Sequence[str | int]) -> list[str]:
    """The keys at a place; of several kinds of entry those of the kind that pydantic's location names."""
    found = [one for one in _types_at(words, path) if isinstance(one, type) and issubclass(one, BaseModel)]
    meant = [one for one in found if any(_is_tag(info.annotation, location) for info in one.model_fields.values())]
    return next((list(one.model_fields) for one in (*meant, *found)), [])


def _is_tag(annotation: Any, location: Sequence[str | int]) -> bool:
    return get_origin(annotation) is Literal and bool({*get_args(annotation)} & {*location})


def _choices(words: type[BaseModel], path: KeyPath) -> list[str]:
    for candidate in _types_at(words, path):
        if isinstance(candidate, type) and issubclass(candidate, Enum):
            return [str(member.value) for member in candidate]
        if get_origin(candidate) is Literal:
            return [str(choice) for choice in get_args(candidate)]
    return []


def _types_at(words: Any, path: KeyPath) -> list[Any]:
    """The types that may stand at this place, walking through mappings, lists and unions."""
    current = [words]
    for step in path:
        following: list[Any] = []
        for candidate in current:
            following += _unwrapped(_step(candidate, step))
        current = following
    return current


def _step(candidate: Any, step: str | int) -> Any:
    if isinstance(candidate, type) and issubclass(candidate, BaseModel):
        info = candidate.model_fields.get(str(step))
        return info.annotation if info else None
    arguments = get_args(candidate)
    if get_origin(candidate) in (dict, Mapping) and len(arguments) == 2:
        # An invalid key is reported at the key itself, so its own type counts as well.
        return Union[arguments[0], arguments[1]]  # noqa: UP007  (built at run time from types)
    if get_origin(candidate) is list and arguments:
        return arguments[0]
    return None


def _unwrapped(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return [one for part in get_args(annotation) for one in _unwrapped(part)]
    if hasattr(annotation, "__metadata__"):
        return _unwrapped(annotation.__origin__)
    return [annotation] if annotation not in (None, type(None)) else []


def _named(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return f"'{str(value).lower()}'"
        case dict():
            return "a mapping"
        case list():
            return "a list"
    return f"'{_shortened(value)}'"


def _shortened(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
