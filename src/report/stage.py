"""The report stage: write all pages, cards, charts and events from a run's ``benchmark.json``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from src.errors import UsageError
from src.report.charts import training_profile as profile_charts
from src.report.charts.chart import save
from src.report.charts.class_accuracy import class_chart
from src.report.charts.flipped import flipped_charts
from src.report.charts.load import load_chart
from src.report.charts.measured import charts
from src.report.sections import profile as profile_sections
from src.report.sections.report import report_of
from src.report.writers import cards, console, html, markdown, tensorboard
from src.run import kept_rounds
from src.run.folder import Run
from src.run.serving import current_serve_test
from src.run.training_profile import TrainingProfile
from src.system import atomic_files
from src.system.project_commands import typed


def report_run(run: Run, screen: Console) -> None:
    """Write the pages, the cards and the TensorBoard events of a run, and print the table."""
    results = run.read_benchmark()
    serve_test = current_serve_test(run)
    report = report_of(results, serve_test)
    class_accuracy = class_chart(results)
    class_charts = [class_accuracy] if class_accuracy else []
    under_load = load_chart(serve_test) if serve_test else None
    measured_charts = [*charts(results), *([under_load] if under_load else [])]
    all_charts = [*measured_charts, *flipped_charts(report.flips, run.flipped), *class_charts]
    drawn = {chart.name: run.folder / f"{chart.name}.png" for chart in all_charts}
    for chart in all_charts:
        save(chart.draw(), drawn[chart.name])
    atomic_files.write_text(run.report, markdown.page(report, list(drawn)))
    page = html.page(report, [*measured_charts, *class_charts], run.flipped)
    atomic_files.write_text(run.page, page)
    cards.write(run)
    tensorboard.write(report, run.folder, run.read_config(), drawn)
    console.show(report, screen)
    lines = [_measurement_without_figures(run, file) for file in kept_rounds.files(run)]
    if lines:
        console.show_lines(lines, screen)
    if serve_test is None and run.serve_test.is_file():
        line = f"{run.serve_test} is of other files than the present ones, so it is not shown"
        console.show_lines([line], screen)
    console.show_lines([f"Run folder: {run.folder}"], screen)


def _measurement_without_figures(run: Run, file: Path) -> str:
    """Return what is known of a raw measurement, and what to do."""
    which = "a later" if file == run.rounds else "another"
    command = f"{typed('src.benchmark')} {run.quoted}"
    try:
        is_complete = run.read_rounds(file).complete
    except UsageError as error:
        return f"{file} cannot be read ({error}): {command} measures again"
    if not is_complete:
        return f"{file} is {which} measurement that did not end: {command} measures again"
    return (
        f"{file} is {which} measurement without its figures: {command} makes them if files, "
        "test images, options and machine are still the same, and measures again if not"
    )


def report_profile(profile: TrainingProfile, folder: Path, screen: Console) -> None:
    """Print the main result of a training's profile, and write all of it to TensorBoard.

    Args:
        profile: the recorded profile.
        folder: the folder of the run.
        screen: the console to print to.
    """
    sections = profile_sections.sections(profile)
    tensorboard.write_profile(sections, dict(profile_charts.figures(profile)), folder)
    console.show_lines(profile_sections.sentences(profile), screen)
