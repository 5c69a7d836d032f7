"""A run with planted exports, which real worker processes run."""

from tests.benchmark.conftest import run, well_behaved  # noqa: F401  # fixtures
