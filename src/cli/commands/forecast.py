"""Know what networks cost before they are trained: size, latency, memory, time of training.

python -m src.forecast model=resnet34,torchvision/mobilenet_v3_small data.image_size=64,128,224
python -m src.forecast model=timm/lcnet_050 data=image_folder data.root=photos export=all

Every network is trained for a few steps at every image size, exported in every format and
measured, by the same rows and rules as in a training. All other words are those of src.train. The
output is forecast/forecast.html, and forecast.json for programs. What forecast.json has for the
same options, machine and versions is not measured again.
"""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from src.cli import grammar, width_choices
from src.cli.candidate_choices import choices_of
from src.cli.sweep import require_known, train_in_subprocess
from src.errors import LightshipError, UsageError
from src.forecast.candidate import requests_of
from src.forecast.occupancy import alone_in
from src.system import atomic_files, machine
from src.system.console import StageDisplay, open_console
from src.system.paths import user_path

CONFIGS = Path(__file__).parents[3] / "configs"
_OUTPUT = "output="
_AGAIN = "again="
_WIDTHS = f"{width_choices.NAME}="


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command line, by default that of this process.

    Raises:
        UsageError: the command line is wrong.
        LightshipError: a candidate failed.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if {"-h", "--help"} & set(words):
        print(__doc__)
        print("output=FOLDER   folder of the output (default: forecast)")
        print(f"widths=A,B      {width_choices.HELP}")
        print("again=true      measure candidates again that forecast.json has")
        return
    command = shlex.join(["python", "-m", "src.forecast", *words])
    folder, again, widths, words = _own_options(words)
    if subcommands := [word for word in words if word in grammar.SUBCOMMANDS]:
        raise UsageError(
            "command line",
            expected="group=name or a.b=value",
            found=subcommands[0],
            remedy=f"leave out {subcommands[0]}",
        )
    grammar.require_plain(words)
    choices = choices_of(words, CONFIGS)
    requests = requests_of(choices.words, choices.network, choices.images, choices.paths)
    for model in dict.fromkeys(request.model for request in requests if request.is_named):
        require_known(model)
    widened = width_choices.at_widths(requests, widths, CONFIGS)

    # These import torch and matplotlib, which --help does not need.
    from src.benchmark.environment import description
    from src.forecast import page
    from src.forecast.stage import forecast, sorted_by_latency

    folder.mkdir(parents=True, exist_ok=True)
    console = open_console()
    with StageDisplay(console) as report, alone_in(folder, report) as lock:
        environment = description.describe(machine.usable_cores())
        train = functools.partial(train_in_subprocess, kept_open=[lock])
        made = forecast(
            widened.requests,
            environment,
            command,
            folder,
            train,
            report,
            again=again,
            own_width_only=widened.own_width_only,
        )
    made = sorted_by_latency(made)
    atomic_files.write_text(folder / "forecast.md", page.markdown_page(made))
    atomic_files.write_text(folder / "forecast.html", page.html_page(made))
    page.show(made, console)
    console.print(f"Forecast: {folder / 'forecast.html'}", soft_wrap=True)
    failed = [candidate.name for candidate in made.candidates if candidate.reason]
    if failed:
        raise LightshipError(
            f"{len(failed)} of {len(made.candidates)} candidates failed: {', '.join(failed)}"
        )


def _own_options(words: Sequence[str]) -> tuple[Path, bool, list[float], list[str]]:
    """Return the output folder, the value of ``again``, the widths, and the other words."""
    folder, again, rest = "forecast", "false", []
    widths: list[float] = []
    for word in words:
        bare = word.lstrip("-")
        if bare.startswith(_OUTPUT):
            folder = bare.removeprefix(_OUTPUT)
        elif bare.startswith(_AGAIN):
            again = bare.removeprefix(_AGAIN)
        elif bare.startswith(_WIDTHS):
            widths = width_choices.parse(bare.removeprefix(_WIDTHS))
        else:
            rest.append(word)
    if again not in {"true", "false"}:
        raise UsageError(
            "again", expected="true or false", found=again, remedy="leave it out for false"
        )
    path = user_path(folder, "output")
    if path.exists() and not path.is_dir():
        raise UsageError(
            "output", expected="a folder", found=f"{path}, which is none", remedy="name another"
        )
    return path, again == "true", widths, rest
