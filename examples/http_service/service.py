"""A bundle as an HTTP service, which answers what comes at the same time in one batch.

python -m src.bundle RUN --format onnx_int8 -o model.zip && unzip model.zip
pip install fastapi uvicorn prometheus-client
BUNDLE=model python examples/http_service/service.py --port 8000

It listens on this machine only: curl --data-binary @photo.jpg http://127.0.0.1:8000/classify
In a container, whose own loopback nobody else reaches: --host 0.0.0.0, and a proxy in front

/health   200 while the process lives          /ready     503 before the model is loaded, and when
/metrics  in Prometheus' text format                      the service is told to end

settings.py has every bound, and the batching that was measured for this file. Size and time of one
request are bounded; requests, bytes and connections are bounded for all clients together. Idle and
stalled clients cannot keep /health from its answer, but one client can take all places of
/classify: bound the share of a client in the proxy in front.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import math
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

if sys.version_info < (3, 11):  # noqa: UP036  # asyncio has no groups of tasks
    sys.exit(f"error: expected Python 3.11 or newer, found {sys.version.split()[0]}")

import uvicorn

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -P leaves it out
from batching import LOG, Batcher
from bodies import SOON, Bodies
from connections import Server, guarded
from fastapi import FastAPI, HTTPException, Request, Response
from metrics import Metrics
from settings import MEASURED, Settings
from warming import warm_up

BUNDLE = Path(os.environ.get("BUNDLE", "model"))
TEST_IMAGE = "test_image.png"
sys.path.insert(0, str(BUNDLE))
sys.dont_write_bytecode = True  # no file may be added to a signed bundle
try:
    from machine import cpu_model, usable_cores  # the bundle's own, as is the next one

    from predict import Model, UnreadableImageError
except ModuleNotFoundError as missing:
    if missing.name in {"machine", "predict"}:
        sys.exit(
            f"error: BUNDLE: expected the folder of an unpacked bundle, found {BUNDLE}; unzip one "
            "and name its folder, as in BUNDLE=model"
        )
    sys.exit(f"error: {missing}; pip install -r {BUNDLE / 'requirements.txt'}")

TOP = 5
WRAPPED = ("multipart/", "application/json")  # types of bodies that have an image inside
ALONE = "; send the file itself as the body, as curl --data-binary @photo.jpg does"
PROBE = ["GET", "HEAD"]  # of health checks
LOOPBACK, MOST_PORTS = "127.0.0.1", 65_535


class Service:
    """The state of the service: models, batches, and what is in hand.

    Args:
        load: loads the models, one a stream.
        settings: batching and bounds.
    """

    def __init__(self, load: Callable[[], Sequence[Any]], settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.batcher: Batcher | None = None  # None until the models are loaded
        self.is_draining = False
        self.failure: str | None = None  # the reason why no request can be answered any more
        self.in_hand = 0  # requests without an answer, those whose body is still coming included
        self._load = load
        self._answering = 0  # requests whose body is there
        self._prepared = 0  # bytes of their images
        self._bodies = Bodies(settings)
        self._models: Sequence[Any] = ()
        self._decoders = ThreadPoolExecutor(settings.decoders, "decoder")

    def drain(self) -> None:
        """Refuse new requests from now on."""
        self.is_draining = True

    @property
    def is_ready(self) -> bool:
        """True if requests are answered."""
        return self.batcher is not None and not self.is_draining

    @contextlib.asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Load the models in the background, and answer until the end."""
        task = asyncio.create_task(self._run())
        yield
        self.drain()  # also where no signal came, as for a port that is in use
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        self._decoders.shutdown(wait=False, cancel_futures=True)

    async def classify(self, request: Request) -> dict[str, Any]:
        """Return the likeliest classes of the image that is the body."""
        if self.batcher is None or self.is_draining:
            raise HTTPException(503, "not ready", {**SOON, "Connection": "close"})
        self.in_hand += 1
        try:
            async with self._bodies.read(request) as body:
                with self._place():
                    kind = request.headers.get("content-type", "")
                    probabilities = await self._probabilities(body, kind, self.batcher)
        finally:
            self.in_hand -= 1
        best = (-probabilities).argsort(kind="stable")[:TOP]
        names = self._models[0].class_names
        return {"top": [{"class": names[i], "probability": float(probabilities[i])} for i in best]}

    async def _run(self) -> None:
        try:
            self._models = await asyncio.to_thread(self._load)
            for model in self._models[:1]:
                LOG.info("%d classes, %s", len(model.class_names), self.settings)
            batcher = Batcher(self._models, self.settings, self.metrics.observe_batch)
            self.metrics.watch(lambda: self.in_hand, lambda: batcher.depth)
            self.batcher = batcher
            await batcher.run()
        except Exception as error:
            self.failure = _reason(error)
            self.batcher = None

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """Take one of the places of requests that are answered at the same time."""
        if self._answering >= self.settings.most_in_hand:
            raise HTTPException(429, "too many requests at once", SOON)
        self._answering += 1
        try:
            yield
        finally:
            self._answering -= 1

    async def _probabilities(self, body: bytearray, kind: str, batcher: Batcher) -> Any:
        loop = asyncio.get_running_loop()
        prepare = self._models[0].prepare
        try:
            image = await loop.run_in_executor(self._decoders, prepare, io.BytesIO(body))
        except UnreadableImageError as error:
            advice = ALONE if kind.startswith(WRAPPED) else ""
            raise HTTPException(415, f"not an image: {error}{advice}") from error
        except MemoryError as error:
            raise HTTPException(503, "not enough memory to decode it now", SOON) from error
        with self._room(image.nbytes):
            try:
                return await batcher.classify(image)
            except Exception as error:
                LOG.exception("no answer for an image")
                raise HTTPException(500, "the model has no answer for this image") from error

    @contextlib.contextmanager
    def _room(self, size: int) -> Iterator[None]:
        """Hold the bytes of a prepared image until its answer; one alone always has room.

        A model with its preprocessing inside takes the image in its whole size.
        """
        if self._prepared and self._prepared + size > self.settings.most_prepared:
            raise HTTPException(429, "too many large images at once", SOON)
        self._prepared += size
        try:
            yield
        finally:
            self._prepared -= size


