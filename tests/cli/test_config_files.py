"""Files of ``--config`` as people have them: from Windows, in other encodings, and no files."""

from __future__ import annotations

import codecs
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from src.cli import grammar
from src.cli.data_command import parse_data
from src.errors import UsageError
from tests.cli.test_app import parse
from tests.conftest import CONFIGS

pytestmark = pytest.mark.usefixtures("elsewhere")
TEXT = "# Größe\nmodel: {class_path: src.models.resnet34.ResNet34, init_args: {lr: 0.5}}\n"
REFUSED = {
    "UTF-16 of Windows PowerShell": (codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"), "in UTF-16"),
    "UTF-16, the other way round": (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "in UTF-16"),
    "UTF-16 without a mark": (TEXT.encode("utf-16-le"), "which is none"),
    "Latin-1": (TEXT.encode("latin-1"), "which is none"),
    "a checkpoint": (b"PK\x03\x04\x00\x00\xff\xfe", "which is none"),
}


@pytest.mark.parametrize("form", [["--config", "my file.yaml"], ["--config=my file.yaml"]])
@pytest.mark.parametrize("name", REFUSED)
def test_a_configuration_in_another_encoding_is_refused_in_one_line(
    name: str, form: list[str]
) -> None:
    content, found = REFUSED[name]
    Path("my file.yaml").write_bytes(content)
    for read in (lambda: grammar.translate(form, CONFIGS), lambda: parse_data(form)):
        with pytest.raises(UsageError, match=r"^--config: expected a YAML file in UTF-8") as caught:
            read()
        assert found in str(caught.value)
        assert "\n" not in str(caught.value)


def test_the_remedy_for_utf_16_is_a_command_that_converts_the_file() -> None:
    Path("my file.yaml").write_bytes(REFUSED["UTF-16 of Windows PowerShell"][0])
    with pytest.raises(UsageError) as caught:
        grammar.translate(["--config", "my file.yaml"], CONFIGS)
    command = str(caught.value).rpartition("convert it: ")[2]
    if shutil.which("iconv"):
        subprocess.run(["sh", "-c", command], check=True)
        assert Path("NEW.yaml").read_text("utf-8").lstrip("\ufeff") == TEXT


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_a_configuration_of_windows_in_utf_8_is_read(mark: bytes, ending: str) -> None:
    Path("mine.yaml").write_bytes(mark + TEXT.replace("\n", ending).encode())
    config = parse("fit", "--config", "mine.yaml")
    assert config.model.class_path == "src.models.resnet34.ResNet34"
    assert config.model.init_args.lr == 0.5


def test_what_is_no_file_is_refused_in_one_line() -> None:
    Path("folder").mkdir()
    os.mkfifo("pipe")  # as of <(command) in a shell
    for name, found in {"folder": "folder, a folder", "pipe": "pipe, which can be read"}.items():
        with pytest.raises(UsageError, match=rf"^--config: expected a YAML file; found {found}"):
            grammar.translate(["--config", name], CONFIGS)


@pytest.mark.parametrize("word", ["missing.yaml", "{seed_everything: 3}", "x" * 5000])
def test_the_parser_reports_a_file_that_is_missing(word: str) -> None:
    assert grammar.translate([f"--config={word}"], CONFIGS)[-1] == f"--config={word}"


@pytest.mark.parametrize("words", [["--config"], ["--config="], ["config="]])
def test_no_file_is_refused_in_one_line(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"^--config: expected a YAML file; found nothing; name"):
        grammar.translate(words, CONFIGS)
