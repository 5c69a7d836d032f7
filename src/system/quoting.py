"""Escaping of text of unknown origin for a shell, Python, Markdown or CSV.

A run, a file of class names or a folder of images may come from anybody, and so may every name in
it. Each target has a function here. HTML has none, because the templates escape automatically.
"""

from __future__ import annotations

import re
import shlex

from src.errors import escape_harmful, is_harmful, visible

# Inline markup of GitHub's Markdown and of python-markdown, which TensorBoard uses.
_MARKUP = re.compile(r"[\\`*|]|_(?![^\W_])|(?<![^\W_])_|\](?=[(\[])")
_STRIKETHROUGH = re.compile(r"(?<=\S)~|~(?=~)")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_BLOCK_MARKUP = re.compile(r"^(?:(>|#+(?=\s|$)|[+-](?=[\s-]|$)|=+(?=\s*$))|(\d+)([.)])(?=\s|$))")
_URL = re.compile(r"(?i)\b(https?|ftp)://|\b(www)\.")
_FENCES = re.compile(r"`+")

# A spreadsheet evaluates a cell with such a start as a formula.
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def shell(text: str) -> str:
    """Return ``text`` quoted as one word for a shell (bash, zsh)."""
    if not any(map(is_harmful, text)):
        return shlex.quote(text)
    # Plain quotes do not stop a terminal from acting on control characters of a pasted line.
    content = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{escape_harmful(content)}'"


def in_python(text: str) -> str:
    """Return ``text`` escaped for a Python literal in double quotes that is not an f-string."""
    return escape_harmful(text.replace("\\", "\\\\").replace('"', '\\"'))


def markdown(text: str, *, in_table: bool = False) -> str:
    """Return ``text`` for a line or table cell of Markdown, without markup, tags, links or breaks.

    Characters that are common within words, as the underscore of a format's name, stay.
    """
    line = visible(" ".join(text.split()))
    line = _ENTITY.sub("&amp;", line).replace("<", "&lt;")
    line = _STRIKETHROUGH.sub("&#126;", _MARKUP.sub(lambda match: f"\\{match[0]}", line))
    line = _URL.sub(_escape_url, line).replace("]:", "]&#58;")  # "[name]:" would define a link
    return line if in_table else _BLOCK_MARKUP.sub(_escape_block, line)


def markdown_code(text: str, *, in_table: bool = False) -> str:
    """Return ``text`` as a code span of Markdown, in which markup has no effect."""
    line = visible(" ".join(text.split()))
    if in_table:
        line = line.replace("|", "\\|")
    fence = "`" * (1 + _longest_fence(line))
    space = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{space}{line}{space}{fence}"


def markdown_block(text: str, language: str = "") -> str:
    """Return ``text`` as a code block of Markdown, with a fence longer than any in ``text``."""
    code = visible(text)
    fence = "`" * max(3, 1 + _longest_fence(code))
    return f"{fence}{language}\n{code}\n{fence}"


def csv_cell(text: str) -> str:
    """Return ``text`` as a cell of a CSV file that no spreadsheet evaluates as a formula.

    Numbers stay as they are: ``-1`` is a number, ``-1+1`` is not.
    """
    if text.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def _longest_fence(text: str) -> int:
    return max((len(fence) for fence in _FENCES.findall(text)), default=0)


def _escape_url(match: re.Match[str]) -> str:
    return f"{match[1]}&#58;//" if match[1] else f"{match[2]}&#46;"


def _escape_block(match: re.Match[str]) -> str:
    """Escape the start of a heading, list, quotation or rule."""
    return f"\\{match[1]}" if match[1] else f"{match[2]}\\{match[3]}"
