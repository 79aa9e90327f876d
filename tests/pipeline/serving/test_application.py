"""The server: answers, refusals of what is too much or too slow, numbers, and a stop that loses no request."""

import base64
import contextlib
import http.client
import json
import socket
import threading
import time

import cv2
import numpy as np
import pytest
import uvicorn

from pipeline.serving import ExportedModel, Limits, make_application
from pipeline.serving.requests import InputForm

PATH = "/v1/models/segmenter"
LIMITS = Limits(most_bytes=100_000, most_pixels=50_000, most_photographs=3, queue=2, body_seconds=1.0)
NUMBER = json.dumps({"instances": [[1.0]]}).encode()


class Doubling:
    """A model of one signature that doubles numbers, and takes its time until it may go on."""

    def __init__(self) -> None:
        self.signatures = {"serving_default": {"x": InputForm((None, None), np.dtype(np.float32))}}
        self.may_go, self.entered = threading.Event(), threading.Semaphore(0)
        self.may_go.set()

    def predict(self, signature, inputs):
        self.entered.release()
        assert self.may_go.wait(30)
        return {"y": inputs["x"] * 2}


@contextlib.contextmanager
def serving(model, limits=LIMITS):
    """Serves a model on a free port; yields the port and what stops the server and waits for its end."""
    application = make_application(model, name="segmenter", version=3, limits=limits)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", timeout_graceful_shutdown=20))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)

        def stop():
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()

        yield listening.getsockname()[1], stop
        stop()


def ask(port, body=None, path=f"{PATH}:predict", headers=()):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET" if body is None else "POST", path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def in_thread(results, *arguments):
    thread = threading.Thread(target=lambda: results.append(ask(*arguments)))
    thread.start()
    return thread


@pytest.fixture
def doubling():
    model = Doubling()
    with serving(model) as (port, stop):
        yield model, port, stop
        model.may_go.set()


def test_addresses_and_numbers(doubling):
    _, port, _ = doubling
    assert ask(port, NUMBER) == (200, b'{"predictions":[[2.0]]}')
    assert ask(port, NUMBER, f"{PATH}/versions/3:predict")[0] == 200
    for path in ("/v1/models/other:predict", f"{PATH}/versions/2:predict", "/"):
        assert ask(port, NUMBER, path)[0] == 404
    assert ask(port, None, f"{PATH}:predict")[0] == 405
    assert json.loads(ask(port, None, PATH)[1])["model_version_status"][0]["state"] == "AVAILABLE"
    assert ask(port, None, "/healthz") == (200, b"ok\n")
    assert ask(port, None, "/readyz") == (200, b"ready\n")
    status, text = ask(port, b"no JSON")
    assert (status, json.loads(text)) == (400, {"error": "the body is not JSON (JSONDecodeError)."})
    numbers = ask(port, None, "/metrics")[1].decode()
    assert 'fundus_tiles_requests_total{status="200"} 2.0' in numbers
    assert 'fundus_tiles_requests_total{status="400"} 1.0' in numbers
    assert "fundus_tiles_computing_seconds_count 2.0" in numbers
    assert "fundus_tiles_waiting 0.0" in numbers


def test_more_requests_than_may_wait_are_refused_and_the_others_answered(doubling):
    model, port, _ = doubling
    model.may_go.clear()
    taken, threads = [], []
    for _ in range(LIMITS.queue):
        threads.append(in_thread(taken, port, NUMBER))
    model.entered.acquire(timeout=20)
    while "fundus_tiles_waiting 2.0" not in ask(port, None, "/metrics")[1].decode():
        time.sleep(0.01)
    status, text = ask(port, NUMBER)
    assert (status, json.loads(text)["error"]) == (429, "2 requests are waiting; try again later.")
    assert ask(port, None, "/readyz") == (503, b"busy\n")
    assert ask(port, None, "/healthz")[0] == 200  # it is alive nevertheless
    model.may_go.set()
    for thread in threads:
        thread.join()
    assert [status for status, _ in taken] == [200, 200]


def test_a_stop_answers_what_was_taken(doubling):
    model, port, stop = doubling
    model.may_go.clear()
    taken = []
    thread = in_thread(taken, port, NUMBER)
    model.entered.acquire(timeout=20)
    stopping = threading.Thread(target=stop)
    stopping.start()
    time.sleep(0.3)
    model.may_go.set()
    thread.join()
    stopping.join()
    assert taken == [(200, b'{"predictions":[[2.0]]}')]


def test_large_bodies_are_refused_unread_and_slow_ones_after_a_second(doubling):
    _, port, _ = doubling
    for start in (b"Content-Length: 1000000000\r\n\r\n", b"Content-Length: -1\r\n\r\n", b"Content-Length: x\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.sendall(f"POST {PATH}:predict HTTP/1.1\r\nHost: x\r\n".encode() + start)
            assert client.recv(100).split()[1] in (b"413", b"400")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:  # says no length
        client.sendall(f"POST {PATH}:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        with contextlib.suppress(OSError):  # it hangs up before it has read all
            for _ in range(3):
                client.sendall(b"ea60\r\n" + b" " * 60_000 + b"\r\n")
        assert client.recv(100).split()[1] == b"413"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(f"POST {PATH}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{{".encode())
        assert client.recv(100).split()[1] == b"408"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:  # leaves in the middle
        client.sendall(f"POST {PATH}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{{".encode())
    assert ask(port, NUMBER)[0] == 200  # the service stays


def test_an_export_answers_as_its_signatures_do_and_outlives_hostile_photographs(exported, fundus):
    model = ExportedModel(exported)
    files = [cv2.imencode(".png", fundus(*size, seed=3).photograph)[1].tobytes() for size in ((70, 81), (50, 40))]
    encoded = np.empty(2, object)
    encoded[:] = files
    options = {name: form.default for name, form in model.signatures["lesions"].items() if form.default is not None}
    expected = model.predict("lesions", {"encoded_photographs": encoded, **options})
    rows = [{"encoded_photographs": {"b64": base64.urlsafe_b64encode(one).decode()}} for one in files]
    request = json.dumps({"signature_name": "lesions", "instances": rows}).encode()
    damaged = files[0][:200] + bytes(200) + files[0][400:]
    with serving(model) as (port, _):
        bad = {"inputs": {"b64": base64.b64encode(damaged).decode()}}
        status, text = ask(port, json.dumps(bad).encode())
        assert status == 400
        assert "the model refuses the request (Invalid PNG" in json.loads(text)["error"]
        wrong = {"signature_name": "lesions", "instances": [rows[0] | {"thresholds": [0.1, 0.2, 0.3]}]}
        assert ask(port, json.dumps(wrong).encode())[0] == 400
        status, text = ask(port, request)
    assert status == 200
    for number, row in enumerate(json.loads(text)["predictions"]):
        for name, value in expected.items():
            np.testing.assert_allclose(row[name], value[number], rtol=1e-6)
