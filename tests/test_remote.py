import functools
import http.server
import os
import socket
import threading
import uuid

import fsspec
import numpy as np
import pytest

from slime.data_spec import DataSpec
from slime.errors import MissingStoreError, SlimeError, StoreError
from slime.movie import open_movie, open_movies
from slime.prepare import open_stores

pytest.importorskip("s3fs")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # sessions of the libraries


class Faulty(http.server.SimpleHTTPRequestHandler):
    """A folder over HTTP, with parts of files, that fails as `faults` says: {ending: [fault]}."""

    protocol_version = "HTTP/1.1"
    faults: dict[str, list] = {}  # noqa: RUF012  # each server has a class of its own
    asked: list[str] = []  # noqa: RUF012
    serves_parts = True

    def log_message(self, *words):
        pass

    def do_GET(self):
        self.asked.append(self.path)
        planned = next((f for e, f in self.faults.items() if self.path.endswith(e)), [])
        fault = planned.pop(0) if planned else None
        path = self.translate_path(self.path)
        if isinstance(fault, int):
            return self.send_error(fault)
        if fault == "reset":
            return self.hang_up()
        if not os.path.isfile(path):
            return self.send_error(404)
        with open(path, "rb") as file:
            body = file.read()
        part = self.headers.get("Range")
        if part and self.serves_parts:
            first, last = part.removeprefix("bytes=").split("-")
            start = int(first) if first else max(len(body) - int(last), 0)
            body = body[start : int(last) + 1 if first and last else None]
            if not body:
                return self.send_error(416)
        self.send_response(206 if part and self.serves_parts else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault == "half" else body)
        return self.hang_up() if fault == "half" else None

    def hang_up(self):
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The class of a server of tmp_path, with its URL as `url`; no waiting between tries."""
    monkeypatch.setattr("slime.remote.WAITS_S", (0.01, 0.01, 0.01))
    handler = type("Handler", (Faulty,), {"faults": {}, "asked": []})
    bound = functools.partial(handler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), bound)
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    handler.url = f"http://127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def memory():
    """The URL of an empty place in memory."""
    url = f"memory://{uuid.uuid4()}"
    yield url
    fsspec.filesystem("memory").store.clear()


LAYOUTS = {
    "v3": {"chunks": (2, 4, 5)},
    "v2": {"chunks": (2, 4, 5), "zarr_format": 2},
    "sharded": {"chunks": (2, 4, 5), "shards": (4, 4, 5)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("serves_parts", [True, False])
def test_a_movie_opens_over_http(served, bare, numbered, layout, serves_parts):
    served.serves_parts = serves_parts
    bare(numbered(7), "a dish.zarr", **LAYOUTS[layout])
    movie = open_movie(f"{served.url}/a dish.zarr")
    assert movie.name == "a dish"
    assert movie.values[:, 0, 3, 4].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert not movie["blank"].values.any()


def test_opening_over_http_asks_for_metadata_alone(served, bare, numbered):
    bare(numbered(7), "dish.zarr")
    open_movie(f"{served.url}/dish.zarr")
    assert not [path for path in served.asked if "/c/" in path]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_movie_opens_in_memory(memory, bare, numbered, layout):
    fsspec.filesystem("memory").put(str(bare(numbered(7), **LAYOUTS[layout])), memory, True)
    movie = open_movie(memory)
    assert movie.values[:, 0, 3, 4].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_a_404_is_a_lost_chunk(served, bare, numbered):
    path = bare(numbered(6), "dish.zarr", chunks=(1, 4, 3))
    (path / "c" / "2" / "0" / "1").unlink()
    movie = open_movie(f"{served.url}/dish.zarr")
    with pytest.raises(StoreError, match=r"1 frames lack a tile of the picture \(2\)"):
        movie.load()
    (path / "c" / "2" / "0" / "0").unlink()
    movie = open_movie(f"{served.url}/dish.zarr")
    assert np.flatnonzero(movie["blank"]).tolist() == [2]


@pytest.mark.parametrize("fault", [403, 429, 500, 503, "reset", "half"])
def test_a_server_that_falters_is_asked_again(served, bare, numbered, fault):
    bare(numbered(6), "dish.zarr")
    served.faults["/c/2/0/0"] = [fault, fault]
    movie = open_movie(f"{served.url}/dish.zarr")
    assert movie.values[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5, 6]
    assert served.faults["/c/2/0/0"] == []


@pytest.mark.parametrize("fault", [403, 500, 503, "reset", "half"])
def test_a_server_that_fails_is_an_error_with_url_and_frames(served, bare, numbered, fault):
    bare(numbered(6), "dish.zarr")
    movie = open_movie(f"{served.url}/dish.zarr")
    assert not movie["blank"].values.any()
    served.faults["/c/2/0/0"] = [fault] * 100
    place = rf"frames 0 to 5 cannot be read: {served.url}/dish.zarr/c/2/0/0 failed 4 times"
    with pytest.raises(StoreError, match=place):
        movie.load()
    # aiohttp makes a request again by itself where a connection is reset
    assert 100 - len(served.faults["/c/2/0/0"]) in ((4, 8) if fault == "reset" else (4,))


def test_frames_that_a_server_will_not_show_are_never_taken_for_blank(served, bare, numbered):
    bare(numbered(6), "dish.zarr")
    served.faults["/c/2/0/0"] = [500] * 100
    place = rf"dish: frames 2 to 2 cannot be read: {served.url}/dish\.zarr/c/2/0/0 failed 4 times"
    with pytest.raises(StoreError, match=place):
        open_movie(f"{served.url}/dish.zarr")["blank"].load()


def test_a_server_that_fails_at_opening_is_named_in_one_line(served, bare, numbered):
    bare(numbered(3), "dish.zarr")
    served.faults["zarr.json"] = [503] * 100
    with pytest.raises(StoreError, match=r"cannot be reached: .*zarr\.json failed 4 times.*503"):
        open_movie(f"{served.url}/dish.zarr")
    served.faults.clear()
    with pytest.raises(MissingStoreError, match=r"no zarr array or group at '.*/dash\.zarr'"):
        open_movie(f"{served.url}/dash.zarr")


def test_a_zip_opens_where_it_lies(served, memory, bare, numbered, tmp_path):
    import shutil

    path = bare(numbered(3), "dish.zarr")
    shutil.make_archive(str(path), "zip", path)
    for url in (f"{served.url}/dish.zarr.zip", f"zip::{served.url}/dish.zarr.zip"):
        assert open_movie(url).values[:, 0, 0, 0].tolist() == [1, 2, 3]
    with pytest.raises(StoreError, match="there is no file at"):
        open_movie(f"{served.url}/dash.zarr.zip")


def test_unknown_urls_and_missing_extras_are_said_in_one_line(monkeypatch):
    with pytest.raises(SlimeError, match=r"'foo://x': .*Protocol not known: foo.*s3, memory"):
        open_movie("foo://x")

    def absent(url, **options):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.url_to_fs", absent)
    with pytest.raises(SlimeError, match=r"needs a package .*pip install 'slime\[remote\]'"):
        open_movie("s3://bucket/x.zarr")


def test_an_unfinished_store_behind_a_url_is_refused():
    with pytest.raises(StoreError, match="was not finished"):
        open_movie("memory://dish.zarr.partial")


def test_stores_of_a_run_may_be_urls(memory, bare, numbered):
    fsspec.filesystem("memory").put(str(bare(numbered(7))), f"{memory}/dish.zarr", True)
    movies, stores = open_stores(DataSpec(stores=[f"{memory}/dish.zarr"]))
    assert (movies[0].name, stores) == ("dish", [f"{memory}/dish.zarr"])
    with pytest.raises(SlimeError, match="is given twice"):
        open_stores(DataSpec(stores=[f"{memory}/dish.zarr", f"{memory}/dish.zarr/"]))


# --- s3 ---


@pytest.fixture(scope="module")
def s3_server():
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(s3_server, monkeypatch, bare, numbered):
    """The URL of a movie of 7 frames in a bucket, with credentials in the environment."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "who",
        "AWS_SECRET_ACCESS_KEY": "what",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("slime.remote.WAITS_S", (0.01,))
    files = s3fs.S3FileSystem(endpoint_url=s3_server)
    name = f"lab-{uuid.uuid4()}"
    files.mkdir(name, acl="public-read")
    path = bare(numbered(7), chunks=(2, 4, 5))
    for file in path.rglob("*"):
        if file.is_file():
            key = f"{name}/dish 3.zarr/{file.relative_to(path)}"
            files.pipe_file(key, file.read_bytes(), ACL="public-read")
    return files, f"s3://{name}/dish 3.zarr"


