#!/usr/bin/env python3
"""Export networks of torchvision and timm with random weights, check and time every default format.

scripts/check_models.py --root FOLDER            all networks of the list, then writes the table
scripts/check_models.py --root FOLDER NAME ...   these networks
scripts/check_models.py --root FOLDER --page -   prints the table
scripts/check_models.py --root FOLDER --own      formats with an environment of their own instead

Each network has a process and 10 minutes of its own. At 224 pixels most take a minute on two cores
of an AMD EPYC (AVX2), so the whole list takes over an hour. --root keeps the figures, so a second
command goes on. It measures those of another processor or of other versions again. BatchNorm's
statistics are estimated on random images, so that activations have an ordinary size. Without timm
its networks are left out.

--own takes ten networks by default, beside onnx_fp32, and writes a table of their own. They need
the environments, of up to 6 GB, and minutes for each network. Their int8 files are of the plain
recipe, because random weights have no accuracy to judge one by.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import marked_page
import torch
from random_images import CLASSES, RandomImages

from src import formats
from src.benchmark.environment.description import package_versions
from src.benchmark.options import BenchmarkOptions
from src.benchmark.suite import measure
from src.errors import describe
from src.export.options import ExportOptions
from src.export.source import Checkpoint
from src.export.stage import export_run
from src.forecast.costs import candidate_of
from src.forecast.records import Candidate
from src.models.architecture import Architecture
from src.models.network import NetworkSpec
from src.run import reading
from src.run.folder import Run
from src.run.layout import as_dict
from src.system import atomic_files, machine
from src.system.console import StageDisplay, open_console

ROOT = Path(__file__).resolve().parent.parent
SIDE = 224
TORCHVISION = """alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet
inception_v3 maxvit_t mnasnet0_5 mnasnet1_0 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small
regnet_x_400mf regnet_y_1_6gf regnet_y_400mf resnet18 resnet34 resnet50 resnext50_32x4d
shufflenet_v2_x0_5 shufflenet_v2_x1_0 squeezenet1_0 squeezenet1_1 swin_t swin_v2_t vgg11 vgg11_bn
vit_b_32 wide_resnet50_2""".split()  # noqa: SIM905
TIMM = """convnext_atto convnext_nano convnextv2_atto cspdarknet53 deit_tiny_patch16_224 dla34
edgenext_xx_small efficientnet_lite0 efficientvit_b0 ese_vovnet19b_dw fastvit_t8 fbnetc_100
ghostnet_100 hardcorenas_a hrnet_w18_small inception_next_atto lcnet_050 levit_128s mixer_s32_224
mixnet_s mobilenetv4_conv_small mobileone_s0 mobilevit_xxs mobilevitv2_050 nf_resnet26 pit_ti_224
poolformer_s12 regnetx_002 repvgg_a0 repvit_m0_9 resmlp_12_224 resnet18d resnet26 selecsls42b
starnet_s1 tf_efficientnetv2_b0 tiny_vit_5m_224 tinynet_e vit_tiny_patch16_224
xcit_nano_12_p16_224""".split()  # noqa: SIM905

# Those that --own takes: convolutions of every kind, and a transformer.
FEW = """torchvision/resnet18 torchvision/mobilenet_v2 torchvision/mobilenet_v3_small
torchvision/regnet_y_400mf torchvision/shufflenet_v2_x0_5 torchvision/squeezenet1_1
timm/efficientnet_lite0 timm/lcnet_050 timm/mobilenetv4_conv_small
timm/deit_tiny_patch16_224""".split()  # noqa: SIM905


@dataclass(frozen=True)
class Selection:
    """Networks and formats that are measured together, and the table that they have in the page.

    Attributes:
        option: of the command line that chooses it; empty for the default.
        networks: by name.
        formats: of the files, the baseline among them.
        baseline: format that the others are compared with.
        phrase: of what the formats are, for the line above the table.
        seconds: that a network may take.
    """

    option: str
    networks: Sequence[str]
    formats: Sequence[str]
    baseline: str
    phrase: str
    seconds: int

    @property
    def marks(self) -> tuple[str, str]:
        """The lines of the page between which the table is."""
        made_by = f"<!-- made by scripts/check_models.py {self.option}".strip()
        return f"{made_by}: begin -->", f"{made_by}: end -->"

    def file(self, root: Path, name: str) -> Path:
        """Return the file of a network's figures; its folder is made."""
        root.mkdir(parents=True, exist_ok=True)
        prefix = f"{self.option.removeprefix('--')}-" if self.option else ""
        return root / f"{prefix}{name.replace('/', '-')}.json"

    def read(self, root: Path, name: str) -> Candidate:
        return reading.convert(json.loads(self.file(root, name).read_text("utf-8")), Candidate)

    def is_known(self, root: Path, name: str) -> bool:
        """Return whether a network was measured here with these versions."""
        return self.file(root, name).is_file() and self.read(root, name).key == self.circumstances()

    def circumstances(self) -> str:
        """Return the processor, the threads and the versions that the figures are of."""
        names = ("torch", "torchvision", "timm", "onnx", "onnxruntime")
        known = package_versions()
        versions = [f"{name} {known[name]}" for name in names if name in known]
        versions += sorted({environment_of(name) for name in self.formats} - {""})
        processor = f"{machine.cpu_model()} ({', '.join(machine.instruction_sets())})"
        return f"{machine.usable_cores()} threads of {processor}, {', '.join(versions)}"


