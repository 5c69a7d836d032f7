"""The page of ``examples/browser``: its files, and its answers in a real browser."""

from __future__ import annotations

import io
import json
import re
import shutil
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from src.run.folder import Run
from src.shipped.accuracy import wilson
from tests.conftest import ROOT
from tests.deployment.test_bundle import bundled
from tests.golden.pixels import GOLDEN
from tests.support import browser
from tests.support.browser import Page
from tests.support.browser_example import EXAMPLE, give, installed, served

CHROMIUM = browser.program()
IMPORT = re.compile(r'(?:from|import) "(\./[^"]+)"')
POLICY = {
    "default-src": "'none'",
    "script-src": "'self' 'wasm-unsafe-eval'",
    "connect-src": "'self'",
    "img-src": "'self' blob:",
    "style-src": "'self'",
    "worker-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
}
SCRIPTS = sorted(EXAMPLE.glob("*.js"))
NOT_DECODED = {"pa.tif", "cmyk.tif", "i16b.tif", "rgb_turned.tif", "i.pgm"}  # by a browser
TURNED_AND_TRANSPARENT = {f"turned_{kind}.png" for kind in ("l_trns", "la", "rgba", "p_trns")}
WITHIN = 0.1 + 0.005  # in percent: fp32 on another runtime, and two decimals


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def modules(name: str) -> set[str]:
    """A script of the page and all that it imports, at any depth."""
    return {name}.union(
        *(
            {imported.removeprefix("./")}
            if "node_modules" in imported
            else modules(imported.removeprefix("./"))
            for imported in IMPORT.findall(text_of(EXAMPLE / name))
        )
    )


def test_the_page_allows_itself_and_webassembly_alone() -> None:
    [policy] = re.findall(
        r'Content-Security-Policy"\s+content="([^"]+)"', text_of(EXAMPLE / "index.html")
    )
    directives = (entry.strip().partition(" ") for entry in policy.split(";"))
    assert {name: value for name, _, value in directives} == POLICY


def test_the_page_names_no_address_and_evaluates_nothing() -> None:
    page = text_of(EXAMPLE / "index.html").partition("-->")[2]  # its head has the commands
    assert re.findall(r'(?:src|href)="([^"]+)"', page) == ["icon.svg", "style.css", "page.js"]
    assert not re.search(r"\son\w+=|<style|<script>", page)
    for path in SCRIPTS:
        code = re.sub(r"^\s*(//|\*|/\*).*$", "", text_of(path), flags=re.MULTILINE)
        assert not re.search(r"https?:|\beval\(|new Function|innerHTML|insertAdjacentHTML", code), (
            path
        )


def test_the_page_keeps_all_of_its_files_for_a_time_without_a_network() -> None:
    worker = text_of(EXAMPLE / "service_worker.js")
    [runtime] = re.findall(r'RUNTIME = "([^"]+)"', worker)
    [names] = re.findall(r"FILES = \[(.*?)\]", worker, re.DOTALL)
    kept = {name.replace("${RUNTIME}", runtime) for name in re.findall(r'["`](.+?)["`],', names)}
    [wasm] = re.findall(r'WASM = "\./([^"]+)"', text_of(EXAMPLE / "runtime.js"))
    bundle = {
        f"model/{name}"
        for name in ("class_names.json", "expected.json", "test_image.png", "model.onnx")
    }
    assert kept == {"./", "style.css", "icon.svg", wasm} | modules("page.js") | bundle


def test_the_standard_library_serves_each_file_as_a_browser_asks_for_it() -> None:
    types = {".js": "javascript", ".css": "css", ".html": "html", ".svg": "svg"}
    with served(EXAMPLE) as address:
        for path in sorted(EXAMPLE.iterdir()):
            if path.suffix not in types:
                continue
            with urllib.request.urlopen(address + path.name, timeout=5) as answer:  # noqa: S310  # loopback
                assert types[path.suffix] in answer.headers["Content-Type"], path
                assert answer.read() == path.read_bytes()


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_the_size_of_an_image_is_known_by_its_header() -> None:
    image = Image.effect_noise((311, 97), 50).convert("RGB")
    exif = Image.Exif()
    exif[0x010E] = "a" * 3000  # a segment before the frame
    files = [
        encoded(image, "PNG"),
        encoded(image, "GIF"),
        encoded(image, "BMP"),
        encoded(image, "WEBP"),
        encoded(image, "WEBP", lossless=True),
        encoded(image, "WEBP", exif=exif),
        encoded(image, "JPEG", exif=exif),
        encoded(image, "JPEG", progressive=True),
        b"no image",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 100_000, 100_000),
        b"",
    ]
    program = f"""import {{ imageSize }} from "{(EXAMPLE / "image_size.js").as_uri()}";
const files = {json.dumps([list(file) for file in files])};
const blobs = files.map((bytes) => new Blob([new Uint8Array(bytes)]));
const sizes = await Promise.all(blobs.map((blob) => imageSize(blob)));
console.log(JSON.stringify(sizes.map((size) => size && [size.width, size.height])));"""
    expected = [[311, 97]] * 8 + [None, None, [100_000, 100_000], None]
    assert in_node(program) == expected


