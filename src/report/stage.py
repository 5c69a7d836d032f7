"""The report stage: from a run's ``benchmark.json`` to everything that people read."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from src.report.charts import training_profile as profile_charts
from src.report.charts.chart import save
from src.report.charts.class_accuracy import class_chart
from src.report.charts.flipped import flipped_charts
from src.report.charts.measured import charts
from src.report.sections import profile as profile_sections
from src.report.sections.report import report_of
from src.report.writers import cards, console, html, markdown, tensorboard
from src.run.folder import Run
from src.run.training_profile import TrainingProfile
from src.system import atomic_files


def report_run(run: Run, screen: Console) -> None:
    """Write the pages, the cards and the TensorBoard events of a run, and print the table."""
    results = run.read_benchmark()
    report = report_of(results)
    by_class = class_chart(results)
    measured = [*charts(results)]
    of_classes = [by_class] if by_class else []
    drawn = [*measured, *flipped_charts(report.flips, run.flipped), *of_classes]
    figures = {chart.name: chart.draw() for chart in drawn}
    for name, figure in figures.items():
        save(figure, run.folder / f"{name}.png")
    atomic_files.write_text(run.report, markdown.page(report, list(figures)))
    page = html.page(report, [*measured, *of_classes], run.flipped)
    atomic_files.write_text(run.page, page)
    cards.write(run)
    config = run.read_config()
    hyperparameters = {name: config.get(name) or {} for name in ("model", "data", "trainer")}
    tensorboard.write(report, run.folder, hyperparameters, figures)
    console.show(report, screen)
    if run.rounds.is_file():
        later = f"{run.rounds} is a later measurement without its figures: "
        remedy = f"python -m src.benchmark {run.folder} makes them"
        console.show_lines([later + remedy], screen)
    console.show_lines([f"Run folder: {run.folder}"], screen)


def report_profile(profile: TrainingProfile, folder: Path, screen: Console) -> None:
    """Print a sentence on the profile of a training, and put the rest into TensorBoard.

    Args:
        profile: what was recorded.
        folder: the run's.
        screen: where to print.
    """
    sections = profile_sections.sections(profile)
    tensorboard.write_profile(sections, dict(profile_charts.figures(profile)), folder)
    console.show_lines(profile_sections.sentences(profile), screen)
