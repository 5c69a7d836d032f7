"""Escaping of foreign text: a shell, Python, Markdown and a CSV file read it back unchanged."""

from __future__ import annotations

import ast
import csv
import html
import io
import re
import subprocess

import markdown as python_markdown
import pytest
from markdown_it import MarkdownIt

from src.errors import is_harmful, visible
from src.system import quoting

HOSTILE = {
    "command": "x; touch pwned #",
    "substitution": "$(touch pwned)`touch pwned`${HOME}",
    "single quote": "it's",
    "double quote": '"); import os; os.system("touch pwned") #',
    "backslash": "a\\' b\\\\",
    "option": "--orphan",
    "script": "<script>alert(1)</script>",
    "entity": "&lt;b&gt; &#60;i&#62;",
    "link": "[click](https://example.org) ![x](//example.org/x.png)",
    "reference": "[x]: https://example.org",
    "emphasis": "**a** _b_ ~~c~~ __d__",
    "code": "`a` ``` b",
    "cell": "a | b \\| c",
    "heading": "# a",
    "list": "- a",
    "number of a list": "1. a",
    "quotation": "> a",
    "line": "---",
    "two lines": "a\n\n# b\n",
    "terminal": "a\x1b[2J\x07\x9bb",
    "turning": "a\u202eb",
    "formula": "=1+1",
    "other script": "ネコ\u200d",
    "format": "onnx_int8 [1.90, 2.10] ~busy",
}
each_text = pytest.mark.parametrize("name", HOSTILE)


@each_text
def test_a_shell_reads_quoted_text_as_one_word(name: str) -> None:
    word = quoting.shell(HOSTILE[name])
    done = subprocess.run(
        ["bash", "-c", f"printf %s {word}"],  # bash, because people paste commands into it
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8"},
    )
    assert done.stdout.decode() == HOSTILE[name]
    assert not any(map(is_harmful, word))


@each_text
def test_python_reads_quoted_text_as_one_literal(name: str) -> None:
    program = f'open("{quoting.in_python(HOSTILE[name])}/model")'
    call = ast.parse(program, mode="eval").body
    assert isinstance(call, ast.Call)
    assert ast.literal_eval(call.args[0]) == f"{HOSTILE[name]}/model"


def seen(text: str) -> str:
    """Return the text that a reader must see: in one line, with control characters escaped."""
    return visible(" ".join(text.split()))


def text_of(page: str) -> str:
    """Return the text of HTML that has no other tags than those of paragraphs and tables."""
    return html.unescape(re.sub(r"</?(p|li|ul|table|thead|tbody|tr|th|td)>", "", page)).strip()


@each_text
@pytest.mark.parametrize("place", ["paragraph", "item", "cell"])
def test_markdown_shows_quoted_text_unchanged(name: str, place: str) -> None:
    github = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tensorboard = python_markdown.Markdown(extensions=["tables"])
    text = quoting.markdown(HOSTILE[name], in_table=place == "cell")
    source = {"paragraph": text, "item": f"- {text}", "cell": f"| h |\n| --- |\n| {text} |"}[place]
    expected = seen(HOSTILE[name])
    for page in (github.render(source), tensorboard.convert(source)):
        shown = text_of(page)
        if place == "cell":
            shown = shown.removeprefix("h").strip()
        assert shown == expected


@each_text
@pytest.mark.parametrize("in_table", [False, True])
def test_markdown_shows_a_code_span_unchanged(name: str, in_table: bool) -> None:
    text = quoting.markdown_code(HOSTILE[name], in_table=in_table)
    source = f"| h |\n| --- |\n| {text} |" if in_table else text
    page = MarkdownIt("commonmark").enable("table").render(source)
    match = re.search(r"<code>(.*)</code>", page)
    assert match
    assert html.unescape(match[1]) == seen(HOSTILE[name])


@each_text
def test_quoted_text_cannot_end_a_code_block_of_markdown(name: str) -> None:
    text = f"{HOSTILE[name]}\n```\nmore"
    page = MarkdownIt("commonmark").render(f"{quoting.markdown_block(text, 'python')}\n\nafter")
    assert page.count("<pre>") == 1
    assert page.endswith("<p>after</p>\n")


@pytest.mark.parametrize("text", ["http://example.org", "HTTPS://example.org", "www.example.org"])
def test_markdown_shows_a_url_without_a_link(text: str) -> None:
    assert text[:8] not in quoting.markdown(text)
    assert text_of(MarkdownIt("commonmark").render(quoting.markdown(text))) == text


FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",  # noqa: RUF001  # Excel reads this full-width sign as "="
    "=cmd|' /C calc'!A0",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_csv_cell_is_never_a_formula(text: str) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerow([quoting.csv_cell(text)])
    assert next(csv.reader(io.StringIO(file.getvalue(), newline=""))) == [f"'{text}"]


@pytest.mark.parametrize("text", ["-1", "+1.5", "-1e-05", "1.0", "cat", "a=b", "", "ネコ", "-.5"])
def test_a_csv_cell_with_a_number_or_name_is_not_changed(text: str) -> None:
    assert quoting.csv_cell(text) == text


def test_visible_text_keeps_line_breaks_and_tabs() -> None:
    assert visible("a\n\tb\x1b[2J\x85\u2028") == "a\n\tb\\x1b[2J\\u0085\\u2028"