def in_node(program: str) -> Any:
    """Return the JSON that a program of JavaScript prints; skip the test without node."""
    if shutil.which("node") is None:
        pytest.skip("no node")
    ended = subprocess.run(
        ["node", "--input-type=module", "-"],
        input=program,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def saved(save: Callable[..., None], **arrays: Any) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def test_the_page_reads_the_arrays_of_an_exam() -> None:
    rng = np.random.default_rng(1)
    arrays = {
        "labels": np.array([3, 0, 2]),
        "answers": rng.normal(size=(3, 5)).astype(np.float32),
        "doubles": rng.normal(size=(2, 0)),
        "small": np.array([[-7]], np.int32),
    }
    whole = saved(np.savez, **arrays)
    refused = [
        whole[:-30],
        whole[: len(whole) // 2] + whole[-300:],
        saved(np.savez_compressed, **arrays),
        saved(np.savez, answers=np.asfortranarray(arrays["answers"])),
        saved(np.savez, names=np.array(["a", "b"])),
        saved(np.savez, big=arrays["answers"].astype(">f4")),
        b"",
        b"no file of arrays, but long enough to look for its end",
    ]
    given = in_node(
        f"""import {{ readArrays }} from "{(EXAMPLE / "arrays.js").as_uri()}";
const files = {json.dumps([list(file) for file in (whole, *refused)])};
const read = (bytes) => {{
  try {{
    const arrays = readArrays(new Uint8Array(bytes).buffer);
    return Object.entries(arrays).map(([name, {{ shape, values }}]) => [name, shape, [...values]]);
  }} catch (error) {{
    return error.message;
  }}
}};
console.log(JSON.stringify(files.map(read)));"""
    )
    assert given[0] == [
        [name, list(array.shape), array.astype(np.float64).ravel().tolist()]
        for name, array in arrays.items()
    ]
    for message in given[1:]:
        assert message.startswith("not a file of arrays: "), message


def test_the_interval_of_the_page_is_that_of_the_exam() -> None:
    shares = [(0, 64), (1, 64), (3, 200), (64, 64), (0, 1)]
    given = in_node(
        f"""import {{ wilson }} from "{(EXAMPLE / "interval.js").as_uri()}";
console.log(JSON.stringify({json.dumps(shares)}.map(([part, whole]) => wilson(part, whole))));"""
    )
    for (part, whole), (low, high) in zip(shares, given, strict=True):
        expected = wilson(part, whole)
        assert low == pytest.approx(max(0, expected[0]), abs=1e-12)
        assert high == pytest.approx(min(1, expected[1]), abs=1e-12)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if CHROMIUM is None:
        pytest.skip("no Chromium is on the PATH")
    return installed(tmp_path_factory.mktemp("browser") / "page")


@pytest.fixture(scope="module")
def bundle(run: Run, started_in: None, example: Path) -> Path:
    """The page's folder, with a bundle in it."""
    bundled(run, example / "model.zip", "format=onnx_fp32", "embedded=true", "exam=12")
    return example


@pytest.fixture
def open_page(tmp_path: Path) -> Iterator[Callable[[], Page]]:
    assert CHROMIUM is not None
    with browser.chromium(CHROMIUM, tmp_path / "profile") as new_page:
        yield new_page


CHECKED = "document.title.startsWith('check ')"
STATUS = "document.getElementById('status').textContent"


@pytest.mark.slow
def test_a_bundle_passes_its_check_and_the_page_works_without_its_server(
    bundle: Path, open_page: Callable[[], Page]
) -> None:
    page = open_page()
    with served(bundle) as address:
        page.open(f"{address}#check", CHECKED)
        assert page.run("document.title") == "check passed", page.run(STATUS)
        assert page.run(STATUS).startswith("test_image.png: ")
        page.wait("document.getElementById('offline').textContent.includes('without a network')")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address, timeout=5)  # noqa: S310  # loopback
    page.reload(CHECKED)
    assert page.run("document.title") == "check passed", page.run(STATUS)
    assert page.errors == []
    assert [name for name in page.requests if not name.startswith(address)] == []


@pytest.mark.slow
@pytest.mark.parametrize("change", ["class", "probabilities", "tolerance"])
def test_another_answer_than_the_expected_one_fails_the_check(
    bundle: Path, tmp_path: Path, open_page: Callable[[], Page], change: str
) -> None:
    folder = shutil.copytree(bundle, tmp_path / "page")
    path = folder / "model" / "expected.json"
    expected = json.loads(text_of(path))
    wrong = {
        "class": "another",
        "probabilities": [value + 0.01 for value in expected["probabilities"]],
        "tolerance": -1.0,
    }
    path.write_text(json.dumps({**expected, change: wrong[change]}), encoding="utf-8")
    page = open_page()
    with served(folder) as address:
        page.open(f"{address}#check", CHECKED)
        assert page.run("document.title") == "check failed"
        assert "check failed: expected" in page.run(STATUS)


EXAMINED = "document.title.startsWith('exam ')"


@pytest.mark.slow
def test_the_exam_is_taken_in_the_page(bundle: Path, open_page: Callable[[], Page]) -> None:
    facts = json.loads(text_of(bundle / "model" / "exam" / "exam.json"))
    page = open_page()
    with served(bundle) as address:
        page.open(f"{address}#exam", EXAMINED)
        status = page.run(STATUS)
        page.wait("document.getElementById('offline').textContent.includes('without a network')")
    assert page.run("document.title") == "exam passed", status
    assert status.startswith(f"exam passed: 0 of {len(facts['images'])} answers flip")
    assert page.errors == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("names", "the class 1 has another name than where the model was packed"),
        ("model", "model.onnx is another file than was packed"),
        ("answers", "a probability differs by "),
        ("pixels", "a probability differs by "),
        ("image", "image cannot be read"),
        ("arrays", "exam/answers.npz: expected an answer of each class to each image"),
        ("none", "exam/exam.json: expected it in"),
    ],
)
def test_an_exam_that_does_not_hold_in_the_page_names_its_reason(
    bundle: Path, tmp_path: Path, open_page: Callable[[], Page], change: str, problem: str
) -> None:
    folder = shutil.copytree(bundle, tmp_path / "page")
    model = folder / "model"
    answers = model / "exam" / "answers.npz"
    facts = json.loads(text_of(model / "exam" / "exam.json"))
    first = model / "exam" / facts["images"][0]
    arrays = dict(np.load(answers))
    match change:
        case "names":
            names = facts["class_names"]
            names = [names[0], "another", *names[2:]]
            (model / "class_names.json").write_text(json.dumps(names))
        case "model":
            network = onnx.load(model / "model.onnx")
            network.doc_string += "another"
            onnx.save(network, model / "model.onnx")
        case "answers":
            np.savez(answers, **{**arrays, "answers": np.roll(arrays["answers"], 1, axis=1)})
        case "pixels":
            Image.effect_noise((64, 64), 90).save(first)
        case "image":
            first.write_bytes(b"no image")
            problem = f"exam/{first.name}: not an image that this browser can decode"
        case "arrays":
            np.savez(answers, **{**arrays, "answers": arrays["answers"][:, 1:]})
        case "none":
            shutil.rmtree(model / "exam")
    page = open_page()
    with served(folder) as address:
        page.open(f"{address}#exam", EXAMINED)
        assert page.run("document.title") == "exam failed"
        assert problem in page.run(STATUS)


