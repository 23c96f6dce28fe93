"""HTTP/1.1 with mistakes: messages by the grammar of RFC 9112 with some wrong parts.

The wrong ones are those that request smuggling is made of: line ends, lengths, codings, chunks, hosts, targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

__all__ = ["request", "response"]

CRLF = b"\r\n"
ENDS = [b"\n", b"\r", b"\r\r\n", b"\n\r", b" \r\n", b"\t\r\n", b"\0\r\n", b"\x0b\r\n", b"\r\n\r\n"]
METHODS = [
    b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE", b"CONNECT", b"PRI", b"get", b"G ET", b"", b"GET\0",
    b"M-SEARCH", b"G@T", b"!#$%&'*+-.^_`|~", b"\xc7ET",
]  # fmt: skip
TARGETS = [
    b"/a?b", b"/a%20b", b"*", b"http://h/a", b"http://i/", b"http://i", b"https://h:1/?q", b"HTTP://h/x", b"//h/a",
    b"/a#b", b"a", b"h:1", b"http://u@h/", b"http:///a", b"/\xff", b"/a b", b"/\x7f", b"/%zz", b"/%", b"/?%zz",
    b"/..//x", b"ftp://h/", b"http://[::1]:2/a", b"http://[::1/a", b"http://h:x/", b"/\\", b"http://h?x",
    b"http:h/x", b"http:/h", b'/{}|^`"<>', b"?a", b"http://h%20i/a", b"http://h:/a", b"http://h\\@i/a", b"http://-/",
]  # fmt: skip
VERSIONS = [
    b"HTTP/1.0", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1.10", b"HTTP/01.1",
    b"HTTP/1,1", b"HTTPS/1.1", b"HTTP/1.", b"HTTP/ 1.1", b"HTTP/1.1 ", b"", b"HTTP/1.1\t",
]  # fmt: skip
HOSTS = [
    b"Host:h", b"Host:", b"Host: h ", b"host: h", b"Host: h:1", b"Host: h i", b"Host: h/i", b"Host: u@h",
    b"Host: [::1]:2", b"Host: [::1", b"Host : h", b"Host: h,i", b"Host: h\x80", b'Host: "h"', b"Host: h:x", b"Host: h:",
    b"Host:\th\t", b"X: y", b"Host: h\r\nHost: h", b"Host: h\r\nHost: i", b"Host: %zz", b"Host: h:99999", b"Host: h_i",
    b"Host: [fe80::1%25lo]", b"Host: [v1.x]", b"Hos\xb5t: h",
]  # fmt: skip
FIELDS = [
    b"X: y", b"X:y", b"X: ", b"X:", b"X : y", b"X\t: y", b": y", b"X", b"X: y\r\n z", b"X: y\r\n\tz", b" X: y",
    b"X: \x80\xff", b"X: a\0b", b"X: a\x01", b"X: a\x7fb", b"X\x80: y", b"X(: y", b"X y: z", b"\xef\xbb\xbfX: y",
    b"Connection: close", b"Connection: keep-alive", b"Connection: upgrade", b"Upgrade: h2c", b"TE: trailers",
    b"Connection: Transfer-Encoding", b"Connection: Content-Length", b"Trailer: X", b"Content_Length: 3",
    b"Transfer_Encoding: chunked", b"X: a\tb", b"Content-Encoding: gzip", b"HTTP/1.1 200 OK", b"X: " + b"a" * 200,
]  # fmt: skip
EXPECTATIONS = [b"Expect: 100-continue", b"Expect: 100-Continue", b"Expect: x", b"Expect: 100-continue, x"]
LENGTHS = [
    b"Content-Length:#", b"content-length:   #  ", b"Content-Length: +#", b"Content-Length: -#", b"Content-Length: 0#",
    b"Content-Length: 00000000000000000000000#", b"Content-Length: 0x#", b"Content-Length: #, #",
    b"Content-Length: #,#", b"Content-Length: #\r\nContent-Length: #", b"Content-Length: #\r\nContent-Length: 3",
    b"Content-Length: #\r\nContent-Length:", b"Content-Length: #.0", b"Content-Length: #;", b'Content-Length: "#"',
    b"Content-Length: 9223372036854775808", b"Content-Length: 18446744073709551617", b"Content-Length: ",
    b"Content-Length: #\x0b", b"Content-Length: #\r\n Content-Length: 1", b"Content-Length : #",
    b"Content-Length\0: #", b"Content-Length: \xb2", b"Content-Length: 1_0", b"Content-Length: # \t",
    b"Content-Length:\t#", b"Content-Length: 1e1", b"Content-Length: \xd9\xa3",
]  # fmt: skip
CODINGS = [
    b"Transfer-Encoding:chunked", b"transfer-encoding: CHUNKED", b"Transfer-Encoding: Chunked ",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunkedx", b"Transfer-Encoding:\tchunked", b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: chunked\x0b", b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip", b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding:", b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding: chunked,", b"X: y\r\n Transfer-Encoding: chunked", b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding: chun\r\n ked", b"Transfer-Encoding: ch\xc3\xbcnked",
    b"Transfer-Encoding: chun\xe2\x84\xaaed", b"Transfer-Encoding: cow",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
]  # fmt: skip
SIZES = [
    b"0#", b"000000000000000#", b"0x#", b"+#", b"-#", b"# ", b" #", b"#\t", b"#;", b"#;a", b"#;a=b", b"#; a=b",
    b"# ;a=b", b'#;a="\\""', b"#;a\n", b"#;\r", b"#;\0", b"#_0", b"#,", b"", b"ffffffffffffffff", b"10000000000000000",
    b"#h", b"#\x0b", b"#;a=b;c", b"\xc2\xb2", b"#.", b"0" * 40 + b"#", b"#;" + b"e" * 300,
]  # fmt: skip
LAST_CHUNKS = [b"0;a=b\r\n", b"00\r\n", b"0\n", b"0 \r\n", b"0\r", b"-0\r\n", b"+0\r\n", b"0x0\r\n", b""]
TRAILERS = [
    b"T: u\r\n", b"T : u\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: x\r\n", b"T: u\n", b" T: u\r\n", b"T\r\n",
    b": u\r\n", b"T: u\r\n v\r\n", b"T: \0\r\n", b"Host: i\r\n", b"GET / HTTP/1.1\r\n", b"T: \rx\r\n",
]  # fmt: skip
STATUS_LINES = [
    b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 101 Switching",
    b"HTTP/1.1 100 Continue", b"HTTP/1.1 404", b"HTTP/1.1 404 ", b"HTTP/2.0 200 OK", b"HTTP/1.1  200 OK",
    b"HTTP/1.1 2000 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 -20 OK", b"HTTP/1.1 +20 OK", b"HTTP/1.1 099 X",
    b"HTTP/1.1 999 X", b"HTTP/1.1 000 X", b"HTTP/1.1 600 X", b"http/1.1 200 OK", b"HTTP/1.1\t200 OK",
    b"HTTP/1.2 200 OK", b"HTTP/0.9 200 OK", b"ICY 200 OK", b"<html>", b"HTTP/1.1 200\tOK", b"HTTP/1.1 200 O\0K",
    b"HTTP/1.1 200 \xff", b" HTTP/1.1 200 OK", b"\r\nHTTP/1.1 200 OK", b"HTTP/1.1 199 X", b"HTTP/1.1 205 Reset",
    b"HTTP/1.1 2\xb200 OK", b"HTTP/1.1 407 Proxy", b"HTTP/1.1 200 \x7f",
]  # fmt: skip
INTERIM = [
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n", b"HTTP/1.1 100 C\n\n",
    b"HTTP/1.1 102 P\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 100 C\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.0 100 C\r\n\r\n",
]  # fmt: skip


def _or(by: random.Random, right: bytes, wrong: Sequence[bytes], chance: float) -> bytes:
    return by.choice(wrong) if by.random() < chance else right


def _chunk(by: random.Random, data: bytes) -> bytes:
    size = _or(by, b"#", SIZES, 0.3).replace(b"#", b"%x" % len(data))
    return size + _or(by, CRLF, ENDS, 0.04) + data + _or(by, CRLF, [*ENDS, b"", b"x\r\n", b"xx"], 0.04)


def _chunks(by: random.Random) -> bytes:
    data = (bytes(by.choices(b"abc0\r\n", k=by.randint(1, 12))) for _ in range(by.randint(0, 3)))
    body = b"".join(_chunk(by, one) for one in data)
    end = _or(by, b"0\r\n", LAST_CHUNKS, 0.15) + _or(by, b"", TRAILERS, 0.2)
    return body + end + _or(by, CRLF, [*ENDS, b"", b"X"], 0.05)


def _framing(by: random.Random) -> tuple[list[bytes], bytes]:
    """Lines that say how long the body is, and the body."""
    kind = by.choices(["none", "length", "chunks", "both"], [3, 3, 3, 1])[0]
    data = bytes(by.choices(b"abc\r\n0", k=by.randint(0, 12)))
    lines = []
    if kind in ("length", "both"):
        lines.append(_or(by, b"Content-Length: #", LENGTHS, 0.4).replace(b"#", b"%d" % len(data)))
    if kind in ("chunks", "both"):
        lines.append(_or(by, b"Transfer-Encoding: chunked", CODINGS, 0.4))
        data = _chunks(by)
    by.shuffle(lines)
    return lines, data if kind != "none" or by.random() < 0.1 else b""


def _message(by: random.Random, first: bytes, lines: list[bytes], body: bytes) -> bytes:
    wrong = 0.15 if by.random() < 0.2 else 0.0
    return b"".join(line + _or(by, CRLF, ENDS, wrong) for line in (first, *lines, b"")) + body


def request(by: random.Random) -> bytes:
    """One request, or what is none."""
    fields, body = _framing(by)
    if by.random() < 0.3:
        fields += by.choices([*FIELDS, *EXPECTATIONS], k=by.randint(1, 2))
    lines = [_or(by, b"Host: h", HOSTS, 0.2), *fields]
    if by.random() < 0.3:
        by.shuffle(lines)
    method, target = _or(by, b"POST", METHODS, 0.2), _or(by, b"/", TARGETS, 0.3)
    version = _or(by, b"HTTP/1.1", VERSIONS, 0.1)
    between = [_or(by, b" ", [b"  ", b"\t", b""], 0.02) for _ in range(2)]
    before = _or(by, b"", [b"\r\n", b"\r\n\r\n", b"\n", b" ", b"\0", b"\r"], 0.04)
    return _message(by, before + method + between[0] + target + between[1] + version, lines, body)


def response(by: random.Random) -> bytes:
    """One response with those before it, or what is none."""
    fields, body = _framing(by)
    if by.random() < 0.4:
        fields += by.choices(FIELDS, k=by.randint(1, 2))
    before = b"".join(by.choices(INTERIM, k=by.choice([0, 0, 0, 1, 2])))
    return before + _message(by, _or(by, b"HTTP/1.1 200 OK", STATUS_LINES, 0.3), fields, body)
