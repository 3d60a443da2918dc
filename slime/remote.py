"""Stores behind a URL: asked again where a server falters, and never taken for empty."""

import asyncio
import importlib.util
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar, cast

import fsspec
from fsspec.config import conf
from zarr.abc.store import ByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.core.buffer.core import default_buffer_prototype
from zarr.storage import FsspecStore

from slime.errors import SlimeError, StoreError, one_line

WAITS_S = (0.2, 0.6, 1.8)  # before the second, third and fourth try
SILENCE_S = 60  # without a byte, after which a request counts as failed
HEAD = 32  # bytes that tell whether a chunk is there, and what it claims to hold
MISSING = (FileNotFoundError, IsADirectoryError, NotADirectoryError)

Got = TypeVar("Got")


class UnreachableError(OSError):
    """What a server did not give, although it was asked several times."""


class RemoteStore(FsspecStore):
    """The objects under a URL, read-only; requests that fail are made again, a few times.

    A 404 is a missing key. All else, such as a 403, a 5xx, a reset connection or half a body, is
    tried again after WAITS_S and then an UnreachableError that names the URL.
    """

    _n_asked = 0  # requests under way, or waiting to be made again

    async def get(
        self,
        key: str,
        prototype: BufferPrototype,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """The bytes under a key, or a part of them; None where there is no such key."""

        async def once() -> Buffer | None:
            try:
                return await super(RemoteStore, self).get(key, prototype, byte_range)
            except Exception as error:
                if getattr(error, "status", None) == 416:  # a range of an empty object
                    return prototype.buffer.from_bytes(b"")
                raise

        self._n_asked += 1
        try:
            got = await _tried(once, self.address(key))
        finally:
            self._n_asked -= 1
        return got if got is None else _cut(got, byte_range)

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Several values or parts of them."""
        return list(await asyncio.gather(*(self.get(k, prototype, part) for k, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Whether there is an object under a key."""
        return await self.head(key) is not None

    async def head(self, key: str) -> bytes | None:
        """The first bytes under a key; None where there is none."""
        got = await self.get(key, default_buffer_prototype(), RangeByteRequest(0, HEAD))
        return None if got is None else got.to_bytes()

    async def settled(self) -> None:
        """Wait for the requests that zarr left alone when one beside them had failed."""
        while self._n_asked:
            await asyncio.sleep(0.05)

    async def sizes(self, prefix: str) -> dict[str, int | None] | None:
        """Bytes of each object below a prefix; None where the server does not list them."""
        if "http" in self._protocols():
            return None  # its listings are web pages, one a folder, where there are any

        async def once() -> dict[str, Any]:
            try:
                return dict(await self.fs._find(f"{self.path}/{prefix}".rstrip("/"), detail=True))
            except FileNotFoundError:
                return {}

        try:
            found = await _tried(once, self.address(prefix))
        except UnreachableError:
            return None  # a bucket may be read but not listed
        root = f"{self.path.rstrip('/')}/"
        return {name.removeprefix(root): at.get("size") for name, at in found.items()}

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names in a folder; none where the server does not tell."""
        try:
            names = [name async for name in super().list_dir(prefix)]
        except Exception:  # whatever a server answers that keeps no lists
            names = []
        for name in names:
            yield name

    def address(self, key: str) -> str:
        """The URL of a key."""
        path = f"{self.path.rstrip('/')}/{key}".rstrip("/")
        return path if "://" in path else f"{self._protocols()[0]}://{path.lstrip('/')}"

    def _protocols(self) -> tuple[str, ...]:
        protocol: str | tuple[str, ...] = self.fs.protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)


async def _tried(request: Callable[[], Awaitable[Got]], address: str) -> Got:
    """What a request gives, made up to four times."""
    for wait in (*WAITS_S, None):
        try:
            return await request()
        except MISSING:
            raise
        except Exception as error:
            if wait is None:
                raise UnreachableError(
                    f"{address} failed {len(WAITS_S) + 1} times, last with {one_line(error)}"
                ) from error
            await asyncio.sleep(wait)
    raise AssertionError


def _cut(got: Buffer, part: ByteRequest | None) -> Buffer:
    """The part asked for, of a server that sends the whole instead."""
    if isinstance(part, RangeByteRequest) and len(got) > part.end - part.start:
        return got[part.start : part.end]
    if isinstance(part, SuffixByteRequest) and len(got) > part.suffix:
        return got[len(got) - part.suffix :]
    return got


def remote_store(url: str) -> RemoteStore:
    """The store under a URL, by the credentials and endpoints of the environment.

    Raises:
        SlimeError: an unknown kind of URL, or one that needs an extra that is not installed.
    """
    options = _options(url)
    return cast(RemoteStore, _opened(url, lambda: RemoteStore.from_url(url, options, True)))


def remote_file(url: str) -> Any:
    """A file under a URL, opened for reading anywhere in it.

    Raises:
        SlimeError: as `remote_store`.
        StoreError: there is no such file, or the server does not give it.
    """
    return _opened(url, lambda: _file(url))


def _opened(url: str, opening: Callable[[], Any]) -> Any:
    scheme = url.partition("://")[0]
    try:
        return opening()
    except ImportError as error:
        raise SlimeError(
            f"{url!r} needs a package that is not installed ({one_line(error)}): "
            "pip install 'slime[remote]' brings those of http and s3"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise SlimeError(
            f"{url!r}: a store cannot be opened by {scheme}:// ({one_line(error)}): http, https, "
            "s3, memory and file are known"
        ) from error
    except MISSING as error:
        raise StoreError(f"there is no file at {url!r}") from error
    except Exception as error:
        raise StoreError(f"{url!r} cannot be opened ({one_line(error)})") from error


def _file(url: str) -> Any:
    opened: Any = fsspec.open(url, "rb", **_options(url))
    return opened.open()


def _options(url: str) -> dict[str, Any]:
    scheme = url.partition("://")[0].lower()
    options: dict[str, Any] = {"use_listings_cache": False}  # what is deleted is seen
    if scheme in ("http", "https") and importlib.util.find_spec("aiohttp"):
        import aiohttp

        timeout = aiohttp.ClientTimeout(None, sock_connect=SILENCE_S, sock_read=SILENCE_S)
        options["client_kwargs"] = {"timeout": timeout}
    if scheme in ("s3", "s3a") and importlib.util.find_spec("s3fs"):
        options |= _s3_options()
    return options


def _s3_options() -> dict[str, Any]:
    """Credentials as botocore finds them, else none at all, as a public bucket is read."""
    import botocore.session

    settled = conf.get("s3", {})
    options: dict[str, Any] = {}
    if "anon" not in settled:
        options["anon"] = botocore.session.Session().get_credentials() is None
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint and "endpoint_url" not in settled:
        options["endpoint_url"] = endpoint
    return options
