"""Folders of an S3 server: copies in step with it, whatever fails on the way, and a cache of bounded size."""

import json
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from configs import InputError
from records import no_progress
from records.stores import StoredFolder, folder, is_address
from records.stores.filesystem import WrongContentError, check_content

fsspec = pytest.importorskip("fsspec")
ENOUGH = 10**9


@pytest.fixture
def store(s3_server, monkeypatch) -> "fsspec.AbstractFileSystem":
    """The server's filesystem, with a bucket `eyes` that is empty."""
    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(folder, "WAIT_SECONDS", 0.01)
    filesystem = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)
    if filesystem.exists("eyes"):
        filesystem.rm("eyes", recursive=True)
    filesystem.mkdir("eyes")
    return filesystem


@pytest.fixture
def fail(s3_server) -> Callable[..., None]:
    """Tells the server how to fail."""

    def tell(kind: str, *, times: int, method: str = "GET", ends: str = "") -> None:
        content = json.dumps({"kind": kind, "times": times, "method": method, "ends": ends}).encode()
        urllib.request.urlopen(f"{s3_server['AWS_ENDPOINT_URL']}/_faults", data=content).close()

    return tell


def fetched(stored: StoredFolder, *, to_write: bool = False, most_bytes: int = ENOUGH) -> int:
    """Fetches, and returns the number of files that were transferred."""
    return stored.fetch(to_write=to_write, most_bytes=most_bytes, progress=no_progress).files


def published(stored: StoredFolder) -> int:
    return stored.publish(progress=no_progress).files


def contents(copy: Path) -> dict[str, bytes]:
    return {path.relative_to(copy).as_posix(): path.read_bytes() for path in copy.rglob("*") if path.is_file()}


def test_a_copy_is_what_the_store_holds_and_only_changes_are_fetched(store, tmp_path):
    store.pipe({"eyes/set/images/a b.png": b"a", "eyes/set/masks/HE/a b.png": b"mask", "eyes/other/c.png": b"c"})
    stored = StoredFolder("s3://eyes/set/", tmp_path)
    assert fetched(stored) == 2
    assert contents(stored.copy) == {"images/a b.png": b"a", "masks/HE/a b.png": b"mask"}
    assert fetched(stored) == 0
    store.pipe("eyes/set/images/a b.png", b"changed")
    store.rm("eyes/set/masks/HE/a b.png")
    (stored.copy / "left.png").touch()
    assert fetched(StoredFolder("s3://eyes/set", tmp_path)) == 1
    assert contents(stored.copy) == {"images/a b.png": b"changed"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("s3://b/a", True), ("gs://b", True), ("http://127.0.0.1:8501", False), ("https://a.b/c", False)]
    + [("C:/eyes", False), ("a/b", False), ("://a", False), (None, False)],
)
def test_addresses_of_stores_are_told_from_paths_and_from_servers(text, expected):
    assert is_address(text) is expected


def test_a_single_file_can_be_named(store, tmp_path):
    store.pipe("eyes/one.png", b"one")
    stored = StoredFolder("s3://eyes/one.png", tmp_path)
    assert fetched(stored) == 1 and stored.copy.read_bytes() == b"one"


def test_what_is_written_is_published_indexes_last_and_hidden_files_stay(store, tmp_path, monkeypatch):
    stored = StoredFolder("s3://eyes/out", tmp_path)
    assert fetched(stored, to_write=True) == 0
    files = {"index.json": b"{}", "a/1.tfrecord": b"shard", "a/counts.csv": b"x", ".lock": b"", ".building/2": b""}
    for name, content in files.items():
        (stored.copy / name).parent.mkdir(parents=True, exist_ok=True)
        (stored.copy / name).write_bytes(content)
    order: list[str] = []
    send = StoredFolder._send
    monkeypatch.setattr(
        StoredFolder, "_send", lambda self, name, changed: order.append(name) or send(self, name, changed)
    )
    assert published(stored) == 3
    assert order == ["a/1.tfrecord", "a/counts.csv", "index.json"]
    assert sorted(store.find("eyes/out")) == ["eyes/out/a/1.tfrecord", "eyes/out/a/counts.csv", "eyes/out/index.json"]
    assert published(stored) == 0
    (stored.copy / "a" / "1.tfrecord").unlink()
    (stored.copy / "index.json").write_bytes(b"{1}")
    assert published(stored) == 1
    assert store.cat("eyes/out/index.json") == b"{1}" and not store.exists("eyes/out/a/1.tfrecord")
    elsewhere = StoredFolder("s3://eyes/out", tmp_path / "elsewhere")
    assert fetched(elsewhere, to_write=True) == 2


def test_what_a_stopped_run_has_left_stays_to_go_on_with_and_what_others_published_arrives(store, tmp_path):
    stored = StoredFolder("s3://eyes/out", tmp_path)
    fetched(stored, to_write=True)
    stored.copy.mkdir()
    (stored.copy / "left.png").write_bytes(b"left")
    store.pipe("eyes/out/other.png", b"other")
    assert fetched(StoredFolder("s3://eyes/out", tmp_path), to_write=True) == 1
    assert contents(stored.copy) == {"left.png": b"left", "other.png": b"other"}
    assert published(stored) == 1
    assert store.cat("eyes/out/left.png") == b"left"


