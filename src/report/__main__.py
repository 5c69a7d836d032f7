"""Report again on a run that was measured.

python -m src.report lightning_logs/convnext_t/version_0
"""

from __future__ import annotations

from src.complaint import OneLineParser
from src.console import open_console
from src.entry import run_command


def main() -> None:
    from src.report.stage import report_run
    from src.runs import Run

    parser = OneLineParser(prog="python -m src.report", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="the run's folder")
    report_run(Run.open(parser.parse_args().run), open_console())


if __name__ == "__main__":
    run_command(main)
