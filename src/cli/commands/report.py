"""Write the report of a measured run again.

python -m src.report lightning_logs/convnext_t/version_0
"""

from __future__ import annotations

from src.cli.parser_errors import OneLineParser
from src.cli.writable_run import card_folders, require_writable
from src.run.folder import Run
from src.system.console import open_console


def main() -> None:
    """Run the command line of this process."""
    from src.report.stage import report_run  # imports matplotlib

    parser = OneLineParser(prog="python -m src.report", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="the run's folder")
    run = Run.open(parser.parse_args().run)
    require_writable(run, *card_folders(run))
    report_run(run, open_console())