@pytest.mark.slow
def test_a_page_without_a_fitting_bundle_names_the_remedy(
    run: Run, started_in: None, example: Path, tmp_path: Path, open_page: Callable[[], Page]
) -> None:
    folder = shutil.copytree(example, tmp_path / "page", ignore=shutil.ignore_patterns("model"))
    page = open_page()
    with served(folder) as address:
        page.open(address, "document.title === 'failed'")
        assert "class_names.json: expected it in" in page.run(STATUS)
        bundled(run, folder / "model.zip", "format=onnx_fp32")
        page.reload("document.title === 'failed'")
        assert "make the bundle with embedded=true" in page.run(STATUS)


def images(folder: Path) -> list[Path]:
    """Images that a browser may read in another way than Pillow, of a photo-like pattern."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    small = Image.fromarray(rng.integers(0, 256, (9, 13, 3), dtype=np.uint8))
    image = small.resize((390, 270), Image.Resampling.BICUBIC)
    turned = Image.Exif()
    turned[0x0112] = 6
    alpha = image.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(folder / "turned.jpg", exif=turned, quality=95)
    image.convert("L").save(folder / "grey.png")
    alpha.save(folder / "alpha.png")
    image.resize((4000, 2600), Image.Resampling.BICUBIC).save(folder / "large.jpg", quality=90)
    image.quantize(64).save(folder / "palette.png")
    image.save(folder / "lossless.webp", lossless=True)
    return sorted(folder.iterdir())


@pytest.mark.slow
def test_the_page_answers_as_the_bundles_program(
    bundle: Path, tmp_path: Path, open_page: Callable[[], Page]
) -> None:
    paths = images(tmp_path / "images")
    ended = subprocess.run(
        [sys.executable, bundle / "model" / "predict.py", "--json", *paths],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    page = open_page()
    with served(bundle) as address:
        page.open(address, "!document.getElementById('files').disabled")
        shown = give(page, paths)
    for line in map(json.loads, ended.stdout.splitlines()):
        answer = shown[Path(line["image"]).name]
        assert answer["error"] is None, line["image"]
        assert answer["top"][0][0] == line["top"][0]["class"], line["image"]
        probabilities = dict(answer["top"])
        for top in line["top"]:
            assert abs(probabilities[top["class"]] - 100 * top["probability"]) < WITHIN, line[
                "image"
            ]
    assert page.errors == []


@pytest.mark.slow
def test_a_file_that_is_no_image_or_too_large_is_named_and_the_next_one_is_answered(
    bundle: Path, tmp_path: Path, open_page: Callable[[], Page]
) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    huge = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 100_000, 100_000)
    (tmp_path / "<b>huge.png").write_bytes(huge)
    Image.new("RGB", (8, 8)).save(tmp_path / "good.png")
    names = ("notes.txt", "<b>huge.png", "good.png")
    page = open_page()
    with served(bundle) as address:
        page.open(address, "!document.getElementById('files').disabled")
        shown = give(page, [tmp_path / name for name in names])
    assert shown["notes.txt"]["error"] == "notes.txt: not an image that this browser can decode"
    assert "100000x100000 pixels, more than 50000000" in shown["<b>huge.png"]["error"]
    assert shown["good.png"]["top"]
    assert page.errors == []


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is on the PATH")
def test_the_page_reads_the_golden_pixels(tmp_path: Path, open_page: Callable[[], Page]) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    for path in (EXAMPLE / "image_file.js", EXAMPLE / "image_size.js"):
        shutil.copy(path, folder)
    (folder / "index.html").write_text("<!doctype html><title>ready</title>")
    GOLDEN.write(folder / "golden")
    page = open_page()
    with served(folder) as address:
        page.open(address, "document.title === 'ready'")
        given = page.run(
            f"""(async () => {{
              const {{ readImage }} = await import("{address}image_file.js");
              const given = {{}};
              for (const name of {json.dumps(GOLDEN.names)}) {{
                const file = await (await fetch(`golden/${{name}}`)).blob();
                given[name] = await readImage(file).then(
                  ({{ data, height, width }}) => [height, width, [...data]],
                  (error) => error.message,
                );
              }}
              return given;
            }})()"""
        )
    assert {name for name, answer in given.items() if isinstance(answer, str)} == NOT_DECODED
    for name in set(GOLDEN.names) - NOT_DECODED:
        height, width, data = given[name]
        pixels = np.array(data, np.int64).reshape(height, width, 3)
        expected = GOLDEN.rgb(name).astype(np.int64)
        assert pixels.shape == expected.shape, name
        # Chromium turns an image by a canvas of its own, which loses colours below transparency.
        if name not in TURNED_AND_TRANSPARENT:
            most = 1 if "i16" in name or "cmyk" in name else 0
            assert np.abs(pixels - expected).max() <= most, name


@pytest.mark.slow
def test_a_run_is_measured_in_chromium(
    run: Run,
    started_in: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import benchmark_browser as script

    page = tmp_path / "page.md"
    page.write_text(f"before\n{script.BEGIN}\nold\n{script.END}\nafter\n")
    monkeypatch.setattr(script, "PAGE", page)
    words = ["--processes", "2", "--rounds", "1", "--images", "5", "--write"]
    monkeypatch.setattr(sys, "argv", ["benchmark_browser.py", str(run.folder), *words])
    script.main()
    printed = capsys.readouterr().out
    assert re.search(r"`onnx_fp32` .* \| 0 of 5 \|", printed)
    assert re.search(r"`onnx_int8` .* of 5 \|", printed)
    text = page.read_text()
    assert "old" not in text
    assert printed.strip() in text
