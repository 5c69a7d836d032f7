"""Lines about the network and the machine of a measurement."""

from __future__ import annotations

from collections.abc import Mapping

from src.report.document import Fact
from src.run.circumstances import Container
from src.run.results import Results
from src.run.row import Row


def about(results: Results) -> str:
    """Return a line about the network."""
    height, width = results.input_shape[1:]
    return (
        f"{results.model}: {results.parameters / 1e6:.2f} M parameters, "
        f"{results.macs / 1e9:.3f} G multiply-accumulates for one image of "
        f"{height}x{width} pixels, {results.num_classes} classes."
    )


def facts(results: Results) -> list[Fact]:
    """Return the date, duration and machine of the measurement."""
    environment = results.environment
    packages = environment.packages
    return [
        Fact("Measured", f"{results.measured_at}, in {results.measured_seconds:.0f} s"),
        Fact(
            "CPU",
            f"{environment.cpu}, {environment.usable_cores} usable of "
            f"{environment.machine_cores or 'an unknown number of'} logical cores "
            f"({', '.join(environment.isa) or 'instruction sets unknown'})"
            + (", in a virtual machine" if environment.virtual_machine else "")
            + f"; frequency governor {environment.frequency_governor or 'unknown'}",
        ),
        Fact("Memory", f"{environment.memory_bytes / 1e9:.1f} GB"),
        Fact("Container", _limits(environment.container, environment.threads)),
        Fact("Priority of the measured processes", _priority(results.rows)),
        Fact("GPU", environment.gpu.name if environment.gpu else "none"),
        Fact("System", f"{environment.system}, Python {environment.python}"),
        Fact("Packages", ", ".join(f"{name} {version}" for name, version in packages.items())),
        *_variables(environment.variables or {}),
    ]


def checkpoint(results: Results) -> Fact:
    """Return the checkpoint that every file was made from."""
    weights = results.checkpoint
    text = f"{weights.path}, epoch {weights.epoch}, SHA-256 {weights.sha256}"
    return Fact("Checkpoint", text)


def threads(results: Results) -> str:
    """Return the number of threads, as in "2 threads"."""
    number = results.environment.threads
    return f"{number} thread{'' if number == 1 else 's'}"


def _limits(container: Container, threads: int) -> str:
    """Return the limits of the container, and their effect on so many threads."""
    limits = []
    if container.cores is not None:
        few = f"; {threads} thread{' is' if threads == 1 else 's are'} throttled"
        limits.append(f"{container.cores:g} cores{few if container.cores < threads else ''}")
    if container.memory_bytes is not None:
        limits.append(f"{container.memory_bytes / 1e9:.1f} GB")
    return ", ".join(limits) or "no limits seen"


def _variables(variables: Mapping[str, str]) -> list[Fact]:
    """Return the environment variables that change the speed of runtimes, if any were set."""
    shown = ", ".join(f"{name}={value}" for name, value in variables.items())
    return [Fact("Variables that change the speed", shown)] if shown else []


def _priority(rows: list[Row]) -> str:
    """Return the priority that the measured processes had before others."""
    values = sorted({row.nice for row in rows if row.nice is not None})
    if not values:
        return "unknown"
    raised = "raised" if values[0] < 0 else "not raised, for the system does not allow it"
    return f"{raised} (nice {', '.join(map(str, values))})"
