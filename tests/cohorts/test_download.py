"""Downloads from a server on this machine that drops, lies and fails in every way that servers do."""

from __future__ import annotations

import fcntl
import hashlib
import io
import resource
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dermsynth.cohorts import download as module
from dermsynth.cohorts.download import Remote, download
from dermsynth.core.errors import ArtefactError, InputError, InterruptedRunError

DATA = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(DATA).hexdigest()


class Server:
    """What the next requests get.

    Attributes:
        content: The file.
        drop_after: Bytes after which the connection closes, one number per request; then none.
        ranges: Whether parts are sent.
        status: Answers before any content, one per request.
        headers: Further headers, or others.
        asked: The Range of every request.
    """

    def __init__(self) -> None:
        self.content = DATA
        self.drop_after: list[int] = []
        self.ranges = True
        self.status: list[int] = []
        self.headers: dict[str, str | None] = {}
        self.etag = '"1"'
        self.asked: list[str | None] = []
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers["Range"]
        self.asked.append(asked)
        if self.status and (code := self.status.pop(0)):
            request.send_error(code)
            return
        start = 0
        headers: dict[str, str | None] = {"ETag": self.etag, "Content-Type": "application/zip"}
        if asked and self.ranges and request.headers["If-Range"] == self.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            request.send_response(206)
            headers["Content-Range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        else:
            request.send_response(200)
        body = self.content[start:]
        headers |= {"Content-Length": str(len(body)), **self.headers}
        for name, value in headers.items():
            if value is not None:
                request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body[: self.drop_after.pop(0)] if self.drop_after else body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    found = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        found.url = f"http://127.0.0.1:{http.server_address[1]}/data.bin"
        yield found
        http.shutdown()


def fetch(server: Server, folder: Path, **remote: str) -> bytes:
    download([Remote(server.url, **remote)], folder)
    return (folder / "data.bin").read_bytes()


def test_a_file_comes_with_the_hash_of_what_came(server: Server, tmp_path: Path) -> None:
    assert fetch(server, tmp_path / "new" / "folder") == DATA
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["data.bin", "data.bin.sha256"]
    known = (tmp_path / "new" / "folder" / "data.bin.sha256").read_text()
    assert known == f"{hashlib.sha256(DATA).hexdigest()}  data.bin\n"


def test_a_file_that_is_there_is_not_asked_for(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"mine")
    assert fetch(server, tmp_path) == b"mine"
    assert server.asked == []


@pytest.mark.parametrize("unpacked", ["images/", "images.csv"])
def test_a_zip_beside_what_it_was_unpacked_into_is_not_asked_for(server: Server, tmp_path: Path, unpacked: str) -> None:
    path = tmp_path / unpacked
    path.mkdir() if unpacked.endswith("/") else path.touch()
    download([Remote(server.url.replace("data.bin", "images.zip"))], tmp_path)
    assert server.asked == []


def test_dropped_connections_are_continued_where_they_stopped(server: Server, tmp_path: Path) -> None:
    server.drop_after = [100_000, 50_000, 0, 0]
    assert fetch(server, tmp_path, md5=MD5) == DATA
    assert server.asked == [None, "bytes=100000-", "bytes=150000-", "bytes=150000-", "bytes=150000-"]


def test_the_next_call_continues_what_a_killed_process_left(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(DATA[:200_000])
    (tmp_path / "data.bin.part.version").write_text('300000 "1"')
    assert fetch(server, tmp_path) == DATA
    assert server.asked == ["bytes=200000-"]


def test_a_part_that_was_complete_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(DATA)
    (tmp_path / "data.bin.part.version").write_text('300000 "1"')
    assert fetch(server, tmp_path) == DATA
    assert server.asked == []


@pytest.mark.parametrize("mark", [None, "300000 ", '300000 "0"'], ids=["unknown", "no-version", "another-version"])
def test_a_part_of_another_or_unknown_version_is_started_over(server: Server, tmp_path: Path, mark: str | None) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"x" * 200_000)
    if mark is not None:
        (tmp_path / "data.bin.part.version").write_text(mark)
    assert fetch(server, tmp_path) == DATA


def test_a_server_that_ignores_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.ranges, server.drop_after = False, [100_000]
    assert fetch(server, tmp_path) == DATA


def test_a_server_that_never_gets_further_is_given_up(server: Server, tmp_path: Path) -> None:
    server.ranges, server.drop_after = False, [100_000] * 50
    with pytest.raises(InputError, match=r"ended after 100,000 of 300,000 bytes, 6 times in a row; .* to continue"):
        fetch(server, tmp_path)
    assert len(server.asked) == module.TRIES
    assert not (tmp_path / "data.bin").exists()


def test_a_weak_etag_is_no_version(server: Server, tmp_path: Path) -> None:
    server.etag, server.drop_after = 'W/"1"', [100_000]
    assert fetch(server, tmp_path) == DATA
    assert server.asked == [None, None]


def test_a_length_that_is_too_large_never_looks_whole(server: Server, tmp_path: Path) -> None:
    server.headers["Content-Length"] = "400000"
    with pytest.raises(InputError, match=r"times in a row"):
        fetch(server, tmp_path)
    assert not (tmp_path / "data.bin").exists()


def test_a_length_that_is_too_small_is_found_by_the_checksum(server: Server, tmp_path: Path) -> None:
    server.headers["Content-Length"] = "200000"
    with pytest.raises(InputError, match=rf"MD5 is .*, published is {MD5}; what came was deleted: run the same"):
        fetch(server, tmp_path, md5=MD5)
    assert list(tmp_path.iterdir()) == []


def test_a_zip_without_its_end_is_refused(server: Server, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.jpg", DATA)
    server.content = buffer.getvalue()[:-30]
    server.url = server.url.replace("data.bin", "images.zip")
    with pytest.raises(InputError, match=r"images.zip: is no whole zip file; what came was deleted"):
        download([Remote(server.url)], tmp_path)
    server.content = buffer.getvalue()
    download([Remote(server.url)], tmp_path)
    assert zipfile.is_zipfile(tmp_path / "images.zip")


def test_wrong_bytes_are_deleted(server: Server, tmp_path: Path) -> None:
    server.content = DATA[::-1]
    with pytest.raises(InputError, match="MD5 is"):
        fetch(server, tmp_path, md5=MD5)
    server.content = DATA
    assert fetch(server, tmp_path, md5=MD5) == DATA


def test_a_length_that_is_not_said_needs_a_checksum(server: Server, tmp_path: Path) -> None:
    server.headers["Content-Length"] = None
    with pytest.raises(InputError, match="the server does not say how long it is; fetch it with a browser"):
        fetch(server, tmp_path)
    assert fetch(server, tmp_path, md5=MD5) == DATA


def test_another_part_than_asked_for_is_not_appended(server: Server, tmp_path: Path) -> None:
    server.drop_after = [100_000]
    server.headers["Content-Range"] = "bytes 0-199999/300000"
    assert fetch(server, tmp_path) == DATA
    assert server.asked == [None, "bytes=100000-", None]


@pytest.mark.parametrize("code", [403, 404])
def test_a_file_that_the_server_does_not_have_is_not_asked_for_twice(server: Server, tmp_path: Path, code: int) -> None:
    server.status = [code] * 9
    with pytest.raises(InputError, match=rf"data.bin: the server answered {code} .*; docs/data-sets.md names the page"):
        fetch(server, tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [500, 503, 429])
def test_a_server_in_trouble_is_asked_again(server: Server, tmp_path: Path, code: int) -> None:
    server.status = [code] * 3
    assert fetch(server, tmp_path) == DATA


def test_a_server_that_stays_in_trouble_is_given_up(server: Server, tmp_path: Path) -> None:
    server.status = [500] * 50
    with pytest.raises(
        InputError, match=r"the server answered 500 Internal Server Error, 6 times in a row; 0 bytes are"
    ):
        fetch(server, tmp_path)


def test_the_waits_grow(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    server.status = [500] * 4
    fetch(server, tmp_path)
    assert waits == [1, 2, 4, 8]


def test_a_part_that_the_server_refuses_is_started_over(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(DATA + b"more")
    (tmp_path / "data.bin.part.version").write_text('300000 "1"')
    server.status = [416]
    assert fetch(server, tmp_path) == DATA


def test_nobody_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    with pytest.raises(InputError, match=r"no connection \(.*refused\), 6 times in a row; 0 bytes are kept"):
        download([Remote("http://127.0.0.1:9/data.bin")], tmp_path)


def test_a_web_page_is_not_taken_for_the_file(server: Server, tmp_path: Path) -> None:
    server.headers["Content-Type"] = "text/html; charset=utf-8"
    with pytest.raises(InputError, match="came as a web page, of a log-in perhaps; open it in a browser first"):
        fetch(server, tmp_path)


def test_a_disk_that_is_too_small_is_known_before_anything_comes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(
        ArtefactError, match=r"data.bin needs 300,000 more bytes, 1,000 are free; free some space and run"
    ):
        fetch(server, tmp_path)


def test_a_disk_that_fills_up_keeps_what_came(server: Server, tmp_path: Path) -> None:
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, old[1]))  # writing beyond it fails as on a full disk
    try:
        with pytest.raises(ArtefactError, match=r"data.bin: the disk is full .* run the same command again"):
            fetch(server, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert not (tmp_path / "data.bin").exists()
    assert fetch(server, tmp_path) == DATA


def test_two_processes_do_not_write_one_file(server: Server, tmp_path: Path) -> None:
    with (tmp_path / "data.bin.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=r"data.bin.part: another process is fetching it; wait for it"):
            fetch(server, tmp_path)


def interrupted_at(count: int) -> Callable[[str, int, int | None], None]:
    def progress(name: str, done: int, total: int | None) -> None:
        if done >= count:
            raise KeyboardInterrupt

    return progress


def test_ctrl_c_keeps_what_came(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_BYTES", 100_000)
    with pytest.raises(InterruptedRunError, match=r"stopped while fetching .*data.bin; the same command continues it"):
        download([Remote(server.url)], tmp_path, interrupted_at(200_000))
    assert fetch(server, tmp_path) == DATA
    assert server.asked[-1] == "bytes=200000-"


def test_progress_counts_what_was_there_before(server: Server, tmp_path: Path) -> None:
    server.drop_after = [100_000]
    seen: list[tuple[str, int, int | None]] = []
    download([Remote(server.url)], tmp_path, lambda *told: seen.append(told))
    assert seen == [("data.bin", done, 300_000) for done in (0, 100_000, 100_000, 300_000)]
