"""What an option can hold: each kind reads text or a TOML value, writes it back, and says why it refuses one.

Not here: hosts and addresses (`network_kinds`), which options there are (`config.options`), where a value came from
(`config.layers`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from netmap_actors.errors import escape
from netmap_actors.finite import is_number
from netmap_actors.runtime_paths import MAX_SOCKET_PATH

__all__ = [
    "BadValue",
    "Boolean",
    "Choice",
    "Directory",
    "Duration",
    "File",
    "Number",
    "OptionKind",
    "SecretSource",
    "Size",
    "Tags",
    "Text",
    "Written",
    "absolute",
    "read_text",
    "show_duration",
    "show_size",
]

_T = TypeVar("_T")

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+"
_DURATION_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h|d)"
_SIZES = {
    "": 1,
    "B": 1,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_SIZE = r"(\d+)\s*([A-Za-z]*)"
_TAG = r"tag:[A-Za-z][A-Za-z0-9-]{0,62}"
_ENVIRONMENT_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_MAX_BITS = 64
_MAX_TEXT = 4096


class BadValue(ValueError):
    """The value cannot be used; the text says why, and never repeats what could be a secret."""


class OptionKind(Protocol[_T]):
    """How one kind of option is read and written."""

    @property
    def metavar(self) -> str:
        """What stands for the value in `--help`."""

    def parse(self, given: object, base: Path) -> _T:
        """The value behind text (flag, environment) or a TOML value; relative paths start at `base`.

        Raises BadValue.
        """

    def show(self, value: _T) -> str:
        """The value as one would write it behind a flag."""

    def toml(self, value: _T) -> str:
        """The value as TOML."""

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the TOML value."""


def read_text(given: object) -> str:
    """Text of reasonable length that can be printed. Raises BadValue."""
    if not isinstance(given, str):
        raise BadValue(f"text in quotes is expected, not {_type_name(given)}")
    if len(given) > _MAX_TEXT:
        raise BadValue(f"longer than {_MAX_TEXT} characters")
    if any(not character.isprintable() for character in given):
        raise BadValue("it holds characters that cannot be printed")
    return given


def _demand_reasonable(given: object) -> None:
    """Raises BadValue for a number that no bound holds, or that could be neither turned into a float nor shown."""
    if isinstance(given, int) and given.bit_length() > _MAX_BITS:
        raise BadValue("the number is too large")
    if isinstance(given, float) and not is_number(given):
        raise BadValue(f"{given} is not a finite number")


