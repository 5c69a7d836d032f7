"""A run with planted exports, which real worker processes run."""

from tests.benchmark.conftest import run  # noqa: F401  # a fixture
