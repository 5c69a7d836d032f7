"""The plugin's page in a real browser and a real TensorBoard: every view, by mouse and keyboard."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from tests.conftest import ROOT
from tests.support import browser
from tests.support.browser import Page
from tests.tensorboard_plugin.profiled_runs import HOSTILE, SCALARS, hostile_copy, profiled_run

CHROMIUM = browser.program()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH"),
]

RUN = "planted/version_0"
STRANGERS = f"strangers/{HOSTILE}"
VIEWER = "document.querySelector('.timeline').contentDocument"  # speedscope's
VIEWS = ("overview", "operators", "trace", "files")
# Expressions that are true when a view shows its figures.
READY = {
    "overview": "document.querySelectorAll('#panel-overview .curve').length >= 5",
    "operators": "document.querySelectorAll('.data tbody tr').length > 1",
    "trace": f"{VIEWER}.querySelector('canvas').width > 1",
    "files": "document.querySelectorAll('.fragment th button').length > 3",
}
# TensorBoard with this clone's plugin, whatever is installed.
SERVER = """
import sys
from tensorboard import default, program
from src.tensorboard_plugin.plugin import LightshipPlugin

board = program.TensorBoard(plugins=[*default.get_static_plugins(), LightshipPlugin])
board.configure(argv=["tensorboard", *sys.argv[1:]])
sys.exit(board.main())
"""


@pytest.fixture(scope="module")
def log_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    run = profiled_run(folder / RUN)
    hostile_copy(run, folder / "strangers" / HOSTILE)
    return folder


@contextmanager
def tensorboard(log_folder: Path, log: Path, port: int = 0) -> Iterator[str]:
    """Start TensorBoard under a path prefix and yield the address of its page."""
    options = ("--logdir", str(log_folder), "--port", str(port), "--host", "127.0.0.1")
    with (
        log.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-c", SERVER, *options, "--path_prefix=/below", "--load_fast=false"],
            cwd=ROOT,
            stderr=output,
        ) as server,
    ):
        try:
            deadline = time.monotonic() + browser.SECONDS
            while not (match := re.search(r"http://127\.0\.0\.1:\d+/below/", log.read_text())):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield match.group()
        finally:
            server.kill()
    assert "Traceback" not in log.read_text()
    assert "will become an error" not in log.read_text()  # TensorBoard's rules for plugins


@pytest.fixture(scope="module")
def address(log_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with tensorboard(log_folder, tmp_path_factory.mktemp("server") / "log.txt") as address:
        yield address


@pytest.fixture(scope="module")
def new_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Page]]:
    assert CHROMIUM is not None
    with browser.chromium(CHROMIUM, tmp_path_factory.mktemp("chromium")) as open_page:
        yield open_page


@pytest.fixture
def page(new_page: Callable[[], Page], address: str) -> Iterator[Page]:
    """Yield a page; at its end, nothing was in its console and nobody else was asked."""
    page = new_page()
    page.look()
    yield page
    page.close()
    # TensorBoard itself asks in vain for fonts under a path prefix, and Chromium for an icon.
    ours = "/data/plugin/lightship/"
    assert [error for error in page.errors if "404" not in error or ours in error] == []
    assert {urlsplit(request).netloc for request in page.requests} == {urlsplit(address).netloc}


def open_view(page: Page, address: str, view: str, **state: str) -> None:
    page.open(framed(address, view=view, **{"run": RUN, **state}), READY[view])


def framed(address: str, **state: str) -> str:
    """Return the address of the document that TensorBoard shows in its frame."""
    fields = "&".join(f"{name}={quote(value, safe='')}" for name, value in state.items())
    return f"{address}data/plugin_entry.html?name=lightship#{fields}"


def shown(page: Page, selector: str) -> list[str]:
    texts: list[str] = page.run(
        f"[...document.querySelectorAll({selector!r})].map((element) => element.innerText)"
    )
    return texts


def click(page: Page, selector: str) -> None:
    page.run(f"document.querySelector({selector!r}).click()")


def change_answer(page: Page, path: str, change: str) -> None:
    """Change what the server answers to a path; `change` is a JavaScript function of the JSON."""
    source = f"""{{
      const usual = window.fetch;
      const change = {change};
      window.fetch = async (url, options) => {{
        const answer = await usual(url, options);
        if (!answer.ok || !new URL(url).pathname.endsWith("/lightship/{path}")) return answer;
        const json = await answer.json();
        change(json);
        return new Response(JSON.stringify(json));
      }};
    }}"""
    page.ask("Page.addScriptToEvaluateOnNewDocument", source=source)


def first_answer(change: str) -> str:
    """Return the function that changes the first answer alone."""
    return f"(() => {{ let count = 0; return (answer) => count++ || {change}; }})()"


def choose(page: Page, selector: str, value: str) -> None:
    page.run(
        f"{{ const select = document.querySelector({selector!r}); select.value = {value!r};"
        " select.dispatchEvent(new Event('change')); }"
    )


def test_tensorboard_shows_the_plugin_in_a_tab(page: Page, address: str) -> None:
    inside = "document.querySelector('iframe').contentDocument"
    page.open(f"{address}#lightship", f"{inside}.querySelectorAll('.bars svg').length")
    assert page.run(f"{inside}.querySelectorAll('[role=tab]').length") == len(VIEWS)
    assert page.run(f"{inside}.title") == "Lightship"


def test_overview_shows_parts_of_steps_and_the_throughput(page: Page, address: str) -> None:
    open_view(page, address, "overview")
    assert "of a training step" in shown(page, ".ship p")[0]
    labels = page.run("[...document.querySelectorAll('.bars svg')].map((bar) => bar.ariaLabel)")
    assert len(labels) == 2
    assert all("forward" in label and "backward" in label for label in labels)
    assert [text.split()[-1] for text in shown(page, "#panel-overview tbody th")[:2]] == ["0", "1"]
    titles = " ".join(shown(page, ".charts figcaption"))
    assert "Images a second" in titles
    click(page, ".figures summary")
    page.wait("document.querySelectorAll('.figures tbody tr').length > 3")


def test_operators_are_sorted_filtered_and_grouped(page: Page, address: str) -> None:
    open_view(page, address, "operators")
    figures = [float(text) for text in shown(page, ".data td:nth-child(2)")]
    assert figures == sorted(figures, reverse=True)
    assert figures[0] > 0
    click(page, "#sort-name")
    page.wait("document.querySelector('[aria-sort=ascending] #sort-name')")
    names = shown(page, ".data tbody th")
    assert names == sorted(names, key=str.lower) or names == sorted(names)
    assert page.run("document.activeElement.id") in {"", "sort-name"}
    page.run("document.querySelector('#filter').focus()")
    page.type("CONVOL")
    page.wait(f"document.querySelectorAll('.data tbody tr').length < {len(names)}")
    assert all("convol" in name.lower() for name in shown(page, ".data tbody th"))
    assert re.fullmatch(r"\d+ of \d+ rows", shown(page, "output")[0])
    click(page, "input[value=shapes]")
    page.wait("document.querySelector('#sort-shapes')")
    assert "[[4, 3, 16, 16]" in " ".join(shown(page, ".data td.shapes"))
    click(page, "input[value=stack]")
    page.wait("document.querySelector('.stack summary')")
    click(page, ".stack summary")
    page.wait("document.querySelectorAll('.stack details[open] div').length > 1")
    click(page, "input[value=window]")
    page.wait("!document.querySelector('.data thead').innerText.includes('a step')")


def test_two_windows_are_compared(page: Page, address: str) -> None:
    open_view(page, address, "operators", trace="rank0-1", withrun=RUN, withtrace="rank0-0")
    heads = [head.split("\n")[0].strip() for head in shown(page, ".data thead button")]
    assert heads[:5] == ["Operator", "A", "B", "Difference", "Ratio"]
    differences = [abs(float(text)) for text in shown(page, ".data td:nth-child(4)")]
    assert differences == sorted(differences, reverse=True)
    a, b = (float(shown(page, f".data td:nth-child({column})")[0]) for column in (2, 3))
    assert abs(b - a) == pytest.approx(differences[0], abs=0.002)


def test_a_row_of_one_window_alone_is_shown(page: Page, address: str) -> None:
    open_view(page, address, "operators", withrun=STRANGERS, filter="mm")
    page.wait("document.querySelector('.data tbody')")
    names, ratios = (shown(page, f".data {cell}") for cell in ("tbody th", "td:nth-child(5)"))
    remarks = dict(zip(names, ratios, strict=True))
    assert remarks["aten::addmm"] == "only A"


def test_the_filtered_table_is_saved_as_csv(page: Page, address: str) -> None:
    open_view(page, address, "operators", filter="convolution")
    page.run(
        "void (window.saved = new Promise((resolve) => {"
        "URL.createObjectURL = (blob) => (resolve(blob.text()), 'data:,')}))"
    )
    page.run(
        "[...document.querySelectorAll('button')].find((b) => /CSV/.test(b.innerText)).click()"
    )
    lines = page.run("window.saved").split("\r\n")
    assert lines[0].startswith('Operator,"Self, host (ms a step)"')
    assert all("convolution" in line.lower() for line in lines[1:-1])
    assert len(lines) - 2 == len(shown(page, ".data tbody tr"))


def test_the_trace_opens_in_its_viewer(page: Page, address: str) -> None:
    open_view(page, address, "trace", trace="rank0-0")
    page.wait(f"{VIEWER}.title.includes('epoch 0')")
    asked = [request for request in page.requests if "/timeline?" in request]
    assert len(asked) == 2  # once to know whether it can be shown
    assert all("trace=rank0-0" in request for request in asked)
    page.run("document.querySelector('.timeline').focus()")
    assert page.run(f"{VIEWER}.hasFocus()")
    link = page.run("document.querySelector('.trace a').href")
    assert link.startswith(f"{address}data/plugin/lightship/download?")


def test_files_are_sorted_and_lead_to_their_trace(page: Page, address: str) -> None:
    open_view(page, address, "files")
    rows = shown(page, ".fragment table.sortable tbody th")
    assert any("eager" in row for row in rows)
    click(page, ".fragment th button")
    assert page.run("document.querySelector('.fragment th[aria-sort]') !== null")
    click(page, ".fragment .links button")
    page.wait(READY["operators"])
    assert page.run("document.querySelector('#window').value") == "inference-eager-cpu"


def test_files_of_two_runs_are_compared(page: Page, address: str) -> None:
    open_view(page, address, "files", runs=STRANGERS)
    page.wait("document.querySelector('.fragment').innerText.includes('Every model and format')")
    assert page.run("document.querySelectorAll('.boxes input:checked').length") == 1


@pytest.mark.parametrize("view", VIEWS[1:])
def test_a_reload_keeps_what_was_chosen(page: Page, address: str, view: str) -> None:
    open_view(page, address, "overview")
    # The first window; the page would choose the last one.
    click(page, "#panel-overview tbody tr button")
    page.wait(READY["operators"])
    click(page, f"#tab-{view}")
    page.wait(READY[view])
    before = page.run("location.hash")
    assert "rank0-0" in before
    page.reload(READY[view])
    assert page.run("location.hash") == before
    assert page.run("document.querySelector('[role=tab][aria-selected=true]').id") == f"tab-{view}"
    assert page.run("document.querySelector('#window').value") in {"rank0-0", ""}


def test_a_reload_of_tensorboard_keeps_the_view(page: Page, address: str) -> None:
    inside = "document.querySelector('iframe').contentDocument"
    page.open(f"{address}#lightship", f"{inside}.querySelectorAll('.bars svg').length")
    page.run(f"{inside}.querySelector('#tab-operators').click()")
    page.wait(f"{inside}.querySelector('.data')")
    page.reload(f"{inside}.querySelector('.data')")


def test_the_keyboard_alone_reaches_each_tab(page: Page, address: str) -> None:
    open_view(page, address, "overview")
    for _ in range(6):
        page.press("Tab")
        if page.run("document.activeElement.getAttribute('role')") == "tab":
            break
    reached = [page.run("document.activeElement.id")]
    for view in VIEWS[1:]:
        page.press("ArrowRight")
        page.wait(READY[view])
        reached.append(page.run("document.activeElement.id"))
    assert reached == [f"tab-{view}" for view in VIEWS]
    page.press("Home")
    assert page.run("document.activeElement.id") == "tab-overview"
    into_view = "document.querySelector('#panel-overview').contains(document.activeElement)"
    for _ in range(6):
        page.press("Tab")
        if page.run(into_view):
            break
    assert page.run(into_view)


@pytest.mark.parametrize("run", [RUN, STRANGERS], ids=["usual", "hostile"])
@pytest.mark.parametrize("view", VIEWS)
def test_the_page_fits_a_phone(page: Page, address: str, view: str, run: str) -> None:
    page.look(width=360, height=740)
    open_view(page, address, view, run=run)
    assert page.run("document.documentElement.scrollWidth") <= 360
    assert page.run("document.body.scrollWidth") <= 360


# The colours of a text and of what is behind it, as the browser computed them.
COLOURS = """[...document.querySelectorAll("h2, p, td, th, label, button, summary, .bars text")]
  .filter((element) => element.checkVisibility() && element.textContent.trim())
  .map((element) => {
    const style = getComputedStyle(element);
    if (element.tagName === "text") {
      const behind = getComputedStyle(element.parentNode.querySelector("rect")).fill;
      return [element.textContent, style.fill, behind];
    }
    let behind = element;
    const transparent = "rgba(0, 0, 0, 0)";
    while (getComputedStyle(behind).backgroundColor === transparent) behind = behind.parentNode;
    return [element.textContent, style.color, getComputedStyle(behind).backgroundColor];
  })"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_texts_have_enough_contrast(page: Page, address: str, view: str, scheme: str) -> None:
    page.look(scheme=scheme)
    open_view(page, address, view)
    is_dark = luminance(page.run("getComputedStyle(document.body).backgroundColor")) < 0.1
    assert is_dark == (scheme == "dark")
    for text, color, behind in page.run(COLOURS):
        low, high = sorted((luminance(color), luminance(behind)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, color, behind)


def luminance(color: str) -> float:
    """Return the relative luminance (WCAG 2.2) of a colour such as ``rgb(1, 2, 3)``."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("view", VIEWS)
def test_names_of_a_stranger_are_text(page: Page, address: str, view: str) -> None:
    open_view(page, address, view, run=STRANGERS)
    assert HOSTILE in " ".join(shown(page, "#run option"))
    if view in {"operators", "files"}:
        assert HOSTILE in page.run(f"document.querySelector('#panel-{view}').textContent")
    assert page.run("document.querySelectorAll('img[src=x]').length") == 0
    assert page.run("document.title") == "Lightship"
    if view == "trace":
        assert page.run(f"{VIEWER}.querySelectorAll('img').length") == 0


def test_an_unknown_trace_and_run_fall_back(page: Page, address: str) -> None:
    open_view(page, address, "operators", run="../../etc", trace="nonsense")
    assert page.run("document.querySelector('#run').value") in {RUN, STRANGERS}


NO_FIGURE = "\N{EN DASH}"
VALUES_OF_KINDS = "[...document.querySelectorAll('#kind option')].map(({ value }) => value)"
# Rows of a trace of a GPU: one kernel of 2 ms, and what else its time is counted in.
DEVICE_ROWS = """(answer) => {
  const zero = Object.fromEntries(
    Object.entries(answer.operators[0]).filter(([, value]) => typeof value === "number")
      .map(([id]) => [id, 0]));
  const row = (name, kind, seconds, calls = 1) => ({
    ...zero, name, kind, calls, shapes: null, stack: null, device_self_seconds: seconds });
  answer.has_device = true;
  answer.operators = [
    row("aten::mm", "operator", 0.002), row("gemm", "kernel", 0.002),
    row("forward", "region", 0, 4), row("forward", "device region", 0.003, 5),
    row("twin", "operator", 0, 6), row("twin", "operator", 0, 7)];
}"""


def test_shares_of_the_device_are_of_its_kernels(page: Page, address: str) -> None:
    change_answer(page, "operators", DEVICE_ROWS)
    open_view(page, address, "operators", columns="device")
    names, shares = (shown(page, f".data tbody {cell}") for cell in ("th", "td:nth-child(3)"))
    assert dict(zip(names, shares, strict=True)) | {"twin": "0.0"} == {
        "aten::mm": "100.0",
        "gemm kernel": "100.0",
        "forward region": "0.0",
        "forward device region": NO_FIGURE,
        "twin": "0.0",
    }
    kinds = dict(zip(shown(page, "#kind option"), page.run(VALUES_OF_KINDS), strict=True))
    assert kinds["regions on the device"] == "device region"


def test_no_row_is_lost_when_windows_are_compared(page: Page, address: str) -> None:
    change_answer(page, "operators", DEVICE_ROWS)
    windows = {"trace": "rank0-1", "withrun": RUN, "withtrace": "rank0-0"}
    open_view(page, address, "operators", **windows, figure="calls", per="window")
    columns = [shown(page, f".data tbody {cell}") for cell in ("th", "td:nth-child(2)")]
    columns.append(shown(page, ".data tbody td:nth-child(3)"))
    calls = {name: counts for name, *counts in zip(*columns, strict=True)}
    assert calls["forward region"] == ["4", "4"]
    assert calls["forward device region"] == ["5", "5"]
    assert calls["twin"] == ["13", "13"]
    assert len(columns[0]) == len(calls)


def test_a_window_made_since_the_listing_opens(page: Page, address: str) -> None:
    # The first listing is that of a training which has not reached its second window.
    change_answer(page, "traces", first_answer("answer.traces.splice(1)"))
    open_view(page, address, "operators")
    assert page.run("document.querySelector('#window').value") == "rank0-0"
    click(page, "#tab-overview")
    page.wait(READY["overview"])
    click(page, "#panel-overview tbody tr:nth-child(2) button")
    page.wait("document.querySelector('.operators > .note')?.innerText.includes('epoch 1')")
    assert page.run("document.querySelector('#window').value") == "rank0-1"
    # A trace that no listing has is asked for once.
    asked = len([request for request in page.requests if "/traces?" in request])
    assert asked == 2


def test_files_measured_since_the_listing_lead_to_their_trace(page: Page, address: str) -> None:
    change_answer(page, "traces", first_answer("answer.traces.splice(2)"))
    open_view(page, address, "operators")
    click(page, "#tab-files")
    page.wait(READY["files"])
    page.wait("document.querySelector('.fragment .links button')")


# 200,000 points of each kind, curves without points and without numbers.
MANY_POINTS = """(answer) => {
  const points = Array.from({ length: 200000 }, (_, at) => [at / 1000, at * 1000]);
  const [first, second] = answer.ranks[0].windows;
  first.memory = { cpu: [], gpu: [[0, null]] };
  first.step_seconds = points.map(() => 0.1);
  second.memory = { cpu: points };
  answer.throughput[0].points = points;
  answer.throughput.splice(1, 2, ...[[], [[0, null]]].map((none) => (
    { ...answer.throughput[1], points: none })));
}"""


def test_curves_may_have_many_points_or_none(page: Page, address: str) -> None:
    change_answer(page, "overview", MANY_POINTS)
    page.open(framed(address, view="overview", run=RUN), "document.querySelector('.charts .curve')")
    captions = shown(page, ".charts figcaption")
    assert "200.0 MB" in captions[0]
    assert len([caption for caption in captions if "highest" in caption]) == 1
    assert len(captions) == 1 + len(SCALARS) - 2
    click(page, ".figures summary")
    page.wait("document.querySelectorAll('.figures tbody tr').length === 1001")
    assert shown(page, ".figures .note") == ["One of 200 points, and the last."]


def test_each_rank_shows_its_last_memory_curves(page: Page, address: str) -> None:
    change = """({ ranks }) => {
      const [{ windows: [window] }] = ranks;
      const windows = [0, 1, 2].map((epoch) => ({ ...window, label: `training, epoch ${epoch}` }));
      ranks.splice(0, 1, ...[0, 1].map((rank) => ({ rank, advice: [], windows })));
    }"""
    change_answer(page, "overview", change)
    open_view(page, address, "overview")
    captions = [text for text in shown(page, ".charts figcaption") if "highest" in text]
    assert [re.findall(r"\d", text)[:2] for text in captions] == [
        [epoch, rank] for rank in "01" for epoch in "12"
    ]
    page.run("[...document.querySelectorAll('button')].at(-1).focus()")
    assert page.run("document.activeElement.innerText") == "Show all 6 curves"
    page.press("Enter")
    captions = [text for text in shown(page, ".charts figcaption") if "highest" in text]
    assert len(captions) == 6
    assert page.run("document.activeElement.querySelector('figcaption').innerText") == captions[0]


@pytest.mark.parametrize("view", ["operators", "trace"])
def test_the_focus_stays_when_a_button_of_a_table_leads_to_a_view(
    page: Page, address: str, view: str
) -> None:
    open_view(page, address, "overview")
    page.run(f"document.querySelector('#panel-overview button[aria-label^={view}]').focus()")
    page.press("Enter")
    page.wait(READY[view])
    assert page.run("document.activeElement.id") == f"tab-{view}"


def test_the_last_part_of_a_table_gets_the_focus(page: Page, address: str) -> None:
    change = """(answer) => { answer.operators = Array.from({ length: 300 }, (_, at) => (
      { ...answer.operators[0], name: `operator ${at}`, self_seconds: 300 - at })); }"""
    change_answer(page, "operators", change)
    open_view(page, address, "operators")
    page.run("document.querySelector('#more').focus()")
    page.press("Enter")
    page.wait("document.querySelectorAll('.data tbody tr').length === 300")
    assert page.run("document.activeElement.innerText").strip() == "operator 200"


@pytest.mark.parametrize(
    ("path", "argument"),
    [
        ("logs/planted/version_0", "logs/planted/version_0"),
        ("my logs/it's", "'my logs/it'\\''s'"),
        (None, "RUN"),
    ],
)
def test_the_command_for_a_run_names_its_path(
    page: Page, address: str, path: str | None, argument: str
) -> None:
    fields = json.dumps({"has_measurement": False, "path": path})
    change = f"({{ runs }}) => runs.forEach((run) => Object.assign(run, {fields}))"
    change_answer(page, "runs", change)
    page.open(framed(address, view="files", run=RUN), "document.querySelector('#panel-files pre')")
    assert shown(page, "#panel-files pre") == [f"python -m src.benchmark {argument}"]


@pytest.mark.parametrize("path", ["operators", "traces"])
def test_a_window_that_cannot_be_compared_leaves_the_other(
    new_page: Callable[[], Page], address: str, path: str
) -> None:
    page = new_page()
    refuse = f"""{{
      const usual = window.fetch;
      window.fetch = (address, options) => {{
        const isRefused = address.includes("/{path}?") && address.includes("strangers");
        const sent = isRefused && !window.isMended ? address.replace("run=", "not=") : address;
        return usual(sent, options);
      }};
    }}"""
    page.ask("Page.addScriptToEvaluateOnNewDocument", source=refuse)
    open_view(page, address, "operators", withrun=STRANGERS)
    assert "B cannot be compared" in shown(page, ".failure p")[0]
    assert "Share" in " ".join(shown(page, ".data thead"))  # the table of one window
    page.run("window.isMended = true; document.querySelector('.failure button').focus()")
    page.press("Enter")
    page.wait("document.querySelector('#sort-difference')")
    assert page.run("document.activeElement.id") == "tab-operators"
    page.run("window.isMended = false")
    choose(page, "#withrun", "")
    page.wait("!document.querySelector('#sort-difference')")
    assert shown(page, ".failure") == []
    page.close()


def test_a_page_outlives_its_server(
    new_page: Callable[[], Page], log_folder: Path, tmp_path: Path
) -> None:
    pages = {view: new_page() for view in VIEWS}
    seen = {view: "files" if view == "overview" else "overview" for view in VIEWS}
    button = {view: f"document.querySelector('#panel-{view} .failure button')" for view in VIEWS}
    with tensorboard(log_folder, tmp_path / "first.txt") as address:
        for view, page in pages.items():
            page.ask("Page.bringToFront")  # a tab behind others draws nothing
            open_view(page, address, seen[view])
    for view, page in pages.items():
        page.ask("Page.bringToFront")
        click(page, f"#tab-{view}")
        page.wait(button[view])
        assert "Is it still running?" in shown(page, ".failure p")[0]
        click(page, f"#tab-{seen[view]}")  # which still shows what it has
        page.wait(READY[seen[view]])
        click(page, f"#tab-{view}")
        page.wait(button[view])
        page.run(f"({button[view]}).focus()")
        page.press("Enter")  # in vain
        page.wait(f"document.activeElement === {button[view]}")
    port = urlsplit(address).port
    assert port is not None
    with tensorboard(log_folder, tmp_path / "second.txt", port):
        for view, page in pages.items():
            page.ask("Page.bringToFront")
            page.press("Enter")
            page.wait(READY[view])
            assert page.run("document.activeElement.id") == f"tab-{view}"
            assert shown(page, ".failure") == []
            page.close()


def test_a_reload_in_vain_can_be_tried_again(
    new_page: Callable[[], Page], log_folder: Path, tmp_path: Path
) -> None:
    page = new_page()
    with tensorboard(log_folder, tmp_path / "first.txt") as address:
        open_view(page, address, "operators")
    click(page, ".choosers > button")
    page.wait("document.querySelector('.failure button')")
    port = urlsplit(address).port
    assert port is not None
    with tensorboard(log_folder, tmp_path / "second.txt", port):
        click(page, ".failure button")
        page.wait(READY["operators"])
        assert shown(page, ".failure") == []
    page.close()