def _type_name(given: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", list: "an array", dict: "a table"}
    return names.get(type(given), f"a {type(given).__name__}")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class Written:
    """What most kinds share: TOML is the text in quotes."""

    def show(self, value: Any) -> str:
        return str(value)

    def toml(self, value: Any) -> str:
        return _quoted(self.show(value))

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


class Text(Written, msgspec.Struct, frozen=True):
    """Any printable text; empty means not set."""

    metavar: str = "TEXT"

    def parse(self, given: object, base: Path) -> str:  # noqa: ARG002
        return read_text(given)


class Choice(Written, msgspec.Struct, frozen=True):
    """One of a few words."""

    words: tuple[str, ...]
    off_and_on: tuple[str, str] | None = None
    """What false and true stand for, if they may be said."""

    @property
    def metavar(self) -> str:
        return "|".join(self.words)

    def parse(self, given: object, base: Path) -> str:  # noqa: ARG002
        if isinstance(given, bool) and self.off_and_on is not None:
            return self.off_and_on[given]
        word = read_text(given)
        if word not in self.words:
            raise BadValue(f"{escape(word, 60)!r} is none of {', '.join(self.words)}")
        return word

    def schema(self) -> dict[str, Any]:
        return {"enum": [*self.words, *([] if self.off_and_on is None else [False, True])]}


class Boolean(Written, msgspec.Struct, frozen=True):
    """True or false."""

    metavar: str = "BOOLEAN"

    def parse(self, given: object, base: Path) -> bool:  # noqa: ARG002
        if isinstance(given, bool):
            return given
        word = given.lower() if isinstance(given, str) else ""
        if word not in _TRUE + _FALSE:
            raise BadValue("true or false is expected")
        return word in _TRUE

    def show(self, value: bool) -> str:
        return "true" if value else "false"

    def toml(self, value: bool) -> str:
        return self.show(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Number(Written, msgspec.Struct, frozen=True):
    """A number within bounds."""

    minimum: float
    maximum: float
    whole: bool = False

    @property
    def metavar(self) -> str:
        return "INTEGER" if self.whole else "NUMBER"

    def parse(self, given: object, base: Path) -> float:  # noqa: ARG002
        if isinstance(given, bool) or not isinstance(given, int | float | str):
            raise BadValue(f"a number is expected, not {_type_name(given)}")
        _demand_reasonable(given)
        try:
            value = int(given) if self.whole and not isinstance(given, float) else float(given)
            _demand_reasonable(value)
        except ValueError:
            raise BadValue(
                f"{escape(str(given), 60)!r} is not a{' whole' if self.whole else ''} number"
            ) from None
        if self.whole and isinstance(given, float):
            raise BadValue("a whole number is expected")
        if not self.minimum <= value <= self.maximum:
            raise BadValue(f"{value:g} is not between {self.minimum:g} and {self.maximum:g}")
        return value

    def show(self, value: float) -> str:
        return f"{value:g}" if not self.whole else str(value)

    def toml(self, value: float) -> str:
        return self.show(value)

    def schema(self) -> dict[str, Any]:
        kind = "integer" if self.whole else "number"
        return {"type": kind, "minimum": self.minimum, "maximum": self.maximum}


class Duration(Written, msgspec.Struct, frozen=True):
    """Seconds, written "90s", "10m" or "1h30m"; a bare number is seconds. With `off`, 0 stands for it."""

    minimum: float
    maximum: float
    off: bool = False

    @property
    def metavar(self) -> str:
        return "DURATION|off" if self.off else "DURATION"

    def parse(self, given: object, base: Path) -> float:  # noqa: ARG002
        value = self._seconds(given)
        if value is None or (self.off and value == 0):
            if not self.off:
                raise BadValue("it cannot be switched off")
            return 0.0
        if not self.minimum <= value <= self.maximum:
            low, high = show_duration(self.minimum), show_duration(self.maximum)
            raise BadValue(f"{show_duration(value)} is not between {low} and {high}")
        return value

    def show(self, value: float) -> str:
        return "off" if self.off and value == 0 else show_duration(value)

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "number"], "examples": ["90s", "10m", *(["off"] if self.off else [])]}

    def _seconds(self, given: object) -> float | None:
        if isinstance(given, bool):
            if given:
                raise BadValue('a duration such as "90s" is expected, not true')
            return None
        if isinstance(given, int | float):
            _demand_reasonable(given)
            return float(given)
        if not isinstance(given, str):
            raise BadValue(f'a duration such as "90s" is expected, not {_type_name(given)}')
        text = given.strip().lower()
        if text == "off":
            return None
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
        if not re.fullmatch(_DURATION, text):
            example = '"90s", "10m" or "1h30m"' + (' or "off"' if self.off else "")
            raise BadValue(f"{escape(given, 60)!r} is not a duration such as {example}")
        return sum(float(number) * _UNITS[unit] for number, unit in re.findall(_DURATION_PART, text))


def show_duration(seconds: float) -> str:
    """The shortest exact way to write it: 90 -> "90s", 600 -> "10m", 0.25 -> "250ms"."""
    if 0 < seconds < 1:
        return f"{_digits(seconds * 1000)}ms"
    # A bigger unit only where it is whole and more than two of it: 120s is usual.
    for unit in ("d", "h", "m"):
        if seconds > 2 * _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:g}{unit}"
    return f"{_digits(seconds)}s"


