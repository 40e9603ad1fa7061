"""Ports on loopback that belong to one process of tests until it ends."""

import fcntl
import os
import socket
import tempfile
from pathlib import Path

# Below the range that the kernel takes the ports of outgoing connections from.
PORTS = range(20_000, 32_000)
LOCKS = Path(tempfile.gettempdir()) / f"cloudnotes-ports-{os.getuid()}"

_locks: dict[int, int] = {}


def free_port() -> int:
    """Return a port that nobody listens on and that was returned to no process of tests before.

    Each port has a lock file. The kernel releases the lock when this process ends.
    """
    LOCKS.mkdir(exist_ok=True)
    first = os.getpid() * 97 % len(PORTS)
    for port in [*PORTS[first:], *PORTS[:first]]:
        if port not in _locks and _lock(port):
            if _can_bind(port):
                return port
            os.close(_locks.pop(port))
    raise RuntimeError("every port of the tests is taken")


def _lock(port: int) -> bool:
    descriptor = os.open(LOCKS / str(port), os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    _locks[port] = descriptor
    return True


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def listens(port: int) -> bool:
    """Tell whether somebody accepts connections on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
