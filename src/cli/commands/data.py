"""Look at the data before training: classes, sizes, broken files, images in two splits.

python -m src.data data=image_folder data.root=photos
python -m src.data lightning_logs/resnet34/version_0
python -m src.data lightning_logs/resnet34/version_0 data.root=moved/photos
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from src.errors import LightshipError, UsageError
from src.system.console import StageDisplay, open_console
from src.system.paths import user_path

SHEET = "contact_sheet.png"


def main() -> None:
    check(sys.argv[1:])


def check(words: Sequence[str]) -> None:
    """Run one command line, without the program's name.

    Raises:
        LightshipError: an image is in more than one split, or a file cannot be read.
    """
    from src.cli.data_command import parse_data, place_of_run
    from src.cli.stage_command import data_paths
    from src.data.check.contact_sheet import ContactSheet
    from src.data.check.summary import lines, verdict
    from src.data.check.survey import survey
    from src.data.restore import data_of
    from src.run.folder import Run
    from src.system import atomic_files

    sheets, rest = _split_sheets(words)
    if {"-h", "--help"} & set(rest):
        print(f"{__doc__}\nsheet=PATH is where the contact sheet goes, by default {SHEET}.")
        return
    if not rest:
        raise UsageError(
            "command line",
            expected="a run folder or data=NAME",
            found="nothing",
            remedy="add for example data=image_folder data.root=photos",
        )
    if named := place_of_run(rest):
        folder, moved = named
        data = data_of(dataclasses.replace(Run.open(folder), data_paths=data_paths(moved)))
    else:
        data = parse_data(rest)
    sheet_path = user_path(sheets[-1] if sheets else SHEET, "sheet")
    sheet = ContactSheet(data.class_names, data.preprocessing)
    console = open_console()
    with StageDisplay(console) as report:
        result = survey(
            data, sheet, lambda split, done, total: report("looking", split, done, total)
        )
    for line in lines(result):
        console.print(line, soft_wrap=True, markup=False)
    atomic_files.write_bytes(sheet_path, sheet.png())
    console.print(f"\ncontact sheet: {sheet_path}", soft_wrap=True, markup=False)
    problem = verdict(result)
    if problem:
        raise LightshipError(problem)


def _split_sheets(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the values of ``sheet=PATH``, ``--sheet=PATH`` or ``--sheet PATH``, and the rest."""
    sheets, rest = [], []
    pending = iter(words)
    for word in pending:
        name, equals, value = word.partition("=")
        if word == "--sheet":
            sheets.append(next(pending, ""))
        elif equals and name.removeprefix("--") == "sheet":
            sheets.append(value)
        else:
            rest.append(word)
    return sheets, rest
