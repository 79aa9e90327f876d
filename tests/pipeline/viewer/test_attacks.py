"""What other sites, and people who are not let in, cannot make the page do."""

import gzip
import io
import struct
import zlib
from urllib.parse import quote

import cv2
import pytest
from werkzeug.exceptions import RequestEntityTooLarge

from pipeline.viewer import uploads
from pipeline.viewer.safety import COOKIE, host_names, is_loopback
from pipeline.viewer.uploads import Uploads

EVERYWHERE = ("/", "/static/main.js", "/api/session", "/api/news?since=0", "/api/photographs/0/photograph", "/none")


def png_header(width: int, height: int) -> bytes:
    """A PNG file that claims to have many pixels."""
    content = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + content + struct.pack(">I", zlib.crc32(content))
    data = b"IDAT" + zlib.compress(b"\0" * 100)
    return header + struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))


@pytest.mark.parametrize("path", EVERYWHERE)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example"]
)
def test_a_name_that_was_pointed_here_is_refused(page, path, host):
    answer = page.ask("GET", path, Host=host)
    assert answer.status == 403
    assert b"HE" not in answer.body


def test_a_missing_host_is_refused(page):
    assert page.ask("GET", "/api/session", Host=None).status in (400, 403)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://localhost:1", None])
def test_other_sites_cannot_change_anything(page, origin):
    before = page.cases()
    for method, path in (
        ("POST", "/api/photographs?name=a.png"),
        ("DELETE", "/api/photographs/0"),
        ("POST", "/api/training"),
        ("DELETE", "/api/training"),
        ("PUT", "/api/model"),
    ):
        assert page.ask(method, path, b"x", Origin=origin).status == 403
    number = before["left"]["number"]
    assert page.ask("PUT", f"/api/photographs/{number}/labels", b"x", Origin=origin).status == 403
    assert page.cases() == before
    assert list(page.output.iterdir()) == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_cannot_embed_what_the_page_shows(page, site):
    for path in EVERYWHERE:
        assert page.ask("GET", path, Sec_Fetch_Site=site).status == 403


def test_other_sites_cannot_read_by_an_origin(page):
    assert page.ask("GET", "/api/session", Origin="http://evil.example").status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/static/../page.py",
        "/static/..%2fpage.py",
        "/static/%2e%2e%2fpage.py",
        "/static/..%5c..%5cpage.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/main.js%00.png",
        "/api/photographs/..%2f..%2fetc%2fpasswd/photograph",
        "/api/photographs/-1/photograph",
        "/api/photographs/99999/photograph",
        "/api/photographs/0/tiles/..%2f..%2fetc/passwd",
        "/api/photographs/0/tiles/0/-1",
    ],
)
def test_no_path_leads_to_other_files(page, path):
    answer = page.ask("GET", path)
    assert answer.status == 404
    assert b"import" not in answer.body
    assert b"root:" not in answer.body


@pytest.mark.parametrize("name", ["../../evil.png", "..\\..\\evil.png", "/etc/evil.png", "a\0b.png", ".png", "<b>.png"])
def test_names_of_uploads_choose_no_place(page, fundus, name):
    before = set(page.folder.parent.iterdir())
    content = cv2.imencode(".png", fundus(60, 70, seed=5).photograph)[1].tobytes()
    answer = page.ask("POST", f"/api/photographs?name={quote(name)}", content)
    assert answer.status == 201
    stored = answer.json["name"]
    assert not set(stored) & set("/\\\0<>")
    assert not stored.startswith(".")
    assert set(page.folder.parent.iterdir()) == before
    assert page.ask("DELETE", f"/api/photographs/{answer.json['number']}").status == 204


@pytest.mark.parametrize(
    "content",
    [b"", b"<html><script>alert(1)</script>", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"PK\x03\x04" + b"0" * 99],
)
def test_uploads_that_are_no_photographs_are_refused_and_leave_nothing(page, content):
    before = sorted((page.folder / "uploads").iterdir())
    answer = page.ask("POST", "/api/photographs?name=a.jpg", content)
    assert answer.status == 400
    assert str(page.folder).encode() not in answer.body
    assert sorted((page.folder / "uploads").iterdir()) == before


def test_an_upload_of_too_many_pixels_is_refused_before_it_is_decoded(page):
    answer = page.ask("POST", "/api/photographs?name=bomb.png", png_header(60_000, 60_000))
    assert answer.status == 400
    assert b"pixels" in answer.body


