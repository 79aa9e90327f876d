"""The server as an ASGI application: admits requests, computes them one after the other, and counts them.

A body is read before it waits for its turn, so that slow clients take no turns; how many are read and how many wait at
once is limited, and with it the memory. What is too much is refused at once with 429.
"""

import asyncio
import contextlib
import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from configs import InputError
from pipeline.serving.exported import ExportedModel
from pipeline.serving.requests import encode_reply, parse_request

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)  # seconds
RETRY_SECONDS = "1"


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a request may take.

    Attributes:
      most_bytes: size of a body.
      most_pixels: pixels of all photographs of a request together.
      most_photographs: photographs of a request.
      queue: requests that wait or are computed at once; as many again may be sending their bodies.
      body_seconds: time in which a body must have arrived.
    """

    most_bytes: int
    most_pixels: int
    most_photographs: int
    queue: int
    body_seconds: float


class RefusedError(Exception):
    """A request is not answered: the status says why, and the message what to do."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def make_application(model: ExportedModel, *, name: str, version: int, limits: Limits) -> Starlette:
    """Makes the application, whose model is called `/v1/models/NAME` or `/v1/models/NAME/versions/VERSION`."""
    server = _Server(model, limits)
    base = f"/v1/models/{name}"
    routes = [
        Route("/healthz", server.alive, methods=["GET"]),
        Route("/readyz", server.ready, methods=["GET"]),
        Route("/metrics", server.metrics, methods=["GET"]),
    ]
    status = {"model_version_status": [{"version": str(version), "state": "AVAILABLE", "status": {"error_code": "OK"}}]}

    async def tell(_: Request) -> Response:
        return JSONResponse(status)

    for path in (base, f"{base}/versions/{version}"):
        routes += [
            Route(f"{path}:predict", server.predict, methods=["POST"]),
            Route(path, tell, methods=["GET"]),
        ]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette):
        yield
        server.close()

    return Starlette(routes=routes, lifespan=lifespan)


class _Server:
    """The answers to requests."""

    def __init__(self, model: ExportedModel, limits: Limits):
        self._model, self._limits = model, limits
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._reading = self._waiting = 0
        self._registry = registry = CollectorRegistry()
        shared: dict[str, Any] = {"namespace": "fundus_tiles", "registry": registry}
        self._requests = Counter("requests", "Answers by status.", ["status"], **shared)
        self._photographs = Counter("photographs", "Photographs computed.", **shared)
        self._seconds = Histogram("request_seconds", "From request to answer.", buckets=BUCKETS, **shared)
        self._computing = Histogram("computing_seconds", "Of the graph.", buckets=BUCKETS, **shared)
        Gauge("waiting", "Requests that wait or are computed.", **shared).set_function(lambda: self._waiting)
        Gauge("reading", "Requests whose body arrives.", **shared).set_function(lambda: self._reading)

    def close(self) -> None:
        """Waits for what is being computed."""
        self._worker.shutdown()

    async def alive(self, _: Request) -> Response:
        """Says that the process answers."""
        return Response("ok\n", media_type="text/plain")

    async def ready(self, _: Request) -> Response:
        """Says whether a request would be taken now."""
        free = self._waiting < self._limits.queue
        return Response("ready\n" if free else "busy\n", 200 if free else 503, media_type="text/plain")

    async def metrics(self, _: Request) -> Response:
        """Writes the numbers as Prometheus reads them."""
        return Response(generate_latest(self._registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def predict(self, request: Request) -> Response:
        """Computes what a request asks for."""
        began = time.perf_counter()
        try:
            response = Response(await self._answer(request), media_type="application/json")
        except RefusedError as error:
            headers = {"Retry-After": RETRY_SECONDS} if error.status == 429 else {}
            if error.status in (408, 413, 429):  # the rest of the body is not read
                headers["Connection"] = "close"
            response = JSONResponse({"error": str(error)}, error.status, headers)
        self._requests.labels(response.status_code).inc()
        self._seconds.observe(time.perf_counter() - began)
        return response

    async def _answer(self, request: Request) -> bytes:
        body = await self._read(request)
        if self._waiting >= self._limits.queue:
            raise RefusedError(429, f"{self._waiting} requests are waiting; try again later.")
        self._waiting += 1
        try:
            # A client that leaves does not free its place: the graph cannot be stopped.
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._worker, self._compute, body))
        except InputError as error:
            raise RefusedError(400, str(error)) from error
        except MemoryError as error:
            raise RefusedError(503, "there is not enough memory for this request.") from error
        finally:
            self._waiting -= 1

    async def _read(self, request: Request) -> bytes:
        """Returns the body of a request, if it is not too large and arrives in time."""
        most = self._limits.most_bytes
        too_large = RefusedError(413, f"the body may have {most} bytes; send fewer or smaller photographs.")
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            raise too_large
        if self._reading >= self._limits.queue:
            raise RefusedError(429, f"{self._reading} requests are being sent; try again later.")
        self._reading += 1
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for piece in request.stream():
                    body += piece
                    if len(body) > most:
                        raise too_large
        except TimeoutError as error:
            raise RefusedError(408, f"the body did not arrive in {self._limits.body_seconds:g} seconds.") from error
        except ClientDisconnect as error:
            raise RefusedError(400, "the client has gone.") from error
        finally:
            self._reading -= 1
        return bytes(body)

    def _compute(self, body: bytes) -> bytes:
        limits = self._limits
        asked = parse_request(
            body, self._model.signatures, max_pixels=limits.most_pixels, max_photographs=limits.most_photographs
        )
        began = time.perf_counter()
        outputs = self._model.predict(asked.signature, asked.inputs)
        self._computing.observe(time.perf_counter() - began)
        self._photographs.inc(asked.photographs)
        return encode_reply(outputs, rows=asked.rows)
