"""Foreign text made harmless for the place where it is shown: a terminal, a shell line, Markdown.

A run, a file of classes or a folder of pictures may come from anybody, and so may every name in
it. Each place has one function here. HTML has none: the templates escape by themselves.
"""

from __future__ import annotations

import re
import shlex

from src.errors import is_harmful, visible, written_out

# Markup of GitHub's Markdown and of python-markdown, which TensorBoard uses, wherever it stands.
_MARKUP = re.compile(r"[\\`*|]|_(?![^\W_])|(?<![^\W_])_|\](?=[(\[])")
_STRUCK = re.compile(r"(?<=\S)~|~(?=~)")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_AT_START = re.compile(r"^(?:(>|#+(?=\s|$)|[+-](?=[\s-]|$)|=+(?=\s*$))|(\d+)([.)])(?=\s|$))")
_ADDRESS = re.compile(r"(?i)\b(https?|ftp)://|\b(www)\.")
_FENCES = re.compile(r"`+")

# A spreadsheet takes a cell that begins so for a formula.
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def shell(text: str) -> str:
    """``text`` as one word of a line for a shell (bash, zsh), whatever is in it."""
    if not any(map(is_harmful, text)):
        return shlex.quote(text)
    # Between plain quotes a terminal would still obey control characters when the line is pasted.
    plain = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{''.join(written_out(each) if is_harmful(each) else each for each in plain)}'"


def in_python(text: str) -> str:
    """``text`` for the inside of a Python literal in double quotes that is no f-string."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(written_out(each) if is_harmful(each) else each for each in quoted)


def markdown(text: str, *, in_table: bool = False) -> str:
    """``text`` in a line of Markdown or a cell of its tables: no markup, tag, link or new line.

    Common characters within words, as the underscore of a format's name, stay as they are.
    """
    line = visible(" ".join(text.split()))
    line = _ENTITY.sub("&amp;", line).replace("<", "&lt;")
    line = _STRUCK.sub("&#126;", _MARKUP.sub(lambda found: f"\\{found[0]}", line))
    line = _ADDRESS.sub(_no_link, line).replace("]:", "]&#58;")  # by which a link is defined
    return line if in_table else _AT_START.sub(_no_block, line)


def markdown_code(text: str, *, in_table: bool = False) -> str:
    """``text`` as code within a line of Markdown, in which no markup counts."""
    line = visible(" ".join(text.split()))
    if in_table:
        line = line.replace("|", "\\|")
    fence = "`" * (1 + max((len(each) for each in _FENCES.findall(line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{space}{line}{space}{fence}"


def markdown_block(text: str, language: str = "") -> str:
    """``text`` as a block of code of Markdown, whose end it cannot write itself."""
    shown = visible(text)
    fence = "`" * max(3, 1 + max((len(each) for each in _FENCES.findall(shown)), default=0))
    return f"{fence}{language}\n{shown}\n{fence}"


def csv_cell(text: str) -> str:
    """``text`` as a cell of a CSV file that no spreadsheet takes for a formula.

    A number stays a number: ``-1`` is one, ``-1+1`` is not.
    """
    if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def _no_link(found: re.Match[str]) -> str:
    return f"{found[1]}&#58;//" if found[1] else f"{found[2]}&#46;"


def _no_block(found: re.Match[str]) -> str:
    """What would begin a heading, a list, a quotation or a line."""
    return f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}"
