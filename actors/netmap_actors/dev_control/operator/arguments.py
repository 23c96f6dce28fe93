"""Checks the arguments of a command against its annotations: a str is no list, an int no bool."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.errors import NetmapError, escape
from netmap_actors.finite import is_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["BadArgument", "check_arguments"]

_TYPES: dict[str, Any] = {
    "bool": bool,
    "bool | None": bool | None,
    "float": float,
    "float | None": float | None,
    "int": int,
    "str": str,
    "str | Mapping[str, Any]": str | dict[str, Any],
    "str | int": str | int,
    "Sequence[str]": list[str],
    "Mapping[str, Any] | None": dict[str, Any] | None,
}
"""Types of the arguments of commands, as they are annotated."""


class BadArgument(NetmapError):
    """An argument is missing, unknown, or of another type."""


def check_arguments(method: Callable[..., object], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as this method of `Commands` takes them. Raises BadArgument."""
    command = method.__name__
    parameters = {name: one for name, one in inspect.signature(method).parameters.items() if name != "self"}
    for name in given:
        if name not in parameters:
            raise BadArgument(f"{command} takes {', '.join(parameters) or 'nothing'}, not {escape(name, 40)}")
    for name, parameter in parameters.items():
        if name not in given and parameter.default is parameter.empty:
            raise BadArgument(f"{command} needs {name}")
    arguments = {}
    for name, value in given.items():
        try:
            arguments[name] = msgspec.convert(value, _TYPES[parameters[name].annotation])
            if isinstance(arguments[name], float) and not is_number(arguments[name]):
                raise BadArgument(f"{name} of {command}: {value} is not a finite number")
        except msgspec.ValidationError as error:
            raise BadArgument(
                f"{name} of {command}: {escape(str(error))}{_hint(name, value, parameters[name].annotation)}"
            ) from None
    return arguments


def _hint(name: str, value: object, annotation: str) -> str:
    """How to write a text that reads as another JSON value."""
    if annotation != "str" or not isinstance(value, bool | int | float):
        return ""
    return f"; to give it as a text, write {name}='\"{msgspec.json.encode(value).decode()}\"'"
