"""What is put in the place of one original, by its kind or by what it looks like, and of all originals in a text.

Not here: which member of a document holds what (`fields`).
"""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import TYPE_CHECKING, Final

from netmap_actors.pseudonyms import shapes
from netmap_actors.pseudonyms.addresses import AddressPseudonyms
from netmap_actors.pseudonyms.words import NumberedWords

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Originals"]

_FIRST_NUMBER: Final = 1001
_MAX_DIGITS: Final = 19
"""Of an int64."""
_PLURALS: Final = {
    "t": "tags", "g": "groups", "s": "services", "capability": "capabilities", "path": "parts of paths",
    "person": "people", "name": "parts of names",
}  # fmt: skip
_LABELS: Final = {"tag": "t", "group": "g", "svc": "s"}


class Originals:
    """The originals of one file and what stands for them. Hashes are keyed with `salt`, words are numbered."""

    def __init__(self, salt: bytes, harmless: frozenset[str]) -> None:
        self._salt = hashlib.blake2b(salt).digest()
        self._harmless = harmless
        self._addresses = AddressPseudonyms(self._salt[:32])
        self._words = NumberedWords()
        self._numbers: dict[int, int] = {}
        self._keys: set[str] = set()
        self._opaque: set[str] = set()
        # The same few, in every node.
        is_token = functools.lru_cache(maxsize=1024)(self._is_token)
        self.by_kind: Mapping[str, Callable[[str], str]] = {
            "address": self._filter_address,
            "amount": self.anything,
            "bytes": lambda text: self._base64(text) if text else "",
            "capability": self.capability,
            "chunk": lambda text: text if text == "base" else self._word(text, "filter"),
            "control": lambda text: text if text == "embedded" else self.anything(text),
            "login": self._login,
            "machine": lambda text: text if text in shapes.ARCHITECTURES else self.anything(text),
            "name": self.name,
            "number": self._stable,
            "person": lambda text: self._word(text, "person"),
            "place": self.anything,
            "prose": lambda text: self._word(text, "text"),
            "region_id": lambda text: text if shapes.REGION_ID.fullmatch(text) else self.anything(text),
            "region": lambda text: self._word(text, "region"),
            "same": lambda text: text,
            "stable": self._stable,
            "tag": self._tag,
            "token": lambda text: text if is_token(text) else self.anything(text),
            "unix": lambda text: text if text == "=" else self._word(text, "login"),
        }
        """What replaces a text of a kind (`fields`)."""

    @property
    def counts(self) -> dict[str, int]:
        """How many different originals were replaced, by kind."""
        counted = {
            "keys": len(self._keys),
            "other secrets": len(self._opaque),
            "addresses": self._addresses.count,
            "ids": len(self._numbers),
            **{_PLURALS.get(kind, f"{kind}s"): number for kind, number in self._words.counts.items()},
        }
        return {kind: number for kind, number in counted.items() if number}

    def anything(self, text: str) -> str:
        """By what it looks like; any other text is replaced as a whole."""
        if text in shapes.SAME_WORDS or shapes.TIME.fullmatch(text):
            return text
        for pattern, replace in (
            (shapes.KEY, self._key),
            (shapes.SECRET, lambda given: self._word(given, "secret")),
            (shapes.URL, self._url),
            (shapes.TAG, self._tag),
            (shapes.MAC, self._mac),
            (shapes.SSH_KEY, self._ssh_key),
        ):
            if pattern.fullmatch(text):
                return replace(text)
        if (address := self._addresses.one(text)) is not None:
            return address
        if "@" in text:
            return self._login(text)
        if shapes.HOST.fullmatch(text):
            return self.name(text)
        if shapes.BASE64.fullmatch(text):
            return self._base64(text)
        return self._digits(text) if shapes.DIGITS.fullmatch(text) else self._word(text, "text")

    def text(self, text: str) -> str:
        """With pseudonyms for all originals that were seen so far, and for what looks like one."""
        out = []
        done = 0
        for found in shapes.IN_TEXT.finditer(text):
            made = self._found(found.lastgroup or "", found[0])
            # What is none by itself may be a part of a name.
            if made is not None:
                out += [self._words.replaced(text[done : found.start()]), made]
                done = found.end()
        out.append(self._words.replaced(text[done:]))
        return "".join(out)

    def several(self, text: str) -> list[str]:
        """As `by_kind["address"]`, with all the prefixes that stand for a range."""
        found = self._addresses.several(text)
        return [self._filter_address(text)] if found is None else found

    def number(self, value: int) -> int:
        """The id of a node or a user; 0 is none."""
        if value == 0:
            return 0
        return self._numbers.setdefault(value, _FIRST_NUMBER + len(self._numbers))

    def name(self, text: str) -> str:
        """The name of a host, or a domain, label by label: what is in a domain stays in it."""
        if (address := self._addresses.one(text)) is not None:
            return address
        bare = text.rstrip(".").casefold()
        if bare.endswith(shapes.PUBLIC_HOSTS) or bare == "tailscale.com":
            return text
        if shapes.TAG.fullmatch(text):
            return self._tag(text)
        kept = next((suffix for suffix in shapes.PUBLIC_SUFFIXES if bare.endswith(suffix)), "")
        end = len(text.rstrip(".")) - len(kept)
        labels = text[:end].split(".")
        return ".".join(self._word(one, "name", in_text=not one.isdecimal()) for one in labels) + text[end:]

    def capability(self, text: str) -> str:
        """A capability of a node or of a grant; those that Tailscale has named stay."""
        if shapes.SAME_CAPABILITY.fullmatch(text):
            return text
        found = shapes.CAPABILITY.fullmatch(text)
        if found is None:
            return self.anything(text)
        return f"{found['scheme'] or ''}{self.name(found['host'])}/{self._word(found['rest'], 'capability')}"

    def path(self, text: str) -> str:
        """A path, of a file or in a URL."""
        parts = []
        own = False
        for part in text.split("/"):
            same = not part or shapes.SAME_SEGMENT.fullmatch(part) or (own and shapes.MODULE.fullmatch(part))
            parts.append(part if same else self._segment(part))
            own = bool(same) and (own or part in {"netmap_supervisor", "netmap_actors"})
        return "/".join(parts)

    def _segment(self, part: str) -> str:
        return self._key(part) if shapes.KEY.fullmatch(part) else self._word(part, "path")

    def _found(self, kind: str, text: str) -> str | None:
        """What replaces this part of a text, which looks like this kind; None if it is none."""
        match kind:
            case "address":
                inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
                found = self._addresses.one(inner)
                return None if found in {None, inner} else text.replace(inner, str(found))
            case "host":
                return self.name(text) if self._is_host(text) else None
            case "same":
                return text
            case "stable":
                return self._stable(text)
            case "number":
                known = self._numbers.get(int(text))
                return None if known is None else str(known)
            case "path":
                return self.path(text)
            case "url":
                bare = text.rstrip(".,;:)")  # of the sentence
                return self.anything(bare) + text[len(bare) :]
            case "login" if text.endswith(shapes.UNITS):
                return None
        return self.anything(text)

    def _is_host(self, text: str) -> bool:
        """Whether dotted words are a host, and no version, file, module or option."""
        labels = text.rstrip(".").split(".")
        if any(self._words.knows(label) for label in labels if not label.isdecimal()):
            return True
        return (
            labels[-1][0].isalpha()
            and len(labels[-1]) > 1
            and text.rstrip(".") not in self._harmless
            and not shapes.SAME_SEGMENT.fullmatch(text.rstrip("."))
        )

    def _is_token(self, text: str) -> bool:
        """Whether it is a program's word or version, and no host, address or id."""
        if not shapes.TOKEN.fullmatch(text) or self._addresses.several(text) is not None:
            return False
        looks = (
            [text] if shapes.VERSION.fullmatch(text) else [one[0] for one in shapes.IN_TEXT.finditer(text)]
        )
        return all(shapes.VERSION.fullmatch(one) and self._addresses.one(one) is None for one in looks)

    def _word(self, text: str, kind: str, shown: str = "{}", *, in_text: bool = True) -> str:
        return text if text in shapes.SAME_WORDS else self._words.word(text, kind, shown, in_text=in_text)

    def _filter_address(self, text: str) -> str:
        if text.startswith("cap:"):
            return "cap:" + self.capability(text.removeprefix("cap:"))
        return self.anything(text)

    def _digest(self, what: str, original: str, length: int) -> bytes:
        given = f"{what} {original}".encode("utf-8", "surrogatepass")
        return hashlib.shake_256(self._salt + given).digest(length)

    def _key(self, text: str) -> str:
        prefix, colon, digits = text.rpartition(":")
        if digits.strip("0"):  # the zero key is none
            self._keys.add(digits.lower())
            digits = self._digest("key", digits.lower(), len(digits)).hex()[: len(digits)]
        return prefix + colon + digits

    def _base64(self, text: str) -> str:
        self._opaque.add(text)
        # Whole groups of three bytes, so that any reader decodes it.
        return base64.b64encode(self._digest("base64", text, (len(text) + 3) // 4 * 3)).decode()

    def _ssh_key(self, text: str) -> str:
        kind, _, rest = text.partition(" ")
        return f"{kind} {self._base64(rest.partition(' ')[0])}"

    def _mac(self, text: str) -> str:
        self._opaque.add(text.lower())
        made = bytearray(self._digest("mac", text.lower(), 6))
        made[0] = made[0] & 0xFC | 0x02  # locally administered
        return text[2].join(f"{byte:02x}" for byte in made)

    def _digits(self, text: str) -> str:
        """An id in text is the same as the number."""
        return self._word(text, "text") if len(text) > _MAX_DIGITS else str(self.number(int(text)))

    def _stable(self, text: str) -> str:
        start = "id:" if text.startswith("id:") else ""
        rest = text.removeprefix(start)
        return start + (self._digits(rest) if shapes.DIGITS.fullmatch(rest) else self._word(rest, "node"))

    def _login(self, text: str) -> str:
        if shapes.TAG.fullmatch(text):
            return self._tag(text)
        user, at, domain = text.rpartition("@")
        return self._word(user, "user") + at + self.name(domain) if at else self._word(text, "user")

    def _tag(self, text: str) -> str:
        kind, colon, name = text.partition(":")
        if kind == "autogroup":
            return text
        if not colon:
            return self._word(text, "t")
        label = _LABELS.get(kind)
        return (
            self._word(text, label or "t", f"{kind}:{{}}" if label else "{}") if name or not label else text
        )

    def _url(self, text: str) -> str:
        found = shapes.URL.fullmatch(text)
        if found is None:
            return self._word(text, "text")
        host = found["host"]
        inner = host.strip("[]")
        made = self._addresses.one(inner) or self.name(inner)
        user = self._word(found["user"], "user") + "@" if found["user"] else ""
        query = found["query"] or ""
        return (
            f"{found['scheme']}://{user}{host.replace(inner, made) if inner else ''}{found['port'] or ''}"
            f"{self.path(found['path'])}{query[:1]}{self._word(query[1:], 'text')}"
        )
