"""Real servers on loopback: an S3 server that checks signatures, and CloudNotes itself."""

import contextlib
import os
import secrets
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, LiteralString

import boto3
import psycopg
import requests
from botocore.config import Config

from tests import databases
from tests.ports import free_port, listens
from tests.waiting import TIMEOUT_SECONDS

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
# For a service whose limits of time are not what is tested.
PATIENT = {"GUNICORN_CMD_ARGS": f"--config {ROOT / 'tests/patience.py'}"}


def wait_for(
    ready: Callable[[], bool],
    process: subprocess.Popen[Any],
    what: str,
    seconds: float = TIMEOUT_SECONDS,
) -> None:
    """Wait for a state; end the process and raise ``RuntimeError`` if it does not come."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{what} ended with {process.returncode}")
        if ready():
            return
        time.sleep(0.05)
    process.kill()
    process.wait()
    raise RuntimeError(f"{what} did not become ready in {seconds} s")


class S3Server:
    """``rclone serve s3`` over a folder; its buckets are the folders in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.key, self.secret = "test-key", secrets.token_hex(16)
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._client: Any = None

    def start(self) -> None:
        command = [BIN / "rclone", "serve", "s3", "--config", os.devnull]
        command += ["--addr", f"127.0.0.1:{self.port}", "--auth-key", f"{self.key},{self.secret}"]
        command += ["--vfs-cache-mode", "off", str(self.folder)]
        log = (self.folder.parent / f"rclone-{self.port}.log").open("ab")
        with log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: listens(self.port), self.process, "rclone serve s3")

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def new_bucket(self) -> str:
        name = f"notes-{secrets.token_hex(4)}"
        self.client().create_bucket(Bucket=name)
        return name

    def client(self) -> Any:
        if self._client is None:  # it takes a while to be made, and threads may share it
            self._client = boto3.client(
                "s3",
                endpoint_url=self.url,
                aws_access_key_id=self.key,
                aws_secret_access_key=self.secret,
                region_name="us-east-1",
                config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
            )
        return self._client

    def keys(self, bucket: str) -> set[str]:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}

    def environment(self, bucket: str) -> dict[str, str]:
        return {
            "BUCKET_NAME": bucket,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }


class Server:
    """CloudNotes as the Procfile's ``web`` line starts it: migrated, gunicorn, two workers."""

    def __init__(self, folder: Path, *, is_patient: bool = True, **environment: str) -> None:
        """Prepare a service; an impatient one has the time limits of production.

        Raises ``RuntimeError`` in a test that asks for no database and gives the service none: it
        would get SQLite, in one leg only.
        """
        if databases.is_refused and "DATABASE_URL" not in environment:
            raise RuntimeError("a test that starts a service asks for a database (tests/legs.py)")
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.api = f"{self.url}/api/v1"
        self.log = folder / "server.log"
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "DATA_DIR": str(folder / "data"),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "2",
            "PYTHONWARNINGS": "default",
            **(PATIENT if is_patient else {}),
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = TIMEOUT_SECONDS) -> None:
        web = next(
            line.removeprefix("web: ")
            for line in (ROOT / "Procfile").read_text().splitlines()
            if line.startswith("web: ")
        )
        environment = dict(self.environment)
        environment.pop("DJANGO_SETTINGS_MODULE", None)  # a deploy does not set it
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", web], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        wait_for(self.is_ready, self.process, f"CloudNotes (see {self.log})", seconds)

    def is_ready(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.url}/health/ready", timeout=2).ok
        return False

    def stop(self, sent: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(sent)
        return self.process.wait(timeout=TIMEOUT_SECONDS)

    def kill(self) -> None:
        """Kill gunicorn and its workers; nothing of what they had begun is finished."""
        assert self.process is not None
        workers = self.workers()
        self.process.kill()  # first, so that it starts no new ones
        self.process.wait()
        for worker in workers:
            os.kill(worker, signal.SIGKILL)

    def workers(self) -> list[int]:
        """Return the process ids of gunicorn's workers."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        """Return what a query finds in the server's database, past all code of ours."""
        if url := self.environment.get("DATABASE_URL"):
            with psycopg.connect(url) as connection:
                return connection.execute(query).fetchall()
        path = Path(self.environment["DATA_DIR"]) / "cloudnotes.sqlite3"
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return connection.execute(query).fetchall()

    def popen(self, command: str) -> subprocess.Popen[bytes]:
        """Start a management command that lasts, such as the worker."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "manage.py", *shlex.split(command)],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def manage(self, command: str, **environment: str) -> str:
        return subprocess.run(
            [sys.executable, "manage.py", *shlex.split(command)],
            cwd=ROOT,
            env={**self.environment, **environment},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