def test_a_movie_opens_from_s3_by_the_environment(bucket):
    _, url = bucket
    (movie,) = open_movies(url)
    assert movie.name == "dish 3"
    assert movie.values[:, 0, 3, 4].tolist() == [1, 2, 3, 4, 5, 6, 7]
    with pytest.raises(MissingStoreError, match="there is no zarr array or group at"):
        open_movie(url.replace("dish", "dash"))


def test_a_public_bucket_is_read_without_credentials(bucket, monkeypatch, tmp_path):
    _, url = bucket
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    movie = open_movie(url)
    assert movie.values[:, 0, 3, 4].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert stored_options(movie)["anon"] is True


def stored_options(movie):
    from slime.movie import stored_frames

    frames = stored_frames(movie)
    assert frames is not None
    return frames.array.store_path.store.fs.storage_options


def test_an_object_deleted_from_a_bucket_is_a_lost_chunk(bucket):
    files, url = bucket
    files.rm(f"{url}/c/1/0/0")
    movie = open_movie(url)
    assert np.flatnonzero(movie["blank"]).tolist() == [2, 3]
    files.rm(f"{url}/c/2/0/0")
    with pytest.raises(StoreError, match=r"chunk 'c/2/0/0' was there .* and is gone"):
        movie[4:].load()
