"""The databases of a Redis server, which have numbers: one for each process of tests."""

from urllib.parse import urlsplit


def redis_of_worker(url: str, worker: str) -> str:
    """Return the address of the Redis database of a process: gw0 has the next after the given one.

    An address without a number is that of number 0.
    """
    address = urlsplit(url)
    number = int(address.path.strip("/") or 0) + 1 + int(worker.removeprefix("gw"))
    return address._replace(path=f"/{number}").geturl()