def test_an_upload_of_too_many_bytes_is_refused_by_its_length(page):
    answer = page.ask("POST", "/api/photographs?name=a.png", b"x", Content_Length=str(uploads.MOST_BYTES + 1))
    assert answer.status == 413


def test_an_upload_that_is_longer_than_it_says_or_all_together_are_refused(tmp_path, monkeypatch):
    with pytest.raises(RequestEntityTooLarge):
        Uploads(tmp_path, max_pixels=100, most_bytes=10).receive(io.BytesIO(b"x" * 11), "a.png", ("HE",))
    monkeypatch.setattr(uploads, "MOST_BYTES_TOGETHER", 15)
    (tmp_path / "earlier").write_bytes(b"x" * 10)
    with pytest.raises(RequestEntityTooLarge):
        Uploads(tmp_path, max_pixels=100, most_bytes=10).receive(io.BytesIO(b"x" * 6), "a.png", ("HE",))
    assert [path.name for path in tmp_path.iterdir()] == ["earlier"]


def test_labels_that_unpack_to_more_than_the_photograph_are_refused(page):
    number = page.cases()["left"]["number"]
    bomb = gzip.compress(bytes(50_000_000))
    headers = {"X_Labels": '{"revision":0,"by":"","complete":[],"thresholds":[],"areas":[]}'}
    assert page.ask("PUT", f"/api/photographs/{number}/labels", bomb, **headers).status == 413
    assert page.ask("PUT", f"/api/photographs/{number}/labels", b"no gzip", **headers).status == 400
    assert page.ask("PUT", f"/api/photographs/{number}/labels", gzip.compress(b"short"), **headers).status == 400


@pytest.mark.parametrize("told", [{"complete": ["../../x"]}, {"revision": "0"}, {"by": 3}])
def test_labels_of_classes_that_do_not_exist_are_refused(page, told):
    number, (height, width) = page.cases()["left"]["number"], page.cases()["left"]["facts"]["size"]
    assert page.save(number, bytes(2 * height * width), **told).status == 400
    assert page.save(number, b"\xff" * (2 * height * width)).status == 400
    assert list(page.output.iterdir()) == []


def test_photographs_of_the_folder_cannot_be_removed(page):
    number = page.cases()["left"]["number"]
    assert page.ask("DELETE", f"/api/photographs/{number}").status == 404
    assert (page.photographs / "left.png").exists()


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "OPTIONS"])
def test_other_methods_are_refused(page, method):
    assert page.ask(method, "/api/session").status in (403, 405)


@pytest.mark.parametrize("path", EVERYWHERE)
def test_every_answer_forbids_all_other_origins(page, path):
    for host in (None, "evil.example"):
        headers = page.ask("GET", path, **({} if host is None else {"Host": host})).headers
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert {source for sources in policy.values() for source in sources.split()} <= {"'none'", "'self'", "blob:"}
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers


def test_another_address_needs_the_token(serve, ask_at):
    opened, _, _ = serve(address="0.0.0.0")
    with opened as page:
        address, _, token = page.url.partition("/?token=")
        served = ask_at(address)
        assert len(token) >= 24
        other = token[:-1] + ("y" if token.endswith("x") else "x")
        for path in EVERYWHERE:
            assert served.ask("GET", path).status == 403
            assert served.ask("GET", path, Cookie=f"{COOKIE}={other}").status == 403
        assert served.ask("GET", "/?token=x").status == 403
        assert served.ask("GET", f"/?token={token}", Host="evil.example").status == 403
        admitted = served.ask("GET", f"/?token={token}")
        assert (admitted.status, admitted.headers["Location"]) == (302, "/")
        cookie = admitted.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert served.ask("GET", "/api/session", Cookie=cookie.partition(";")[0]).status == 200
        assert served.ask("GET", "/api/session", Cookie=cookie.partition(";")[0], Host="evil.example").status == 403


@pytest.mark.parametrize(("address", "expected"), [("127.0.0.1", True), ("::1", True), ("localhost", True)])
def test_loopback_needs_no_token(address, expected):
    assert is_loopback(address) is expected
    assert set(host_names(address)) == {"127.0.0.1", "localhost", "[::1]"}


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.5", "::"])
def test_other_addresses_are_not_loopback(address):
    assert not is_loopback(address)


def test_a_server_of_one_address_is_called_by_it_alone():
    assert host_names("192.168.1.5") == ("192.168.1.5",)
    assert host_names("fe80::1") == ("[fe80::1]",)
    assert host_names("clinic-7") == ("clinic-7",)
