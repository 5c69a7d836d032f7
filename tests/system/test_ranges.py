"""Ranges of options are checked by their types, with one message for all."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest

from src.errors import UsageError
from src.system.ranges import (
    AccuracyDrop,
    OptionalPositiveInt,
    PositiveFloat,
    PositiveInt,
    Range,
    require_ranges,
)
from tests.conftest import ROOT

_Scales = Annotated[tuple[float, float], Range("two numbers above 0", above=0)]
_Decay = Annotated[float, Range("from 0 to 1", "set {argument}=0.9", least=0, most=1)]


@dataclass
class Options:
    count: PositiveInt = 1
    seconds: PositiveFloat = 1.0
    threads: OptionalPositiveInt = None
    drop: AccuracyDrop = 0.0
    sizes: list[PositiveInt] = field(default_factory=list)
    scales: _Scales = (1.0, 1.0)
    decay: _Decay = 1.0
    free: float = -1.0


@pytest.mark.parametrize(
    "options",
    [
        {"count": 10**9, "threads": 1, "sizes": [1, 8]},
        {"seconds": math.inf},
        {"seconds": 1e-9, "drop": 0.999},
        {"decay": 0.0, "drop": 0},
        {"free": math.nan},
    ],
)
def test_values_within_their_ranges_are_taken(options: dict[str, Any]) -> None:
    require_ranges(Options(**options), "group")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"count": 0},
            "group.count: expected a positive number; found 0; "
            "leave out group.count for its default",
        ),
        ({"seconds": 0.0}, "group.seconds: expected a positive number; found 0.0"),
        ({"seconds": math.nan}, "group.seconds: expected a positive number; found nan"),
        ({"threads": -1}, "group.threads: expected a positive number; found -1"),
        ({"drop": 1.0}, "group.drop: expected a share of 1, as 0.01 for one point; found 1.0"),
        ({"drop": -math.inf}, "group.drop: expected a share of 1"),
        ({"sizes": [1, 0]}, "group.sizes: expected a positive number; found 0"),
        ({"scales": (1.0, 0.0)}, r"group.scales: expected two numbers above 0; found \[1.0, 0.0\]"),
        ({"decay": 1.01}, "group.decay: expected from 0 to 1; found 1.01; set group.decay=0.9"),
    ],
)
def test_a_value_out_of_its_range_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        require_ranges(Options(**options), "group")


def test_an_option_without_a_group_has_its_bare_name() -> None:
    with pytest.raises(UsageError, match=r"^count: expected a positive number"):
        require_ranges(Options(count=0))


def test_options_are_checked_where_jsonargparse_is_not_installed() -> None:
    program = (
        "import sys; sys.modules['jsonargparse'] = None\n"
        "from src.benchmark.options import BenchmarkOptions\n"
        "from src.data.datasets.digits import Digits\n"
        "for make in (lambda: BenchmarkOptions(rounds=0), lambda: Digits(image_size=0)):\n"
        "    try:\n"
        "        make()\n"
        "    except Exception as error:\n"
        "        print(error)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [line.partition(";")[0] for line in ended.stdout.splitlines()] == [
        "benchmark.rounds: expected a positive number",
        "data.image_size: expected a positive number",
    ]