def _reason(error: BaseException) -> str:
    """Return an error in one line; of several that came together, the first one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(f"{error}".split()) or type(error).__name__


def create_app(service: Service) -> Any:
    """Return the ASGI application."""
    app = FastAPI(lifespan=service.lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(service.metrics.counting)

    @app.api_route("/health", methods=PROBE)
    async def health() -> dict[str, bool]:
        return {"live": True}

    @app.api_route("/ready", methods=PROBE)
    async def ready(response: Response) -> dict[str, bool]:
        response.status_code = 200 if service.is_ready else 503
        return {"ready": service.is_ready}

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    app.post("/classify")(service.classify)
    return app


def load_models(settings: Settings, is_ending: Callable[[], bool]) -> list[Model]:
    """Return a model for each stream, each of which has answered."""
    models = [
        Model(most_pixels=settings.most_pixels, threads=settings.threads)
        for _ in range(settings.streams)
    ]
    for model in models:
        warm_up(model, BUNDLE / TEST_IMAGE, settings.largest_batch, is_ending)
    return models


def serve(service: Service, port: int, host: str = LOOPBACK) -> None:
    """Serve until a signal, or until the model cannot answer: that ends the process with 1.

    Whoever has started the process learns of it, and may start it again.
    """
    config = uvicorn.Config(
        create_app(service),
        host=host,
        port=port,
        http=guarded(service.settings),
        ws="none",
        timeout_keep_alive=math.ceil(service.settings.idle_seconds),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,  # what is in hand was waited for before
    )
    Server(config, service).run()
    if service.failure:
        sys.exit(f"error: {service.failure}")


def port_number(text: str) -> int:
    """Return a number of a port.

    Raises:
        ArgumentTypeError: there is no such port.
    """
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_PORTS))
    if not is_number or int(text) > MOST_PORTS:
        raise argparse.ArgumentTypeError(
            f"expected a number from 0 to {MOST_PORTS}, found {text!r:.40}"
        )
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=port_number, default=8000)
    parser.add_argument(
        "--host",
        default=LOOPBACK,
        help="address to listen on; 0.0.0.0 for all of a container's (default: %(default)s)",
    )
    options = parser.parse_args()
    try:
        settings = Settings.of(BUNDLE, usable_cores())
        measured_on, here = Settings.measured_on(BUNDLE), cpu_model()
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        sys.exit(f"error: {BUNDLE / MEASURED} is damaged ({_reason(error)}); unzip it again")
    if measured_on not in {None, here}:
        words = " ".join(f"{MEASURED} was measured on {measured_on}, and this is {here}".split())
        print(f"warning: {words}: the rate that holds here may be another", file=sys.stderr)
    service = Service(lambda: load_models(settings, lambda: service.is_draining), settings)
    serve(service, options.port, options.host)


if __name__ == "__main__":
    main()
