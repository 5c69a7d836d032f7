"""The documentation: the links work, and the files, modules and options in it exist."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from src.models import torchvision_networks
from src.run import results
from tests.conftest import ROOT
from tests.test_imports import FLOORS

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob(".github/**/*.md")])
README = ROOT / "README.md"
EXTENDING = ROOT / "docs" / "extending.md"
LOCAL = re.compile(r"(?<![\w/.:-])(?:scripts|docs|src|tests|configs|examples)/[\w./-]*[\w/]")
MODULE = re.compile(r"-m (src\.\w[\w.]*)")
GROUP = re.compile(
    r"(?<![\w.])(model|family|data|trainer|profiler|twin|export|benchmark|experiment)=(\w{2,}[\w,/.]*)"
)
# A line that names a file, with the whole content of the file in the block below it.
EXAMPLE_FILE = re.compile(r"`([\w/]+\.(?:py|yaml))`[^`\n]*:\n\n```")
MAX_README_LINES = 150
MAX_IMAGE_BYTES = 150_000


def text_of(page: Path) -> str:
    """Return a page without its comments, which are marks for programs."""
    return re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    anchors: list[str] = []
    for heading, content in itertools.pairwise(tokens):
        if heading.type == "heading_open":
            words = "".join(
                part.content
                for part in content.children or ()
                if part.type in {"text", "code_inline"}
            )
            kept = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            anchors.append(f"{kept}-{anchors.count(kept)}" if kept in anchors else kept)
    return set(anchors)


def links_of(page: Path) -> Iterator[str]:
    """Return the targets of links and images within the repository."""
    markdown = MarkdownIt("commonmark").enable("table")
    for token in markdown.parse(page.read_text(encoding="utf-8")):
        for part in token.children or ():
            target = part.attrs.get("href") or part.attrs.get("src")
            if target and not re.match(r"\w+:", str(target)):
                yield str(target)


def dead_links(page: Path) -> list[str]:
    dead = []
    for link in links_of(page):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            dead.append(link)
    return dead


@functools.cache
def example_files() -> set[str]:
    """Return the files that ``docs/extending.md`` tells the reader to write."""
    return set(EXAMPLE_FILE.findall(EXTENDING.read_text(encoding="utf-8")))


def missing_files(text: str) -> list[str]:
    """Return the repository paths in a text that do not exist."""
    names = {match.group().rstrip(".") for match in LOCAL.finditer(text)}
    return sorted(name for name in names - example_files() if not (ROOT / name).exists())


def is_of_library(name: str) -> bool:
    """Return True for a network of torchvision, NAME, an example, and any name of optional timm."""
    library, _, network = name.partition("/")
    if library == "own":
        return network == "NAME" or f"src/models/own/{network}.py" in example_files()
    known = [*torchvision_networks.names(), "NAME"]
    return library == "timm" or (library == "torchvision" and network.partition(".")[0] in known)


def missing_choices(text: str) -> list[str]:
    """Return each ``group=name`` in a text that has no file in ``configs/``.

    A name of one letter stands for any name.
    """
    return sorted(
        f"{group}={name}"
        for group, names in GROUP.findall(text)
        for name in names.split(",")
        if not (ROOT / "configs" / group / f"{name.rstrip('.')}.yaml").is_file()
        and not is_of_library(name.rstrip("."))
        and f"configs/{group}/{name}.yaml" not in example_files()
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    assert missing_files(text_of(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_and_configurations_that_a_page_names_exist(page: Path) -> None:
    text = text_of(page)
    modules = set(MODULE.findall(text))
    assert [name for name in sorted(modules) if importlib.util.find_spec(name) is None] == []
    for name in modules - {"src.train"}:
        assert (ROOT / name.replace(".", "/") / "__main__.py").is_file()
    code = "\n".join(re.findall(r"^ {4}.*$|`[^`\n]+`", text, flags=re.MULTILINE))
    assert missing_choices(code) == []


@pytest.mark.parametrize(
    ("text", "dead"),
    [
        ("[a](nowhere.md)", ["nowhere.md"]),
        ("[a](page.md#no-such-heading)", ["page.md#no-such-heading"]),
        ("| a |\n|---|\n| [b](#gone) |", ["#gone"]),
        ("![picture](images/none.png)", ["images/none.png"]),
        ("## A `b.c` heading, twice\n## A `b.c` heading, twice\n[a](#a-bc-heading-twice-1)", []),
        ("[a](https://example.org/x#y) [b](page.md)", []),
    ],
)
def test_a_dead_link_in_a_page_is_detected(text: str, dead: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    assert dead_links(page) == dead


def test_a_missing_file_and_a_missing_configuration_in_a_page_are_detected() -> None:
    text = "run `scripts/none --x`, see docs/none.md and scripts/train, `/opt/x/scripts/other`"
    assert missing_files(text) == ["docs/none.md", "scripts/none"]
    text = "model=resnet34,none data=digits trainer=tpu model=torchvision/resnet19,timm/lcnet_050"
    assert missing_choices(text) == [
        "model=none",
        "model=torchvision/resnet19",
        "trainer=tpu",
    ]


def test_the_files_of_the_examples_are_new_ones() -> None:
    assert {"src/models/mobilenet_v3.py", "configs/model/mobilenet_v3.yaml"} <= example_files()
    assert [name for name in sorted(example_files()) if (ROOT / name).exists()] == []


def test_the_readme_is_one_page_and_leads_to_every_other_one() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= MAX_README_LINES
    linked = {link.partition("#")[0] for link in links_of(README)}
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert pages <= linked


def test_image_files_of_the_pages_are_small() -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    assert {
        path.name: path.stat().st_size for path in pictures if path.stat().st_size > MAX_IMAGE_BYTES
    } == {}


def test_every_script_is_on_the_page_of_the_command_line() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    scripts = [
        f"scripts/{path.name}"
        for path in (ROOT / "scripts").iterdir()
        if path.is_file() and os.access(path, os.X_OK) and path.name != "environment"
    ]
    assert [name for name in scripts if f"`{name}`" not in text] == []


def test_every_group_of_configurations_is_on_the_page_of_the_command_line() -> None:
    groups = [path.name for path in (ROOT / "configs").iterdir() if path.is_dir()]
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    sentence = page.partition("The groups are")[2].partition(".")[0]
    assert sorted(re.findall(r"`(\w+)`", sentence)) == sorted(groups)


def test_the_floors_of_the_architecture_page_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    shown = re.findall(r"^ +(\d+)  (\w[\w ]*)$", text, flags=re.MULTILINE)
    assert [(int(height), set(rooms.split())) for height, rooms in shown] == [
        (height, floor) for height, floor in reversed(list(enumerate(FLOORS)))
    ]


def test_the_page_on_the_run_folder_names_the_present_version() -> None:
    page = (ROOT / "docs" / "run-folder.md").read_text(encoding="utf-8")
    assert f"`schema_version` is {results.VERSION};" in page
