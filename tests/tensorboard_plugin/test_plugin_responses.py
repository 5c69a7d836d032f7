"""Headers of the plugin's responses, and the files of its page."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from src.tensorboard_plugin.packaged_files import packaged_files
from tests.support.plugin_runs import PREFIX, Server, write_run

FILES = packaged_files()


@pytest.fixture
def server(tmp_path: Path) -> Server:
    for number in range(40):
        write_run(tmp_path / f"a_run_with_a_long_name_{number}")
    return Server(tmp_path)


@pytest.mark.parametrize("route", FILES)
def test_each_file_of_the_page_is_sent_as_what_it_is(server: Server, route: str) -> None:
    file = FILES[route]
    path = file.path
    if not path.is_file():
        pytest.skip("the page is not built in this checkout")
    answer = server.get(route.removeprefix("/"))
    assert answer.status_code == 200
    assert answer.get_data() == file.read()
    expected = {
        ".js": "text/javascript",
        ".css": "text/css",
        ".html": "text/html",
        ".woff2": "font/woff2",
        ".svg": "image/svg+xml",
    }
    assert answer.mimetype == expected.get(path.suffix, answer.mimetype)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_has_the_styles_and_the_script_of_the_reports() -> None:
    assert {"/static/page.css", "/static/sort.js", "/index.js"} <= FILES.keys()
    assert all(PREFIX not in route for route in FILES)


def test_files_that_are_shared_with_the_reports_are_whole(server: Server) -> None:
    """A style of the reports may include others of its folder."""
    for name in ("page.css", "sort.js"):
        text = server.get(f"static/{name}").get_data(as_text=True)
        assert "{%" not in text
        assert "{{" not in text
    assert ".scroll {" in server.get("static/page.css").get_data(as_text=True)


def test_a_browser_asks_again_and_gets_a_file_only_if_it_changed(server: Server) -> None:
    first = server.get("static/page.css")
    assert first.headers["Cache-Control"] == "no-cache"
    again = server.get("static/page.css", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.get_data()) == (304, b"")
    assert again.content_type == first.content_type  # TensorBoard warns of an answer without one
    other = server.get("static/page.css", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


def test_data_are_not_stored_by_the_browser(server: Server) -> None:
    assert server.get("runs").headers["Cache-Control"] == "no-store"
    assert server.get("overview").headers["Cache-Control"] == "no-store"


def test_long_answers_are_compressed_where_the_browser_says_so(server: Server) -> None:
    plain = server.get("runs")
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == "Accept-Encoding"
    packed = server.get("runs", headers={"Accept-Encoding": "gzip, deflate"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.get_data()) == plain.get_data()
    assert int(packed.headers["Content-Length"]) == len(packed.get_data())


@pytest.mark.parametrize("path", ["runs", "overview", "static/page.css", "static/none"])
def test_a_head_request_has_no_body(server: Server, path: str) -> None:
    whole = server.get(path)
    head = server.get(path, method="HEAD")
    assert head.status_code == whole.status_code
    assert head.get_data() == b""


def test_every_answer_allows_requests_to_this_server_only(server: Server) -> None:
    for path in ("runs", "overview", "static/page.css", "static/sort.js"):
        directives = dict(
            directive.split(" ", 1)
            for directive in server.get(path).headers["Content-Security-Policy"].split("; ")
        )
        assert directives.pop("default-src") == "'none'"
        assert directives.pop("style-src") == "'self' 'unsafe-inline'"  # attributes of charts
        assert directives.pop("img-src") == "'self' data:"
        assert set(directives.values()) == {"'self'", "'none'"}
        assert directives["script-src"] == "'self'"