def _digits(number: float) -> str:
    """The shortest text that reads back as this number."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


class Size(Written, msgspec.Struct, frozen=True):
    """Bytes, written "256MiB"; a bare number is bytes."""

    minimum: int
    maximum: int
    metavar: str = "SIZE"

    def parse(self, given: object, base: Path) -> int:  # noqa: ARG002
        if isinstance(given, bool) or not isinstance(given, int | str):
            raise BadValue(f'a size such as "256MiB" is expected, not {_type_name(given)}')
        _demand_reasonable(given)
        match = re.fullmatch(_SIZE, str(given).strip())
        unit = _SIZES.get(match.group(2).upper()) if match else None
        if match is None or unit is None or len(match.group(1)) > 15:
            raise BadValue(f'{escape(str(given), 60)!r} is not a size such as "256MiB"')
        value = int(match.group(1)) * unit
        if not self.minimum <= value <= self.maximum:
            raise BadValue(
                f"{show_size(value)} is not between {show_size(self.minimum)} and {show_size(self.maximum)}"
            )
        return value

    def show(self, value: int) -> str:
        return show_size(value)

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "integer"], "examples": ["256MiB"]}


def show_size(value: int) -> str:
    """The shortest exact way to write it: 268435456 -> "256MiB"."""
    for unit in ("GiB", "MiB", "KiB"):
        factor = _SIZES[unit.upper()]
        if value >= factor and value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


class Tags(msgspec.Struct, frozen=True):
    """ACL tags: "tag:web,tag:db" or an array."""

    metavar: str = "TAG,…"

    def parse(self, given: object, base: Path) -> tuple[str, ...]:  # noqa: ARG002
        words = given.split(",") if isinstance(given, str) else given
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise BadValue('an array of tags such as ["tag:netmap-observer"] is expected')
        tags = [word.strip() for word in words if word.strip()]
        for tag in tags:
            if not re.fullmatch(_TAG, tag):
                raise BadValue(f'{escape(tag, 60)!r} is not a tag such as "tag:netmap-observer"')
        return tuple(dict.fromkeys(tags))

    def show(self, value: tuple[str, ...]) -> str:
        return ",".join(value)

    def toml(self, value: tuple[str, ...]) -> str:
        return f"[{', '.join(map(_quoted, value))}]"

    def schema(self) -> dict[str, Any]:
        return {"type": ["array", "string"], "items": {"type": "string", "pattern": "^tag:"}}


class SecretSource(Written, msgspec.Struct, frozen=True):
    """Where a secret is read from: `file:PATH` or `env:NAME`. The secret itself is refused, unrepeated."""

    metavar: str = "file:PATH|env:NAME"

    def parse(self, given: object, base: Path) -> str:
        text = given.strip() if isinstance(given, str) else None
        if text == "":
            return ""
        how, separator, rest = (text or "").partition(":")
        if separator and how == "file" and rest:
            return f"file:{absolute(read_text(rest), base)}"
        if separator and how == "env" and re.fullmatch(_ENVIRONMENT_NAME, rest):
            return f"env:{rest}"
        raise BadValue(
            "it has to say where the key is, as file:PATH or env:NAME; a key itself belongs neither into a "
            "command line nor into the configuration (what was given is not shown here)"
        )

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^(file:.+|env:[A-Za-z_][A-Za-z0-9_]*)?$"}


def absolute(text: str, base: Path) -> str:
    """An absolute path; `~` is the home directory."""
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise BadValue(f"{escape(text, 100)!r}: {error}") from None
    # Not resolved: a link in the path is the user's choice and may change.
    whole = base / path
    if not whole.is_absolute():
        raise BadValue(
            f"{escape(text, 100)!r} begins at the working directory, which was removed; write all of the path"
        )
    if not str(whole).isprintable():
        raise BadValue(
            f"{escape(text, 100)!r} is below a directory whose name cannot be printed; choose another place"
        )
    return str(whole)


class File(Written, msgspec.Struct, frozen=True):
    """A path; empty means not set."""

    metavar: str = "FILE"

    def parse(self, given: object, base: Path) -> str:
        text = read_text(given)
        return absolute(text, base) if text else ""


class Directory(Written, msgspec.Struct, frozen=True):
    """A directory. `room` bytes are needed for the longest socket path below it (0: no sockets)."""

    room: int = 0
    flag: str = ""
    metavar: str = "DIR"

    def parse(self, given: object, base: Path) -> str:
        text = read_text(given)
        if not text:
            raise BadValue("a directory is expected")
        path = absolute(text, base)
        length = len(os.fsencode(path))
        if self.room and length + self.room > MAX_SOCKET_PATH:
            raise BadValue(
                f"the path is {length} bytes long; a socket's path may have {MAX_SOCKET_PATH}, of which "
                f"{self.room} are needed below it: choose a shorter {self.flag}"
            )
        return path
