"""Hosts find each other, agree, and say which of them is missing or gone."""

import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from configs import InputError
from pipeline.hosts import AgreedStop, Hosts, Place, joined_hosts, meeting
from pipeline.interruption import StoppedError, StopRequest


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def places() -> list[Place]:
    """Three hosts, which are threads here."""
    addresses = tuple(f"127.0.0.1:{free_port()}" for _ in range(3))
    return [Place(index, addresses) for index in range(3)]


def on_all(places: list[Place], work, *, wait: float = 20.0) -> list:
    """Returns what `work(hosts)` returns on each host, or the error that it ended with."""

    def run(place: Place):
        try:
            with joined_hosts(place, wait=wait) as hosts:
                return work(hosts)
        except (InputError, StoppedError) as error:
            return error

    with ThreadPoolExecutor(len(places)) as pool:
        return list(pool.map(run, places))


def test_a_process_alone_has_no_hosts():
    with joined_hosts(None) as hosts:
        assert hosts is None


def test_all_hosts_get_the_values_of_all_in_their_order(places):
    values = [{"a": 0.1}, [1, None], "text"]
    assert on_all(places, lambda hosts: hosts.gather(values[hosts.index])) == [values] * 3


def test_floats_come_through_exactly(places):
    values = [0.1 + 0.2, 1e-310, 2**53 + 1]
    assert on_all(places, lambda hosts: hosts.gather(values)) == [[values] * 3] * 3


def test_the_clock_is_that_of_the_first_host_on_all(places):
    def work(hosts: Hosts) -> list[float]:
        seen = []
        for _ in range(3):
            hosts.gather(None)
            seen.append(hosts.seconds)
        return seen

    before = time.monotonic()
    one, two, three = on_all(places, work)
    assert one == two == three
    assert before < one[0] < one[1] < one[2] < time.monotonic()


def test_addresses_that_only_a_host_itself_knows_are_told_to_all(places):
    known = [
        Place(place.index, tuple(one if n in (0, place.index) else "" for n, one in enumerate(place.addresses)))
        for place in places
    ]
    assert on_all(known, lambda hosts: hosts.addresses) == [places[0].addresses] * 3


def test_the_port_on_which_hosts_met_is_free_for_the_backend(places):
    def work(hosts: Hosts) -> int:
        if hosts.first:
            port = int(hosts.addresses[0].rpartition(":")[2])
            with socket.create_server(("127.0.0.1", port)) as listener:
                return listener.getsockname()[1] - port
        return 0

    assert on_all(places, work) == [0, 0, 0]


def test_what_differs_is_named_with_its_host_on_all(places):
    def work(hosts: Hosts) -> None:
        hosts.check_equal({"the config": 1, "the records": "b" if hosts.index == 2 else "a"})

    for error in on_all(places, work):
        assert isinstance(error, InputError)
        assert f"host 2 ({places[0].addresses[2]}) differs from host 0" in str(error)
        assert "in: the records." in str(error)


def test_equal_hosts_go_on(places):
    assert on_all(places, lambda hosts: hosts.check_equal({"the config": [1, 2]})) == [None] * 3


def test_a_host_that_does_not_come_is_named_on_all_others(places):
    errors = on_all(places[:2], lambda hosts: None, wait=1.0)
    for error in errors:
        assert f"host 2 ({places[0].addresses[2]}) of 3 did not come within 1 s" in str(error)


def test_a_first_host_that_does_not_come_is_named_by_the_others(places):
    (error,) = on_all(places[1:2], lambda hosts: None, wait=1.0)
    assert f"host 0 ({places[0].addresses[0]}) did not come within 1 s" in str(error)


def test_strangers_do_not_keep_hosts_from_meeting(places, monkeypatch):
    monkeypatch.setattr(meeting, "GREETING_SECONDS", 0.3)
    name, _, port = places[0].addresses[0].rpartition(":")

    def disturb() -> list:
        heard = []
        for message in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 8, b"", b"\0\0\0\0\0\0\0\x05[1,2]"):
            while True:
                try:
                    connection = socket.create_connection((name, int(port)))
                    break
                except OSError:
                    time.sleep(0.01)
            connection.sendall(message)
            heard.append(connection)
        return heard

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(on_all, places[:1], lambda hosts: hosts.gather(0))
        strangers = pool.submit(disturb).result()
        others = pool.submit(on_all, places[1:], lambda hosts: hosts.gather(0))
        results = [*first.result(), *others.result()]
    for connection in strangers:
        connection.close()
    assert results == [[0, 0, 0]] * 3


