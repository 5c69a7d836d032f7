"""The report stage: from a run's ``benchmark.json`` to everything that people read."""

from __future__ import annotations

from rich.console import Console

from src.report import advice, health, table
from src.report.charts import figures
from src.report.charts.measurements import charts
from src.report.charts.style import house
from src.report.writers import cards, html, markdown_page, tensorboard
from src.run.folder import Run
from src.run.layout import as_dict
from src.system import atomic_files


def report_run(run: Run, console: Console) -> None:
    """Write the pages, the cards and the TensorBoard events of a run, and print the table."""
    results = as_dict(run.read_benchmark())
    drawn = {chart.name: chart.draw() for chart in charts(results)}
    with house():
        drawn |= dict(figures.draw(results, run.flipped))
    for name, figure in drawn.items():
        figures.save(figure, run.folder / f"{name}.png")
    atomic_files.write_text(run.report, markdown_page.markdown(results, list(drawn)))
    atomic_files.write_text(run.page, html.page(results, run.flipped))
    cards.write(run)
    config = run.read_config()
    sections = {name: config.get(name) or {} for name in ("model", "data", "trainer")}
    tensorboard.write(results, run.folder, sections, drawn)
    console.print(table.console_table(results, narrow=console.is_terminal))
    for note in table.footnotes(results):
        console.print(note, soft_wrap=True)
    for sentence in advice.sentences(results):
        console.print(sentence, soft_wrap=True, style="bold")
    if warning := health.warning(results):
        console.print(warning, soft_wrap=True, style="yellow")
    if run.rounds.is_file():
        console.print(
            f"{run.rounds} is a later measurement without its figures: "
            f"python -m src.benchmark {run.folder} makes them",
            soft_wrap=True,
        )
    console.print(f"Run folder: {run.folder}", soft_wrap=True)
