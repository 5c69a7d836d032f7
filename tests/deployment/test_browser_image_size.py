"""The size of an image that the browser example reads before it decodes, in Node.js."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.browser_example import EXAMPLE

NODE = shutil.which("node")
PROGRAM = """
import { readFile } from "node:fs/promises";
import { imageSize } from "./image_size.mjs";
const answers = [];
for (const name of process.argv.slice(2)) {
  const file = new Blob([await readFile(name)]);
  answers.push(await imageSize(file).catch((error) => error.message));
}
console.log(JSON.stringify(answers));
"""
SIZE = {"width": 300, "height": 200}


def saved(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (300, 200), "red").save(file, kind, **options)
    return file.getvalue()


def jpeg(between: bytes) -> bytes:
    """Return a JPEG with bytes between its first two markers."""
    content = saved("JPEG")
    return content[:2] + between + content[2:]


def segment(length: int, marker: int = 0xE1) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", length) + b"\x11" * (length - 2)


KNOWN: dict[str, Callable[[], bytes]] = {
    "png": lambda: saved("PNG"),
    "gif": lambda: saved("GIF"),
    "bmp": lambda: saved("BMP"),
    "webp": lambda: saved("WEBP"),
    "lossless webp": lambda: saved("WEBP", lossless=True),
    "jpeg": lambda: saved("JPEG"),
    "progressive jpeg": lambda: saved("JPEG", progressive=True),
    "2 MiB of metadata": lambda: jpeg(segment(65_000) * 33),
    "a header across two blocks": lambda: jpeg(
        segment(65_000) * 16 + segment((1 << 20) - 16 * 65_002 - 2 - 2 - 5)
    ),
    "2 MiB of filling": lambda: jpeg(b"\xff" * (2 << 20)),
    "bytes of no segment": lambda: jpeg(b"\x00\x12" * 10),
    "markers without content": lambda: jpeg(b"\xff\x01\xff\xd0\xff\xd8"),
    "a segment of no length": lambda: jpeg(b"\xff\xe1\x00\x00"),
}
UNKNOWN: dict[str, Callable[[], bytes]] = {
    "text": lambda: b"hello",
    "empty": lambda: b"",
    "tiff": lambda: saved("TIFF"),
    "a JPEG of its first bytes": lambda: saved("JPEG")[:40],
    "a JPEG of metadata": lambda: b"\xff\xd8" + segment(60_000) * 40,
}


def sizes(folder: Path, contents: list[bytes]) -> list[Any]:
    shutil.copy(EXAMPLE / "image_size.js", folder / "image_size.mjs")
    (folder / "program.mjs").write_text(PROGRAM, encoding="utf-8")
    names = [f"{number}.image" for number in range(len(contents))]
    for name, content in zip(names, contents, strict=True):
        (folder / name).write_bytes(content)
    ended = subprocess.run(
        [str(NODE), "program.mjs", *names], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    answers: list[Any] = json.loads(ended.stdout)
    return answers


@pytest.mark.skipif(NODE is None, reason="no Node.js")
def test_the_size_of_an_image_is_found_wherever_its_header_is(tmp_path: Path) -> None:
    answers = sizes(tmp_path, [content() for content in KNOWN.values()])
    assert dict(zip(KNOWN, answers, strict=True)) == dict.fromkeys(KNOWN, SIZE)


@pytest.mark.skipif(NODE is None, reason="no Node.js")
def test_a_file_without_a_header_has_no_size(tmp_path: Path) -> None:
    answers = sizes(tmp_path, [content() for content in UNKNOWN.values()])
    assert dict(zip(UNKNOWN, answers, strict=True)) == dict.fromkeys(UNKNOWN)
