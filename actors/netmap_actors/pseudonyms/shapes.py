"""What texts look like: keys, hosts, addresses, people; and what every machine has and may stay."""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "ARCHITECTURES",
    "BASE64",
    "CAPABILITY",
    "DIGITS",
    "HOST",
    "IDENTIFIER",
    "IN_TEXT",
    "KEY",
    "MAC",
    "MODULE",
    "PUBLIC_HOSTS",
    "PUBLIC_SUFFIXES",
    "REGION_ID",
    "SAME_CAPABILITY",
    "SAME_SEGMENT",
    "SAME_WORDS",
    "SECRET",
    "SSH_KEY",
    "TAG",
    "TIME",
    "TOKEN",
    "UNITS",
    "URL",
    "VERSION",
]

_KEY: Final = (
    r"(?:(?:nodekey|mkey|discokey|privkey|nlpub|nlpriv|tlpub|chalpub):[0-9a-fA-F]+"
    r"|(?:[a-z][a-z0-9-]{0,20}:)?[0-9a-fA-F]{32,})"
)
_AUTH: Final = r"(?:tskey|hskey)-[\w-]+"
_SSH_KEY: Final = r"(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]{16,}=*"
_TAG: Final = r"(?:tag|group|svc|autogroup):[^\s\"',;:]+"
_MAC: Final = r"(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}"
_HOST: Final = r"[^\W_](?:[\w-]*\w)?(?:\.(?:\w(?:[\w-]*\w)?))+\.?"

KEY: Final = re.compile(_KEY)
SECRET: Final = re.compile(_AUTH)
SSH_KEY: Final = re.compile(_SSH_KEY + "(?: .*)?")
TAG: Final = re.compile(_TAG)
MAC: Final = re.compile(_MAC)
HOST: Final = re.compile(_HOST)
DIGITS: Final = re.compile("[0-9]+")
IDENTIFIER: Final = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")
BASE64: Final = re.compile("(?:[A-Za-z0-9+/]{4}){4,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
TOKEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+()~/ -]{0,63}")
"""What the harmless members of a document may hold."""
VERSION: Final = re.compile(r"(?:go|v)?[0-9]+(?:\.[0-9]+)+(?:[._-][\w.-]*)?|[\w-]+(?:\.[0-9][\w-]*)+")
"""Dotted words of a version: "6.8.5-301.fc40.x86_64", "go1.26.6"."""
REGION_ID: Final = re.compile("[0-9]{1,9}(?:-v[46])?")
URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<user>[^/@?#]*)@)?"
    r"(?P<host>\[[^\]/]*\]|[^/:?#]*)(?P<port>:[0-9]+)?(?P<path>[^?#]*)(?P<query>[?#].*)?",
    re.DOTALL,
)
CAPABILITY: Final = re.compile(rf"(?P<scheme>https://)?(?P<host>{_HOST})/(?P<rest>.+)", re.DOTALL)
SAME_CAPABILITY: Final = re.compile(
    r"(?:https://)?tailscale\.com/[A-Za-z0-9._/?=&,-]{1,200}|[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
)
"""Attributes that Tailscale has named; those of others are of a domain."""

IN_TEXT: Final = re.compile(
    r"(?<![\w.-])(?P<same>netmap-supervisor)(?![\w-])"
    r"|(?<![A-Za-z0-9+.-])(?P<url>[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>\\]+)"
    rf"|(?<![\w-])(?P<secret>{_AUTH})"
    rf"|(?<!\w)(?P<key>{_KEY})(?!\w)"
    rf"|(?<!\w)(?P<ssh>{_SSH_KEY})"
    rf"|(?<!\w)(?P<tag>{_TAG})"
    r"|(?<![^\s@\"'<>=:/,;()\[\]{}])(?P<login>[^\s@\"'<>=:/,;()\[\]{}]+@[\w.-]*\w)"
    rf"|(?<!\w)(?P<mac>{_MAC})(?!\w)"
    r"|(?<![\w.])(?P<path>/(?:[\w.@+-]+/)*[\w.@+-]*\w)"
    r"|(?<![\w.:])(?P<address>\[?"
    r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|(?=[0-9a-fA-F.]*:[0-9a-fA-F.]*:)[0-9a-fA-F:.]*[0-9a-fA-F:])"
    r"(?:%\w+)?\]?(?:/[0-9]{1,3}|:[0-9]{1,5})?)(?!\w)"
    rf"|(?<![\w.-])(?P<host>{_HOST})(?!\w)"
    r"|(?<!\w)(?P<stable>n\w{2,20}(?:CNTRL|DEV))(?!\w)"
    r"|(?<![\w.])(?P<number>[0-9]{9,19})(?![\w.])"
    r"|(?<![\w+/=])(?P<base64>(?=[A-Za-z+/]*[0-9])[A-Za-z0-9+/]{40,}={0,2})(?![\w=])"
)
"""What is replaced in a text, whether it was seen before or not."""

PUBLIC_HOSTS: Final = (".tailscale.com",)
PUBLIC_SUFFIXES: Final = (
    ".beta.tailscale.net", ".ts.net", ".in-addr.arpa", ".ip6.arpa", ".com", ".net", ".org", ".example", ".invalid",
)  # fmt: skip
"""Ends of names that tell nothing."""
UNITS: Final = (".service", ".socket", ".slice", ".scope")
SAME_WORDS: Final = frozenset({"", "*", "localhost", "none", "root", "default"})
SAME_SEGMENT: Final = re.compile(
    r"(?:etc|var|lib|\.local|\.config|\.cache|run|usr|local|bin|sbin|home|root|tmp|opt|user|state|share|proc|sys|dev|cache|log|private|self|fs"
    "|cgroup|systemd|credentials|config|secrets|kubernetes|srv|mnt|null|fd|net|lib64|site-packages|encodings|asyncio"
    "|history|pub|control_connection|liveness|publisher|http_endpoint|history_writer|webhooks|nursery|supervisor"
    "|admin|seen|lock|lock\\.children|auth_key|keys|key|machine|map|ts2021|register|derp|metrics|events|healthz|readyz"
    "|netmap[-_](?:supervisor|actors)[\\w.@-]*|(?:system|user)\\.slice|user@[0-9]+\\.service"
    "|[a-z][a-z0-9_-]*\\.(?:py|sock|toml|sqlite3|service|socket)|python[0-9.]*|lib[a-z0-9]+\\.so[0-9.]*"
    "|history\\.sqlite3-(?:wal|shm)|r-[0-9a-f]{8}|[0-9]{1,7})"
)
"""Parts of paths that every machine may have, and names of files as this project, Python and systemd give them."""
MODULE: Final = re.compile("[a-z_]+(?:\\.py)?")
"""Below a package of this project."""
ARCHITECTURES: Final = frozenset(
    {
        "x86_64", "amd64", "i386", "i686", "386", "aarch64", "arm64", "arm", "armv5l", "armv6l", "armv7l", "mips",
        "mips64", "mipsle", "mips64le", "ppc64", "ppc64le", "riscv64", "s390x", "loong64", "loongarch64",
    }
)  # fmt: skip
