"""The Files view: the report's own figures as an HTML fragment, for runs of any origin."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from src.compare.collection import collect
from src.compare.comparison import Comparison
from src.compare.page import html_page as comparison_page
from src.errors import UsageError
from src.run.folder import Run
from src.tensorboard_plugin import files
from tests.conftest import ROOT
from tests.report.planted import FAILED, latency, of_version_1, results, row
from tests.report.writers.parsed_page import Page, page_of
from tests.report.writers.test_html import SCRIPT

INT8_PROFILE = {
    "time": {"int8": 0.75, "fp32": 0.25},
    "nodes": {"int8": 1, "fp32": 1},
    "call_seconds": 0.01,
    "operators": {"QLinearConv": 0.75, "Gelu": 0.25},
    "by_precision": {"int8": {"QLinearConv": 0.75}, "fp32": {"Gelu": 0.25}},
}


def fragment(runs: Sequence[Run], names: Sequence[str] | None = None) -> str:
    return files.fragment(runs, names).html


def keep(folder: Path, name: str, measured: dict[str, Any]) -> Run:
    """Write a run with a measurement, and return it."""
    run = folder / name / "version_0"
    run.mkdir(parents=True)
    content = {**measured, "run": f"{name}/version_0"}
    (run / "benchmark.json").write_text(json.dumps(content))
    return Run.of(run)


def measured_files() -> dict[str, Any]:
    traced = {"trace": {"file": "a.json.gz", "bytes": 5}, "profile": INT8_PROFILE}
    return results(
        row("eager"), row("onnx_int8", precision="int8", **traced), row("onnx", **FAILED)
    )


def table_rows(page: Page) -> list[dict[str, str | None]]:
    return [attributes for tag, attributes in page.tags if tag == "tr" and "data-row" in attributes]


def test_the_files_of_a_run_have_the_figures_of_its_report(tmp_path: Path) -> None:
    page = Page(fragment([keep(tmp_path, "small", measured_files())]))
    report = page_of({**measured_files(), "run": "small/version_0"}, tmp_path)
    assert page.heads == report.heads
    assert page.rows == report.rows
    words = "".join(page.words)
    assert "onnx_int8 on cpu" in words
    assert "QLinearConv 7.50 ms (75%)" in words
    assert "Not in int8 in onnx_int8 on cpu, of the time of a call: Gelu 25.0%." in words
    assert "Latency against accuracy, batch 1" in words
    assert "[-2.34, +0.12]" in words
    assert "1.00 M parameters" in words
    ship = next(attributes for _, attributes in page.tags if attributes.get("class") == "ship")
    assert ship["aria-label"] == "Recommendation"


def test_a_row_names_its_format_and_device_for_the_page(tmp_path: Path) -> None:
    page = Page(fragment([keep(tmp_path, "small", measured_files())]))
    named = [
        (it["data-format"], it["data-device"]) for it in table_rows(page) if "data-format" in it
    ]
    assert named == [("eager", "cpu"), ("onnx_int8", "cpu"), ("onnx", "cpu")]


def test_a_page_may_have_every_fragment_twice(tmp_path: Path) -> None:
    one = keep(tmp_path, "one", measured_files())
    two = keep(tmp_path, "two", measured_files())
    text = "".join(fragment(runs) for runs in ([one], [one], [two], [one, two], [one, two]))
    page = Page(text)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 100
    links = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
    assert links
    assert {first or second for first, second in links} <= set(ids)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "html", "body", "h1"}
    assert "var(--ink)" in text
    assert "var(--line)" in text
    assert "var(--faint)" in text


def test_several_runs_are_compared_as_the_command_does_it(tmp_path: Path) -> None:
    runs = [keep(tmp_path, name, measured_files()) for name in ("one", "two")]
    page = Page(fragment(runs))
    command = Page(comparison_page(Comparison.of(collect([str(tmp_path)]), None, None)))
    assert page.heads == command.heads
    assert page.rows_in_order == command.rows_in_order
    shown, compared = "".join(page.words), "".join(command.words)
    for sentence in ("one/version_0, onnx on cpu: failed", "On the front: no other file"):
        assert sentence in shown
        assert sentence in compared
    assert {it["data-run"] for it in table_rows(page)} == {"one/version_0", "two/version_0"}


def test_a_comparison_shows_the_names_of_the_log_folder(tmp_path: Path) -> None:
    runs = [keep(tmp_path / place, "same", measured_files()) for place in ("old", "new")]
    names = ["old/same/version_0", "new/same/version_0"]
    assert {it["data-run"] for it in table_rows(Page(fragment(runs, names)))} == set(names)
    # Without names, runs of the same name are told apart too.
    assert len({it["data-run"] for it in table_rows(Page(fragment(runs)))}) == 2


def test_a_run_that_is_chosen_twice_is_one_run(tmp_path: Path) -> None:
    run = keep(tmp_path, "small", measured_files())
    assert "Recommendation" in fragment([run, run])


def test_a_run_that_cannot_be_read_is_named_beside_the_others(tmp_path: Path) -> None:
    good, old, damaged, unmeasured = (
        keep(tmp_path, name, measured_files()) for name in ("good", "old", "damaged", "unmeasured")
    )
    old.benchmark.write_text(json.dumps(of_version_1(measured_files())))
    damaged.benchmark.write_text("{")
    unmeasured.benchmark.unlink()
    page = Page(fragment([good, old, damaged, unmeasured]))
    assert {it["data-run"] for it in table_rows(page)} == {"good/version_0", "old/version_0"}
    words = "".join(page.words)
    assert "damaged/version_0 is not shown. " in words
    assert "unmeasured/version_0 is not shown. " in words


def link_out(run: Run) -> None:
    outside = run.folder.parent.parent / "outside.json"
    (run.folder / "benchmark.json").rename(outside)
    (run.folder / "benchmark.json").symlink_to(outside)


def damage(text: str) -> Any:
    return lambda run: (run.folder / "benchmark.json").write_text(text)


DAMAGES = {
    "none": lambda run: (run.folder / "benchmark.json").unlink(),
    "no JSON": damage("{"),
    "no object": damage("[]"),
    "a later version": damage('{"schema_version": 99}'),
    "no figures": damage('{"schema_version": 2}'),
    "deeply nested": damage("[" * 100_000),
    "a link out of the run": link_out,
    "a folder": lambda run: (
        (run.folder / "benchmark.json").unlink(),
        (run.folder / "benchmark.json").mkdir(),
    ),
}


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("count", [1, 2])
def test_a_measurement_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, kind: str, count: int
) -> None:
    runs = [keep(tmp_path, f"run{number}", measured_files()) for number in range(count)]
    for run in runs:
        DAMAGES[kind](run)
    with pytest.raises(UsageError) as raised:
        fragment(runs)
    assert "\n" not in str(raised.value)
    assert "run0" in str(raised.value) or kind == "a link out of the run"


def test_a_folder_that_may_not_be_read_is_named_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, closed = (keep(tmp_path, name, measured_files()) for name in ("good", "closed"))
    is_file = Path.is_file

    def refusing(path: Path) -> bool:
        if path.is_relative_to(closed.folder):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refusing)
    words = "".join(Page(fragment([good, closed])).words)
    assert "closed/version_0 is not shown. " in words
    assert "expected a folder that can be read; found Permission denied;" in words
    with pytest.raises(UsageError, match="Permission denied"):
        fragment([closed])


def test_a_file_larger_than_any_measurement_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = keep(tmp_path, "small", measured_files())
    monkeypatch.setattr(files, "LARGEST_BYTES", 1000)
    with pytest.raises(UsageError, match=r"benchmark\.json: expected at most 0 MB"):
        fragment([run])


def test_a_measurement_of_more_rows_than_any_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert files.LARGEST_BYTES <= 8_000_000
    run = keep(tmp_path, "long", results(*(row(f"onnx_{n}") for n in range(files.MOST_ROWS + 1))))
    with pytest.raises(UsageError, match=r"benchmark\.json: expected at most 200 rows; found 201"):
        fragment([run])
    good = keep(tmp_path, "good", measured_files())
    assert "long/version_0 is not shown. " in "".join(Page(fragment([good, run])).words)


def test_a_run_beyond_the_rows_that_can_be_compared_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"first": 3, "second": 2, "third": 1}
    runs = [
        keep(tmp_path, name, results(*(row(f"onnx_{n}") for n in range(count))))
        for name, count in counts.items()
    ]
    monkeypatch.setattr(files, "MOST_COMPARED_ROWS", 4)
    page = Page(fragment(runs))
    words = "".join(page.words)
    assert "second/version_0 is not shown: the runs would have more than 4 rows" in words
    assert {attributes["data-run"] for attributes in table_rows(page)} == {
        "first/version_0",
        "third/version_0",
    }


def test_a_file_that_cannot_be_read_is_not_told_to_be_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, closed = (keep(tmp_path, name, measured_files()) for name in ("good", "closed"))
    unlimited = Path.read_text

    def refusing(path: Path, **options: Any) -> str:
        if path == closed.benchmark:
            raise OSError(errno.EMFILE, "Too many open files", str(path))
        return unlimited(path, **options)

    monkeypatch.setattr(Path, "read_text", refusing)
    sentence = "expected a file that can be read; found Too many open files; try again"
    with pytest.raises(UsageError, match=sentence):
        fragment([closed])
    shown = files.fragment([good, closed])
    assert sentence in "".join(Page(shown.html).words)
    assert not shown.is_whole
    assert files.fragment([good, good]).is_whole


def test_runs_without_a_common_batch_size_are_refused(tmp_path: Path) -> None:
    one = keep(tmp_path, "one", results(row("eager", latency=[latency(1, 0.1)])))
    two = keep(tmp_path, "two", results(row("eager", latency=[latency(4, 0.1)])))
    with pytest.raises(
        UsageError, match=r"none in common: one/version_0 \[1\]; two/version_0 \[4\]"
    ):
        fragment([one, two])


def test_no_run_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one run"):
        fragment([])


def hostile() -> dict[str, Any]:
    """Return a measurement with markup in every text that may have any."""
    profile = INT8_PROFILE | {
        "operators": {SCRIPT: 0.75},
        "by_precision": {"int8": {"QLinearConv": 0.75}, SCRIPT: {SCRIPT: 0.25}},
    }
    traced = {"trace": {"file": "a.json.gz", "bytes": 5}, "profile": profile}
    measured = results(
        row("eager"),
        row("onnx_int8", precision="int8", **traced),
        row("onnx", **FAILED | {"reason": SCRIPT}),
        row("other", trace_reason=SCRIPT),
    )
    names = [f"<b onload=1>{number}" for number in range(10)]  # a separator would be refused
    measured |= {"model": SCRIPT, "class_names": names}
    measured["dataset"]["name"] = measured["environment"]["cpu"] = SCRIPT
    return measured


@pytest.mark.parametrize("count", [1, 2])
def test_markup_in_any_name_of_a_run_stays_text(tmp_path: Path, count: int) -> None:
    runs = [keep(tmp_path, f"run{number}", hostile()) for number in range(count)]
    text = fragment(runs, [f'{SCRIPT}{number}" onload="' for number in range(count)])
    page = Page(text)
    assert "script" not in [tag for tag, _ in page.tags]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "".join(page.words).count(SCRIPT) > 3
    if count > 1:
        assert f'{SCRIPT}1" onload="' in {it["data-run"] for it in table_rows(page)}


def without_ids(text: str) -> str:
    return re.sub(r"tradeoff(-\d+)?-[0-9a-f]{8}", "tradeoff", text)


@pytest.mark.slow
def test_fragments_can_be_made_in_several_threads(tmp_path: Path) -> None:
    one, two = (keep(tmp_path, name, measured_files()) for name in ("one", "two"))
    jobs = [[one], [one, two]] * 3
    settings = dict(mpl.rcParams)
    expected = [without_ids(fragment(runs)) for runs in jobs[:2]]
    with ThreadPoolExecutor(len(jobs)) as pool:
        made = [without_ids(text) for text in pool.map(fragment, jobs)]
    assert made == expected * 3
    assert dict(mpl.rcParams) == settings


def test_a_fragment_needs_neither_torch_nor_lightning_nor_pyplot(tmp_path: Path) -> None:
    folders = [str(keep(tmp_path, name, measured_files()).folder) for name in ("one", "two")]
    program = f"""
import sys
from src.run.folder import Run
from src.tensorboard_plugin.files import fragment
runs = [Run.of(folder) for folder in {folders!r}]
assert "<table" in fragment(runs[:1]).html and "<table" in fragment(runs).html
print(*sorted({{name.split(".")[0] for name in sys.modules}}), *sorted(sys.modules))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    imported = set(ended.stdout.split())
    assert "matplotlib" in imported
    assert not imported & {"torch", "lightning", "torchvision", "matplotlib.pyplot"}
