"""The page and its files as a browser gets them."""

from __future__ import annotations

import re

import pytest

from netmap_actors.http_endpoint.page_files import FOLDER, page_file, refused_login
from netmap_actors.http_endpoint.pages import PATHS, Page
from netmap_actors.protocol.http1_server import HttpRequest

FILES = sorted(
    str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file() and path.suffix != ".html"
)


def got(path: str, *tags: str) -> Page:
    fields = [("host", "localhost"), *(("if-none-match", one) for one in tags)]
    return page_file(HttpRequest("GET", path, fields, b""), path)


@pytest.mark.parametrize("name", FILES)
def test_every_file_of_the_folder_is_served_as_what_it_is(name: str) -> None:
    page = got(f"/page/{name}")
    assert (page.status, page.body) == (200, (FOLDER / name).read_bytes())
    kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert page.content_type.partition(";")[0] == kinds[name.rpartition(".")[2]]


def test_the_page_is_at_the_root_and_loads_nothing_from_elsewhere() -> None:
    page = got("/")
    assert (page.status, page.content_type) == (200, "text/html; charset=utf-8")
    text = page.body.decode()
    assert text.count("</head>") == 1
    for at in re.findall(r'(?:src|href)="([^"]*)"', text):
        assert at.startswith(("page/", "#", "data:")), at
        if at.startswith("page/"):
            assert got(f"/{at}").status == 200, at
    assert not re.search(r"<[^>]+\s(?:style|on\w+)=", text), "the policy refuses it"


@pytest.mark.parametrize("name", ["index.html", *FILES])
def test_no_address_begins_at_the_root_for_a_proxy_may_have_the_page_below_a_path(name: str) -> None:
    text = (FOLDER / name).read_text()
    places = "|".join(sorted({path[1:] for path in PATHS if path != "/"} | {"page"}))
    assert re.findall(rf"""["'`(]/(?:{places})\b[^"'`)]*""", text) == []


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_what_a_module_imports_is_there(name: str) -> None:
    for at in re.findall(r"""^import [^;]*?["']([^"']+)["'];""", (FOLDER / name).read_text(), re.MULTILINE):
        assert (FOLDER / name).parent.joinpath(at).is_file(), at


@pytest.mark.parametrize(
    "path",
    [
        "/page/", "/page/nothing.js", "/page/../actor.py", "/page/page/../../actor.py", "/page/%2e%2e/actor.py",
        "/page//etc/passwd", "/page/main.js/", "/page/main.js%00", "/page/MAIN.JS", "/page/index.html",
        "/page/.hidden.js", "/page/a/b/c.js", "/page/" + "a" * 5000 + ".js", "/page/x\x00.js", "/favicon.ico",
        "/page/x\n.js", "/page/main.js\n",
    ],
)  # fmt: skip
def test_nothing_else_is(path: str) -> None:
    page = got(path)
    assert page.status == 404
    assert b"There is nothing here" in page.body


def test_what_a_browser_has_already_is_not_sent_again() -> None:
    for path in ("/", "/page/main.js"):
        tag = dict(got(path).headers)["ETag"]
        assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
        for given in ((tag,), (f"W/{tag}",), ('"x", ' + tag,), ('"x"', tag), ("*",)):
            again = got(path, *given)
            assert (again.status, again.body, dict(again.headers)["ETag"]) == (304, b"", tag)
        for given in (('"x"',), (tag.strip('"'),), ("",)):
            assert got(path, *given).status == 200


def test_each_file_says_what_may_be_done_with_it() -> None:
    for page in (got("/"), got("/page/main.js"), refused_login(401, "why")):
        headers = dict(page.headers)
        policy = dict(
            one.strip().partition(" ")[::2] for one in headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "same-origin"
        assert (
            headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
        )
    assert dict(got("/").headers)["Cache-Control"] == "no-cache"
    assert "Cache-Control" not in dict(refused_login(401, "why").headers), "as every answer: no-store"


def test_the_page_says_why_a_login_was_refused_and_nothing_of_it_is_html() -> None:
    page = refused_login(401, 'no "<b>" & no', (("WWW-Authenticate", "Bearer"),))
    assert page.status == 401
    assert b'<meta name="login-refused" content="no &quot;&lt;b&gt;&quot; &amp; no">\n</head>' in page.body
    assert ("WWW-Authenticate", "Bearer") in page.headers


def test_the_folders_and_files_of_the_page_stay_small() -> None:
    folders = [FOLDER, *(path for path in FOLDER.rglob("*") if path.is_dir())]
    assert {path.name for path in folders if len(list(path.iterdir())) > 16} == set()
    assert {name for name in FILES if len((FOLDER / name).read_text().splitlines()) > 500} == set()


def test_signs_without_words_are_seen_by_browsers_that_know_no_words_for_signs() -> None:
    """Firefox knows `content: "…" / ""` since version 128; older ones drop the line."""
    for name in (name for name in FILES if name.endswith(".css")):
        text = (FOLDER / name).read_text()
        for sign in re.findall(r'content: ("[^"]+") / "";', text):
            assert f'content: {sign}; content: {sign} / "";' in text, (name, sign)