@pytest.mark.parametrize("kind", ["500", "cut", "wrong", "slow"])
def test_faults_that_pass_are_passed_over(store, fail, tmp_path, kind):
    content = bytes(range(256)) * 64
    store.pipe({"eyes/set/a.png": content, "eyes/set/b.png": content})
    fail(kind, times=2, ends="a.png")
    stored = StoredFolder("s3://eyes/set", tmp_path)
    assert fetched(stored) == 2
    assert contents(stored.copy) == {"a.png": content, "b.png": content}


def test_a_store_that_goes_on_failing_is_named_and_the_next_call_goes_on(store, fail, tmp_path):
    store.pipe({f"eyes/set/{name}.png": name.encode() for name in "abc"})
    fail("wrong", times=4, ends="b.png")
    stored = StoredFolder("s3://eyes/set", tmp_path)
    with pytest.raises(InputError, match="^s3://eyes/set/b.png: Expected checksum .* did not match"):
        fetched(stored)
    assert not (stored.copy / "b.png").exists()
    fetched(StoredFolder("s3://eyes/set", tmp_path))
    assert contents(stored.copy) == {f"{name}.png": name.encode() for name in "abc"}


def test_credentials_that_end_in_the_middle_are_named_and_what_was_written_is_published_later(store, fail, tmp_path):
    stored = StoredFolder("s3://eyes/out", tmp_path)
    fetched(stored, to_write=True)
    stored.copy.mkdir()
    for name in "ab":
        (stored.copy / f"{name}.png").write_bytes(name.encode())
    (stored.copy / "index.json").write_bytes(b"{}")
    fail("expired", times=1, method="PUT", ends="b.png")
    with pytest.raises(InputError, match=r"b.png: access is refused .*renew the credentials and run the same command"):
        published(stored)
    assert not store.exists("eyes/out/index.json")  # what it names is not all there
    published(StoredFolder("s3://eyes/out", tmp_path))
    assert store.cat("eyes/out/b.png") == b"b" and store.exists("eyes/out/index.json")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://no-such-bucket/set", r"s3://no-such-bucket/set: .*does not exist.*check the address"),
        ("s3://eyes/nothing", "s3://eyes/nothing: nothing is there; check the address"),
        ("nosuch://eyes/set", "nosuch://eyes/set: Protocol not known: nosuch"),
    ],
)
def test_what_is_not_there_is_named(store, tmp_path, address, message):
    with pytest.raises(InputError, match=message):
        fetched(StoredFolder(address, tmp_path))


def test_the_cache_keeps_to_its_size_and_what_is_in_use(store, tmp_path):
    store.pipe({f"eyes/{name}/file": bytes(400) for name in ("old", "used", "new")})
    old, used, new = (StoredFolder(f"s3://eyes/{name}", tmp_path) for name in ("old", "used", "new"))
    fetched(used, most_bytes=1000)
    fetched(old, most_bytes=1000)
    with used.in_use():
        fetched(new, most_bytes=1000)
        assert not old.copy.exists() and used.copy.exists() and new.copy.exists()
        with old.in_use(), new.in_use(), pytest.raises(InputError, match="has room for 0.0 GB beside what is in use"):
            fetched(old, most_bytes=1000)


def test_processes_that_fetch_the_same_folder_take_turns(store, fail, tmp_path):
    store.pipe("eyes/set/a.png", b"a")
    fail("slow", times=1, ends="a.png")
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(fetched(StoredFolder("s3://eyes/set", tmp_path)))) for _ in "ab"
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.3)
    for thread in threads:
        thread.join()
    assert sorted(counts) == [0, 1]


def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, monkeypatch):
    stored = StoredFolder("memory://eyes", tmp_path)
    names = {"/eyes/../outside.png": {"type": "file", "size": 1}}
    monkeypatch.setattr(stored._filesystem, "find", lambda *_, **__: names)
    with pytest.raises(InputError, match=r"eyes/\.\./outside.png: this name leads out of the folder"):
        fetched(stored)
    assert not list(tmp_path.rglob("*.png"))


def test_a_store_that_does_not_say_how_large_files_are_is_refused(tmp_path, monkeypatch):
    stored = StoredFolder("memory://eyes", tmp_path)
    monkeypatch.setattr(stored._filesystem, "find", lambda *_, **__: {"/eyes/a.png": {"type": "file", "size": None}})
    with pytest.raises(InputError, match="memory://eyes: this store does not say how large files are"):
        fetched(stored)


def test_content_is_held_to_the_size_and_the_digest_that_a_store_says(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"a")
    check_content(path, 1, '"0cc175b9c0f1b6a831c399e269772661"')
    check_content(path, 1, '"0cc175b9c0f1b6a831c399e269772661-2"')  # of a file that was sent in parts
    with pytest.raises(WrongContentError, match="another content"):
        check_content(path, 1, '"0cc175b9c0f1b6a831c399e269772662"')
    with pytest.raises(WrongContentError, match="arrived with 1 bytes, where the store says 2"):
        check_content(path, 2, "")
