"""What ``import`` fetches by its URL: the daemon asks, through the proxies of its environment, and hands no credentials over."""

from __future__ import annotations

from collections.abc import AsyncIterator

from berth.base.errors import InvalidArgument, Unavailable
from berth.registry.proxies import find_proxy

_TIMEOUT_S = 60.0
_PIECE = 1 << 18


def normal_url(source: str) -> str:
    """``example.com/x.tar`` means http, as Docker has it. Raises: InvalidArgument for what is neither http nor https."""
    url = source if "://" in source else f"http://{source}"
    if not url.startswith(("http://", "https://")):
        raise InvalidArgument(f"cannot import from {source}: only http and https are fetched")
    return url


async def download(url: str) -> AsyncIterator[bytes]:
    """The body in pieces. Raises: InvalidArgument for a bad URL or status, Unavailable when the line breaks."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT_S, sock_read=_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.get(url, proxy=find_proxy(url)) as answer,
        ):
            if answer.status >= 400:
                raise InvalidArgument(f"error downloading {url}: the server answered with status {answer.status}")
            async for piece in answer.content.iter_chunked(_PIECE):
                yield piece
    except aiohttp.InvalidURL as err:
        raise InvalidArgument(f"error downloading {url}: this is no URL") from err
    except (aiohttp.ClientError, TimeoutError, OSError) as err:
        raise Unavailable(f"error downloading {url}: {err or type(err).__name__}") from err