def test_a_second_host_of_a_number_is_told_so(places):
    late = threading.Event()

    def work(hosts: Hosts) -> None:
        late.set()
        hosts.gather(None)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(on_all, places[:2], work, wait=3.0)
        time.sleep(1.0)
        (error,) = on_all(places[1:2], work, wait=1.0)
        assert str(error) == "host 0 expects no host 1, or has one already."
        assert not late.is_set()
        assert all(isinstance(one, InputError) for one in first.result())  # host 2 did not come


def test_a_port_that_is_taken_is_named(places):
    with socket.create_server(("", int(places[0].addresses[0].rpartition(":")[2]))):
        (error,) = on_all(places[:1], lambda hosts: None)
    assert "host 0 cannot listen on port" in str(error)
    assert "choose another one in TF_CONFIG" in str(error)


def test_the_error_of_one_host_is_said_on_all(places):
    def work(hosts: Hosts) -> None:
        hosts.gather(None)
        if hosts.index == 1:
            raise InputError("shard 3 is damaged")
        hosts.gather(None)

    first, second, third = on_all(places, work)
    assert str(second) == "shard 3 is damaged"
    for error in (first, third):
        assert str(error) == f"host 1 ({places[0].addresses[1]}) ended with an error: shard 3 is damaged"


# A host in a process of its own that meets the others and then does what the last argument says.
HOST = """
import os, signal, sys, time
from configs import InputError
from pipeline.hosts import Place, channel, joined_hosts

channel.GRACE_SECONDS = channel.SECONDS_TO_NOTICE = 1.0
index, what, *addresses = sys.argv[1:]
try:
    with joined_hosts(Place(int(index), tuple(addresses)), wait=20) as hosts:
        hosts.gather(None)
        print("met", flush=True)
        if what == "waits in the backend":
            time.sleep(60)
        if what == "ends by a fault":
            raise ZeroDivisionError
        if what == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        hosts.gather(None)
except InputError as error:
    sys.exit(f"error: {error}")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "whats",
    [
        ("asks", "is killed", "waits in the backend"),
        ("is killed", "asks", "waits in the backend"),
        ("waits in the backend", "ends by a fault", "asks"),
    ],
    ids=["host 1 killed", "host 0 killed", "host 1 at fault"],
)
def test_a_host_that_is_gone_ends_all_others_within_seconds_with_its_name(places, whats):
    addresses = places[0].addresses
    began = time.monotonic()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", HOST, str(index), what, *addresses], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for index, what in enumerate(whats)
    ]
    said = [process.communicate(timeout=60)[1].decode() for process in running]
    assert time.monotonic() - began < 30
    for what, process, error in zip(whats, running, said, strict=True):
        if what in ("asks", "waits in the backend"):
            assert process.returncode == 1
            gone = next(index for index, one in enumerate(whats) if one in ("is killed", "ends by a fault"))
            assert error.startswith(f"error: host {gone} ({addresses[gone]})")
            assert len(error.strip().splitlines()) == 1


def test_a_request_to_stop_one_host_stops_all_at_the_same_step(places, tmp_path):
    begun = threading.Barrier(3)

    def work(hosts: Hosts) -> int:
        folder = tmp_path / str(hosts.index)
        folder.mkdir()
        stop = AgreedStop(StopRequest(folder, waits_for="the step"), hosts)
        begun.wait()
        for step in range(100):
            if hosts.index == 1 and step == 3:
                (folder / "stop").touch()
            if (error := stop.error()) is not None:
                assert error.code == 0
                assert f"stop on host 1 ({hosts.addresses[1]})" in str(error)
                return step
            time.sleep(0.05)
        return -1

    steps = on_all(places, work)
    assert steps[0] == steps[1] == steps[2] >= 3