def environment_of(name: str) -> str:
    """Return the name of a format's environment, with the hash of its lock; empty if none."""
    environment = formats.get(name).environment
    return environment.identity if environment else ""


DEFAULT = Selection(
    option="",
    networks=[*(f"torchvision/{name}" for name in TORCHVISION), *(f"timm/{name}" for name in TIMM)],
    formats=ExportOptions().formats,
    baseline="eager",
    phrase="default format",
    seconds=600,
)
OWN = Selection(
    option="--own",
    networks=FEW,
    formats=["onnx_fp32", *(name for name in formats.names() if environment_of(name))],
    baseline="onnx_fp32",
    phrase="one of these formats",
    seconds=3600,
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as timm/lcnet_050")
    parser.add_argument("--root", type=Path, required=True, help="folder of the figures")
    parser.add_argument("--page", default=str(ROOT / "docs" / "models.md"), help="or - to print")
    parser.add_argument(
        "--own", action="store_true", help="the formats with an environment of their own"
    )
    parser.add_argument("--measure", help=argparse.SUPPRESS)  # one network, in this process
    chosen = parser.parse_args()
    selection = OWN if chosen.own else DEFAULT
    if chosen.measure:
        record = one(chosen.measure, selection)
        atomic_files.write_json(selection.file(chosen.root, chosen.measure), as_dict(record))
        return
    if chosen.page != "-":
        marked_page.require(Path(chosen.page), *selection.marks)
    names = chosen.names or installed(selection.networks)
    for number, name in enumerate(names, 1):
        if not selection.is_known(chosen.root, name):
            print(f"{name}, {number} of {len(names)}", flush=True)
            in_process(chosen.root, name, selection)
    lines = table([selection.read(chosen.root, name) for name in names], selection.phrase)
    if chosen.page == "-":
        print("\n".join(lines))
        return
    marked_page.fill(Path(chosen.page), *selection.marks, lines)


def installed(names: Sequence[str]) -> list[str]:
    """Return the networks whose package is installed."""
    has_timm = importlib.util.find_spec("timm") is not None
    return [name for name in names if has_timm or not name.startswith("timm/")]


def in_process(root: Path, name: str, selection: Selection) -> None:
    """Measure a network in a process of its own; write the reason if it fails as a whole."""
    command = [sys.executable, __file__, "--root", str(root), "--measure", name]
    command += [selection.option] if selection.option else []
    file = selection.file(root, name)
    file.unlink(missing_ok=True)
    try:
        done = subprocess.run(command, capture_output=True, timeout=selection.seconds, check=False)
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit code {done.returncode}"
    except subprocess.TimeoutExpired:
        reason = f"not done within {selection.seconds} s"
    if not file.is_file():
        record = Candidate(
            model=name,
            image_size=SIDE,
            key=selection.circumstances(),
            status="failed",
            reason=reason[:300],
            files=[],
        )
        atomic_files.write_json(file, as_dict(record))


def one(name: str, selection: Selection = DEFAULT, side: int = SIDE) -> Candidate:
    """Export a network with random weights and measure its files."""
    torch.manual_seed(0)
    architecture = Architecture.parse(name)
    spec = NetworkSpec.of(architecture.builder, CLASSES, side, {})
    data = RandomImages(side)
    network = spec.build()
    with torch.no_grad():
        for seed in (10, 11):
            network.train()(data.images(8, seed))
    with tempfile.TemporaryDirectory(prefix="lightship-") as folder:
        run = Run(Path(folder) / "model" / "version_0")
        run.best_checkpoint.parent.mkdir(parents=True)
        content = {
            "epoch": 0,
            "state_dict": {f"network.{key}": value for key, value in network.state_dict().items()},
            "lightship": {
                "model": architecture.builder.replace("/", "_"),
                "network": spec.to_dict(),
                "class_names": [str(number) for number in range(CLASSES)],
            },
        }
        torch.save(content, run.best_checkpoint)
        options = BenchmarkOptions(
            batch_sizes=[1],
            baseline=selection.baseline,
            devices=["cpu"],
            processes=2,
            rounds=4,
            samples=20,
            turn_seconds=0.2,
            max_seconds=10,
            warmup_seconds=0.3,
            loads_at_once=2,  # the time to load is not in the table
            max_accuracy_drop=0.99,  # random weights have no accuracy, so no loss is explained
            memory=False,
            pipeline=False,
        )
        with StageDisplay(open_console()) as report:
            checkpoint = Checkpoint.read(run.best_checkpoint)
            chosen = ExportOptions(formats=list(selection.formats), judging_images=0)
            export_run(run, checkpoint, data, chosen, report)
            measure(run, data, options, report)
        return candidate_of(name, selection.circumstances(), run)


def table(candidates: list[Candidate], phrase: str = DEFAULT.phrase) -> list[str]:
    """Return the table, and the reasons of what does not work.

    Args:
        candidates: the rows.
        phrase: of what the formats are, for the line above the table.
    """
    columns = list(dict.fromkeys(file.format for each in candidates for file in each.files))
    of_size = {"fp32 MB": "onnx_fp32", "int8 MB": "onnx_int8"}
    of_size = {title: name for title, name in of_size.items() if name in columns}
    head = ["network", "parameters, M", "GMACs", *of_size]
    lines = [
        f"| {' | '.join([*head, *(f'`{name}` ms' for name in columns)])} |",
        f"|---|{'---:|' * (len(head) + len(columns) - 1)}",
    ]
    reasons: list[str] = []
    for each in candidates:
        files = {file.format: file for file in each.files}
        cells = [each.model, scaled(each.parameters, 1e6, 2), scaled(each.macs, 1e9, 3)]
        cells += [
            scaled(files[name].size_bytes if name in files else None, 1e6, 1)
            for name in of_size.values()
        ]
        for name in columns:
            file = files.get(name)
            timing = file.timing(1) if file else None
            cause = f" ~{timing.unstable[0]}" if timing and timing.unstable else ""
            cells.append(f"{scaled(timing.p50_s, 1e-3, 2)}{cause}" if timing else "-")
            if file and file.status != "ok":
                reasons.append(f"- {each.model}, `{name}` {file.status}: {one_line(file.reason)}")
        if each.status != "ok":
            reasons.append(f"- {each.model} failed: {one_line(each.reason)}")
        lines.append(f"| {' | '.join(cells)} |")
    whole = sum(
        each.status == "ok" and all(file.status == "ok" for file in each.files)
        for each in candidates
    )
    return [
        f"{whole} of {len(candidates)} networks work in every "
        f"{phrase}. Batch 1, {SIDE} "
        f"pixels, random weights, {' / '.join(dict.fromkeys(each.key for each in candidates))}.",
        "",
        *lines,
        *(["", "What does not work:", "", *reasons] if reasons else []),
    ]


def scaled(value: float | None, unit: float, digits: int) -> str:
    return "-" if value is None else f"{value / unit:.{digits}f}"


def one_line(reason: str | None) -> str:
    return " ".join((reason or "no reason").split())[:240]


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"error: {describe(error)}")
