"""A bundle as a small HTTP service, which answers what comes at the same time in one batch.

python -m src.bundle RUN --format onnx_int8 -o model.zip && unzip model.zip
BUNDLE=model uvicorn --app-dir examples/http_service service:app    # pip install fastapi uvicorn

It listens on this machine only: curl --data-binary @photo.jpg http://127.0.0.1:8000/classify
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, HTTPException, Request

sys.path.insert(0, os.environ.get("BUNDLE", "model"))
from predict import Model, UnreadableImageError  # the bundle's own

LARGEST_BATCH = 16
WAIT_SECONDS = 0.005  # for others to come, once there is one
LARGEST_BYTES = 20_000_000  # of one picture's file
LARGEST_PIXELS = 50_000_000  # that it may unpack to: 200 MB while it is decoded
IN_HAND = 2 * LARGEST_BATCH  # pictures at once; whoever comes then waits
TOP = 5

Waiting = tuple[Any, "asyncio.Future[Any]"]  # a prepared image, and who waits for its answer


class Batcher:
    """Collects images for a moment, and asks the model for all of them at once."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.batches: list[int] = []  # the sizes of the latest ones
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue(maxsize=4 * LARGEST_BATCH)

    async def classify(self, image: Any) -> Any:
        """Probabilities (K,) of a prepared image."""
        future = asyncio.get_running_loop().create_future()
        await self._queue.put((image, future))
        return await future

    async def run(self) -> None:
        """Answer for as long as the service lives."""
        while True:
            batch = await self._collect()
            self.batches = [*self.batches[-99:], len(batch)]
            await self._answer(batch)

    async def _answer(self, batch: list[Waiting]) -> None:
        try:
            answers = await asyncio.to_thread(self.model.answer, [image for image, _ in batch])
        except Exception as error:
            if len(batch) > 1:  # whose fault is it? The others have their answer
                for waiting in batch:
                    await self._answer([waiting])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():  # whoever asked may have gone
                future.set_result(answer)

    async def _collect(self) -> list[Waiting]:
        batch = [await self._queue.get()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS):
                while len(batch) < LARGEST_BATCH:
                    batch.append(await self._queue.get())
        return batch


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.batcher = Batcher(Model(most_pixels=LARGEST_PIXELS))
    app.state.in_hand = asyncio.Semaphore(IN_HAND)
    task = asyncio.create_task(app.state.batcher.run())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health(request: Request) -> dict[str, Any]:
    """Is it ready, and how large were the latest batches?"""
    return {"ready": True, "batches": request.app.state.batcher.batches}


@app.post("/classify")
async def classify(request: Request) -> dict[str, Any]:
    """The likeliest classes of the picture that is the body."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BYTES:
            raise HTTPException(413, f"a picture of more than {LARGEST_BYTES} bytes")
    batcher: Batcher = request.app.state.batcher
    async with request.app.state.in_hand:
        try:
            image = await asyncio.to_thread(batcher.model.prepare, io.BytesIO(body))
        except UnreadableImageError as error:
            raise HTTPException(415, f"not a picture: {error}") from error
        try:
            probabilities = await batcher.classify(image)
        except ValueError as error:
            raise HTTPException(500, f"no answer: {error}") from error
    best = (-probabilities).argsort(kind="stable")[:TOP]
    names = batcher.model.class_names
    return {"top": [{"class": names[i], "probability": float(probabilities[i])} for i in best]}
