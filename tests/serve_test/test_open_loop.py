"""The queue and the probe against textbook queues, on a simulated clock."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from src.serve_test.judgement import arrivals_for, judge, warm_up_of
from src.serve_test.open_loop import Traffic, poisson_arrivals, serve
from src.serve_test.queue import BatchQueue
from tests.serve_test.simulated import SimulatedServers

SERVICE = 0.01  # seconds
ARRIVALS = arrivals_for(800, 50.0, 10 * SERVICE)
RUNS, REQUESTS, WARM_UP = 10, 2500, 300


def exponential(mean: float, seed: int) -> Callable[[int], float]:
    times = iter(np.random.default_rng(seed).exponential(mean, 10**5).tolist())
    return lambda images: next(times)


def simulate(
    rate: float,
    seconds_of: Callable[[int], Callable[[int], float]],
    *,
    window: float = 0.0,
    largest: int = 1,
    streams: int = 1,
) -> list[Traffic]:
    """Return independent runs; ``seconds_of`` makes the service times of each."""
    return [
        serve(
            poisson_arrivals(rate, REQUESTS, seed),
            BatchQueue(window, largest),
            SimulatedServers(seconds_of(seed), streams),
            patience=math.inf,
        )
        for seed in range(RUNS)
    ]


def require_near(values: list[float], expected: float) -> None:
    """Require that the interval over runs holds the expected value, and that it is narrow."""
    mean, error = np.mean(values), np.std(values, ddof=1) / math.sqrt(len(values))
    assert abs(mean - expected) < 3 * error, (mean, expected, error)
    assert error < 0.1 * expected


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_the_mean_wait_with_fixed_service_times_is_that_of_pollaczek_and_khinchine(
    load: float,
) -> None:
    runs = simulate(load / SERVICE, lambda seed: lambda images: SERVICE)
    waits = [float((run.latencies[WARM_UP:] - SERVICE).mean()) for run in runs]
    require_near(waits, load * SERVICE / (2 * (1 - load)))


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_the_latency_with_exponential_service_times_is_exponential(load: float) -> None:
    runs = simulate(load / SERVICE, lambda seed: exponential(SERVICE, 100 + seed))
    mean = SERVICE / (1 - load)
    require_near([float(run.latencies[WARM_UP:].mean()) for run in runs], mean)
    percentiles = [float(np.percentile(run.latencies[WARM_UP:], 99)) for run in runs]
    require_near(percentiles, mean * math.log(100))


def test_two_streams_wait_as_in_erlangs_formula() -> None:
    load, streams = 1.4, 2  # erlangs
    runs = simulate(load / SERVICE, lambda seed: exponential(SERVICE, 200 + seed), streams=streams)
    share = load / streams
    busy = load**streams / math.factorial(streams) / (1 - share)
    waits = busy / (sum(load**n / math.factorial(n) for n in range(streams)) + busy)
    mean = SERVICE + waits * SERVICE / (streams - load)
    require_near([float(run.latencies[WARM_UP:].mean()) for run in runs], mean)


def bulk_queue(rate: float, seconds: list[float], states: int = 200) -> tuple[float, float]:
    """Return mean latency and mean batch of a server that takes what waits, up to a largest batch.

    The exact solution of the Markov chain of the requests that are left when a batch begins.

    Args:
        rate: of a Poisson process.
        seconds: of a batch of 1, 2, ... images.
        states: number of states; more requests hardly ever wait.
    """
    largest = len(seconds)
    chain = np.zeros((states, states))
    for waiting in range(states):  # that a batch finds
        taken = min(max(waiting, 1), largest)
        left = max(waiting, 1) - taken
        expected = rate * seconds[taken - 1]
        arrived = np.exp(
            np.arange(states - left) * math.log(expected)
            - expected
            - np.array([math.lgamma(n + 1) for n in range(states - left)])
        )
        chain[waiting, left:] = arrived
    chain[:, -1] += 1 - chain.sum(axis=1)
    shares = np.linalg.matrix_power(chain, 2**14)[0]
    area = cycle = requests = 0.0
    for waiting, share in enumerate(shares):
        taken = min(max(waiting, 1), largest)
        left = max(waiting, 1) - taken
        service = seconds[taken - 1]
        idle = 1 / rate if waiting == 0 else 0.0
        area += share * ((left + taken) * service + rate * service**2 / 2)
        cycle += share * (idle + service)
        requests += share * taken
    return area / cycle / rate, requests


@pytest.mark.parametrize("rate", [60.0, 240.0])
def test_a_server_with_planted_costs_of_batches_is_that_of_the_exact_chain(rate: float) -> None:
    seconds = [0.008 + 0.002 * size for size in range(1, 9)]
    runs = simulate(rate, lambda seed: lambda images: seconds[images - 1], largest=8)
    latency, batch = bulk_queue(rate, seconds)
    require_near([float(run.latencies[WARM_UP:].mean()) for run in runs], latency)
    require_near([float(np.mean(run.batches)) for run in runs], batch)


def test_a_lone_request_waits_for_the_window_and_a_full_batch_does_not() -> None:
    lone = serve(
        np.array([1.0, 2.0, 3.0]), BatchQueue(0.004, 4), SimulatedServers(lambda n: 0.01), 9.0
    )
    assert lone.latencies == pytest.approx([0.014] * 3)
    assert list(lone.batches) == [1, 1, 1]
    together = serve(
        np.array([1.0, 1.001, 1.002, 1.003]),
        BatchQueue(0.004, 4),
        SimulatedServers(lambda n: 0.01),
        9.0,
    )
    assert list(together.batches) == [4]
    assert together.latencies == pytest.approx([0.013, 0.012, 0.011, 0.010])
    third_is_late = serve(
        np.array([1.0, 1.001, 1.006]), BatchQueue(0.004, 4), SimulatedServers(lambda n: 0.01), 9.0
    )
    assert list(third_is_late.batches) == [2, 1]
    assert third_is_late.latencies == pytest.approx([0.014, 0.013, 0.018])


def test_latency_counts_from_the_scheduled_time_of_a_request_that_was_sent_late() -> None:
    servers = SimulatedServers(lambda images: 0.001, lateness=0.02)
    traffic = serve(np.array([1.0, 2.0]), BatchQueue(0.0, 1), servers, 9.0)
    assert traffic.lags == pytest.approx([0.02, 0.02])
    assert traffic.latencies == pytest.approx([0.021, 0.021])


def test_one_seed_gives_the_same_bursts_at_every_rate() -> None:
    slow, fast = (poisson_arrivals(rate, 1000, seed=3) for rate in (10.0, 40.0))
    assert slow == pytest.approx(4 * fast)
    assert not np.allclose(slow, poisson_arrivals(10.0, 1000, seed=4))
    gaps = np.diff(poisson_arrivals(10.0, 20_000, seed=5))
    assert gaps.mean() == pytest.approx(0.1, rel=0.03)
    assert gaps.std() == pytest.approx(0.1, rel=0.05)


def probe(
    load: float, seconds_of: Callable[[int], float] = lambda images: SERVICE, lateness: float = 0.0
) -> Traffic:
    return serve(
        poisson_arrivals(load / SERVICE, ARRIVALS, seed=1),
        BatchQueue(0.0, 1),
        SimulatedServers(seconds_of, lateness=lateness),
        patience=100 * SERVICE,
    )


def test_a_rate_below_the_capacity_holds_and_one_above_is_saturated() -> None:
    limit = 10 * SERVICE
    assert judge(probe(0.5), limit, 1, 1).verdict == "held"
    assert judge(probe(0.5), 1.5 * SERVICE, 1, 1).verdict == "late"
    assert judge(probe(1.2), limit, 1, 1).verdict == "saturated"
    hopeless = probe(3.0)
    assert hopeless.is_cut
    assert judge(hopeless, limit, 1, 1).verdict == "saturated"
    # Requests that nobody answered count with their age.
    assert hopeless.latencies.max() > 100 * SERVICE


def test_a_server_that_is_slow_now_and_then_is_found_by_its_p99() -> None:
    calls = iter(range(10**6))
    stalling = probe(0.2, lambda images: 0.3 if next(calls) % 60 == 59 else SERVICE)
    found = judge(stalling, 10 * SERVICE, 1, 1)
    assert found.verdict == "late"
    assert found.p50 < 2 * SERVICE
    assert found.p99 > 0.2


def test_a_probe_says_nothing_if_the_generator_itself_was_late() -> None:
    found = judge(probe(0.5, lateness=0.008), 10 * SERVICE, 1, 1)
    assert found.verdict == "lagged"
    assert found.lag_p99 > 0.007
    assert judge(probe(0.5, lateness=0.002), 10 * SERVICE, 1, 1).verdict == "held"


def test_the_warm_up_is_not_counted() -> None:
    assert (ARRIVALS, warm_up_of(ARRIVALS)) == (880, 80)
    calls = iter(range(10**6))
    cold = probe(0.2, lambda images: 0.5 if next(calls) < 2 else SERVICE)
    assert cold.latencies.max() > 0.4
    assert judge(cold, 10 * SERVICE, 1, 1).verdict == "held"


def test_a_long_limit_hides_no_queue_that_grows_without_end() -> None:
    rate, limit = 1.03 / SERVICE, 100 * SERVICE
    for arrivals, holds in ((880, True), (arrivals_for(800, rate, limit), False)):
        traffic = serve(
            poisson_arrivals(rate, arrivals, seed=1),
            BatchQueue(0.0, 1),
            SimulatedServers(lambda images: SERVICE),
            patience=100 * limit,
        )
        # The short probe would say that the rate holds, for its end comes too early.
        assert (judge(traffic, limit, 1, 1).verdict == "held") == holds
