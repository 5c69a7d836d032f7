"""The options of ``src.search`` itself; all other words are those of ``src.train``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.cli import grammar, quantities, width_choices
from src.errors import UsageError
from src.search.machines import RayOptions, require_address
from src.search.records import EngineName
from src.system.paths import user_path

HELP = {
    "under": "latency of one call with one image, as 5ms",
    "at_least": "top-1 on the test split, as 97%",
    "size_under": "size of the files, as 10MB",
    "memory_under": "peak memory above an empty process, as 200MB",
    "budget": "time for everything, as 45min or 2h (default: no bound)",
    "reduction": "of this number of candidates one goes on at a rung (default: 2)",
    "rungs": "comparisons before the end of a training; 0 for the whole grid (default: 2)",
    "seed": "decides the order of the candidates (default: 0)",
    "output": "folder of the output (default: search)",
    "forecast": "folder of the forecast, which may have figures already (default: forecast)",
    width_choices.NAME: width_choices.HELP,
    "engine": "trains on this machine (local) or on those of a Ray cluster (ray) (default: local)",
    "ray.address": "of a running cluster (default: RAY_ADDRESS, else Ray on this machine)",
    "ray.cpus": "CPUs of a training (default: a whole machine)",
    "ray.gpus": "GPUs of a training (default: a whole machine)",
}
_DEFAULTS = {
    "reduction": "2",
    "rungs": "2",
    "seed": "0",
    "output": "search",
    "forecast": "forecast",
    "engine": "local",
}
_RANGES = {
    "reduction": (2, 1000),
    "rungs": (0, 20),
    "seed": (0, 2**32 - 1),
    "ray.cpus": (1, 4096),
    "ray.gpus": (0, 64),
}
_RAY = "ray."


@dataclass(frozen=True)
class SearchOptions:
    """The limits and settings of a search; None for no limit."""

    latency_s: float | None
    top1: float | None
    size_bytes: int | None
    memory_bytes: int | None
    budget_s: float | None
    reduction: int
    rungs: int
    seed: int
    folder: Path
    forecast_folder: Path
    engine: EngineName
    ray: RayOptions
    widths: tuple[float, ...] = ()  # none for the networks' own

    @classmethod
    def split(cls, words: Sequence[str]) -> tuple[SearchOptions, list[str]]:
        """Return the options of a command line, and its other words.

        Raises:
            UsageError: an option is given twice or has an impossible value, or a word is a
                subcommand of ``src.train``.
        """
        values: dict[str, str] = {}
        rest = []
        for word in words:
            name, equals, value = word.removeprefix("--").partition("=")
            if word in grammar.SUBCOMMANDS:
                raise UsageError(
                    "command line",
                    expected="group=name or a.b=value",
                    found=word,
                    remedy=f"leave out {word}",
                )
            if not equals or name not in HELP:
                rest.append(word)
            elif name in values:
                raise UsageError(name, expected="it once", found=word, remedy="name it once")
            else:
                values[name] = value
        return cls._of(values), rest

    @classmethod
    def _of(cls, values: dict[str, str]) -> SearchOptions:
        known = _DEFAULTS | values
        sizes = {
            name: quantities.size(name, values[name]) if name in values else None
            for name in ("size_under", "memory_under")
        }
        return cls(
            latency_s=quantities.latency("under", values["under"]) if "under" in values else None,
            top1=_share("at_least", values["at_least"]) if "at_least" in values else None,
            size_bytes=sizes["size_under"],
            memory_bytes=sizes["memory_under"],
            budget_s=quantities.duration("budget", values["budget"])
            if "budget" in values
            else None,
            reduction=_number("reduction", known),
            rungs=_number("rungs", known),
            seed=_number("seed", known),
            folder=_folder("output", known),
            forecast_folder=_folder("forecast", known),
            engine=_engine(known),
            ray=RayOptions(
                address=_address(known),
                cpus=_number("ray.cpus", known) if "ray.cpus" in known else None,
                gpus=_number("ray.gpus", known) if "ray.gpus" in known else None,
            ),
            widths=tuple(width_choices.parse(values[width_choices.NAME]))
            if width_choices.NAME in values
            else (),
        )


def _share(name: str, text: str) -> float:
    share = quantities.fraction(name, text)
    if share > 1:
        raise UsageError(
            name, expected="at most 100%", found=text, remedy=f"set for example {name}=97%"
        )
    return share


def _number(name: str, values: dict[str, str]) -> int:
    text, (least, most) = values[name], _RANGES[name]
    is_number = text.isdecimal() and text.isascii() and len(text) <= len(str(most))
    if not is_number or not least <= int(text) <= most:
        raise UsageError(
            name,
            expected=f"a whole number from {least} to {most}",
            found=text or "nothing",
            remedy=f"leave it out for {_DEFAULTS.get(name, 'a whole machine')}",
        )
    return int(text)


def _engine(values: dict[str, str]) -> EngineName:
    name = values["engine"]
    if name == "ray":
        return "ray"
    if name != "local":
        raise UsageError(
            "engine",
            expected="local or ray",
            found=name or "nothing",
            remedy="leave it out for local",
        )
    for option in values:
        if option.startswith(_RAY):
            raise UsageError(
                option,
                expected="engine=ray with it",
                found="engine=local",
                remedy=f"add engine=ray, or leave out {option}",
            )
    return "local"


def _address(values: dict[str, str]) -> str | None:
    address = values.get("ray.address")
    if address is not None:
        require_address(address, "ray.address")
    return address


def _folder(name: str, values: dict[str, str]) -> Path:
    path = user_path(values[name], name)
    if path.exists() and not path.is_dir():
        raise UsageError(
            name, expected="a folder", found=f"{path}, which is none", remedy="name another"
        )
    return path
