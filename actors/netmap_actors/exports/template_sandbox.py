"""Renders a user's template over the netmap with Jinja2, in its sandbox; the one module that imports Jinja2.

Not here: the values (`template_values`), the process with its limits of time and memory (`confinement.bounded_child`).
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from netmap_actors.errors import escape
from netmap_actors.exports.identifiers import identifier
from netmap_actors.exports.remarks import CannotExport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

__all__ = ["MAX_OUTPUT", "render"]

MAX_OUTPUT: Final = 64 << 20
"""Characters of what a template makes."""
_OTHER: Final = re.compile(r"[^A-Za-z0-9._-]")


def render(
    name: str, source: Callable[[str], str | None], values: dict[str, Any] | None, *, most: int | None = None
) -> str:
    """The text of the template of this name, of at most `most` characters, or MAX_OUTPUT.

    `source(name)`: the text of a template, also of those it includes; None for none. `values`: None to look only
    whether it can be compiled. Raises CannotExport.
    """
    # In configuration files a line that holds nothing but a block is to leave nothing.
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FunctionLoader(lambda wanted: _loaded(source, wanted)),
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "addresses": _addresses,
        "endpoint": _endpoint,
        "identifier": lambda word: identifier(str(word)),
        "shell": lambda word: shlex.quote(str(word)),
        "tagged": _tagged,
        "word": _word,
    }
    pieces: list[str] = []
    size, limit = 0, MAX_OUTPUT if most is None else most
    try:
        template = environment.get_template(name)
        for piece in () if values is None else template.generate(values):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise CannotExport(f"cannot render {name}: its text is longer than {limit >> 20} MiB")
    except jinja2.TemplateSyntaxError as error:
        raise CannotExport(
            f"cannot render {escape(error.name or name)}: line {error.lineno}: {escape(str(error.message))}"
        ) from None
    except jinja2.TemplateNotFound as error:
        raise CannotExport(
            f"cannot render {name}: there is no {escape(str(error), 80)} in its directory"
        ) from None
    except (
        jinja2.TemplateError,
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        where, line = _place(error.__traceback__, name)
        raise CannotExport(f"cannot render {where}: line {line}: {escape(str(error))}") from None
    except RecursionError:
        raise CannotExport(f"cannot render {name}: its templates include each other without end") from None
    return "".join(pieces)


def _loaded(source: Callable[[str], str | None], name: str) -> tuple[str, str, Callable[[], bool]] | None:
    text = source(name)
    return None if text is None else (text, f"{_FILE}{name}", lambda: True)


_FILE: Final = "template:"


def _place(traceback: TracebackType | None, name: str) -> tuple[str, int]:
    """The innermost template and its line (Jinja2 makes tracebacks of the lines of the templates)."""
    line = 0
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file.startswith(_FILE):
            name, line = file.removeprefix(_FILE), traceback.tb_lineno
        traceback = traceback.tb_next
    return name, line


def _word(text: object) -> str:
    """A word that no configuration file takes apart: ASCII letters, digits, ".", "_" and "-", all else as "_"."""
    plain = _OTHER.sub("_", str(text))
    return plain if plain[:1].isalnum() or plain.startswith("_") else f"_{plain}"


def _addresses(nodes: Iterable[dict[str, Any]], version: int) -> list[str]:
    """The IPv4 (`version` 4) or IPv6 (6) addresses of these nodes, each once."""
    return list(dict.fromkeys(address for node in nodes for address in node[f"ipv{version}"]))


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{int(port)}" if ":" in address else f"{address}:{int(port)}"


def _tagged(nodes: Iterable[dict[str, Any]], tag: str) -> list[dict[str, Any]]:
    """Those of these nodes that the tag's `nodes` has."""
    wanted = tag.removeprefix("tag:")
    return [
        node
        for node in nodes
        if wanted in node["tag_names"] and node["address"] and not (node["expired"] or node["shared_in"])
    ]
