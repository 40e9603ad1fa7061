"""What the parts of ``python -m benchmarks.files`` have in common."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import requests

from benchmarks.report import WORDS, Target
from tests.notes.live import file_writers
from tests.notes.live.file_writers import new_account
from tests.s3proxy import S3Proxy
from tests.servers import S3Server, Server

MIB, GIB = 2**20, 2**30
SETTINGS = {
    **file_writers.SETTINGS,
    "PYTHONWARNINGS": "",
    "REQUEST_LOG": "off",
    "ACCESS_TOKEN_EXPIRE_MINUTES": "600",
}
ANSWER_SECONDS = 300


@dataclasses.dataclass
class Part:
    """What a part has found: a table for people, targets, and all figures."""

    title: str
    lines: list[str]
    targets: list[Target]
    raw: Any

    def markdown(self) -> str:
        """Return it for people."""
        lines = [f"## {self.title}", "", *self.lines, "", "| target | measured | met |"]
        lines += ["|---|---|---|"]
        lines += [
            f"| {each.claim} | {each.measured} | {WORDS[each.is_met]} |" for each in self.targets
        ]
        return "\n".join([*lines, ""])


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Return the lines of a table."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows]


@contextlib.contextmanager
def service(database_url: str, **settings: str) -> Iterator[tuple[Server, S3Server, str, S3Proxy]]:
    """Yield CloudNotes with a bucket on an S3 server, behind a proxy if ``PROXY`` is set."""
    with (
        tempfile.TemporaryDirectory(prefix="cloudnotes-files-") as made,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(made)
        (folder / "s3").mkdir()
        s3 = S3Server(folder / "s3")
        s3.start()
        stack.callback(s3.stop)
        bucket, proxy = s3.new_bucket(), S3Proxy(s3)
        proxy.start()
        stack.callback(proxy.stop)
        where = proxy if settings.pop("PROXY", "") else s3
        environment = proxy.environment(s3, bucket) if where is proxy else s3.environment(bucket)
        server = Server(
            folder,
            is_patient=False,
            DATABASE_URL=database_url,
            **environment,
            **SETTINGS | settings,
        )
        server.start()
        stack.callback(server.stop)
        yield server, s3, bucket, proxy


class Account:
    """An account on a server, with a note, and what a client of it asks."""

    def __init__(self, server: Server) -> None:
        self.api = server.api
        self.headers = {"Authorization": f"Bearer {new_account(server)}"}
        self.note = self.ask(requests, "POST", "notes", json={"title": "t"}).json()["id"]

    def ask(self, client: Any, method: str, path: str, **options: Any) -> requests.Response:
        """Return an answer, whatever it is. Raises requests' errors."""
        headers = self.headers | options.pop("headers", {})
        answer: requests.Response = client.request(
            method, f"{self.api}/{path}", headers=headers, timeout=ANSWER_SECONDS, **options
        )
        return answer
