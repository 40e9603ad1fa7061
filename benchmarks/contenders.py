"""Who is compared: CloudNotes and the two baselines, each on a database of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import requests

from benchmarks import filling, processes
from tests.ports import free_port, listens
from tests.servers import ROOT, Server, wait_for

BASELINE_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
WORKERS = 2
LONGER_THAN_ANY_RUN = str(24 * 60)  # minutes
# All of CloudNotes is as in a deploy but for what would disturb a measurement.
SETTINGS = {
    "ENV_FILE": os.devnull,
    "PYTHONWARNINGS": "",
    "WEB_CONCURRENCY": str(WORKERS),
    "RUN_WORKER": "off",
    "RATE_LIMITS": "off",
    "REQUEST_LOG": "off",
    "REDIS_URL": "",
    "EMAIL_URL": "",
    "ACCESS_TOKEN_EXPIRE_MINUTES": LONGER_THAN_ANY_RUN,
}
INSIDE = "\n".join(
    ["import django", "django.setup()", "from benchmarks import inside", "inside.main()"]
)
SETTINGS_MODULE = {"DJANGO_SETTINGS_MODULE": "cloudnotes.settings"}  # which a deploy does not set


class Contender:
    """A notes service under measurement."""

    name = ""
    prefix = ""  # of all paths
    search = ""  # where notes are searched, the word at the end

    def __init__(self, folder: Path, database_url: str) -> None:
        self.database_url = database_url
        self.port, self.log = 0, folder.with_suffix(".log")
        self._tokens: dict[int, str] = {}

    def start(self) -> None:
        """Start with an empty database, and return when it answers."""
        raise NotImplementedError  # each kind of service has its own

    def fill(self) -> None:
        """Write the notes that all contenders start with."""
        raise NotImplementedError  # each kind of service has its own

    def stop(self) -> None:
        """End it."""
        raise NotImplementedError  # each kind of service has its own

    @property
    def pid(self) -> int:
        """The process that all its processes are below."""
        raise NotImplementedError  # each kind of service has its own

    def memory_mb(self) -> float:
        """Return the resident memory of its largest worker in MB."""
        return max(map(processes.memory_mb, processes.children(self.pid)))

    def processor_seconds(self) -> float:
        """Return what all its processes have used so far."""
        return processes.processor_seconds(self.pid)

    def analyze(self) -> None:
        """Let PostgreSQL look at the filled tables, so that it knows what is in them."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return f"http://127.0.0.1:{self.port}{self.prefix}{path}"

    def token(self, user: int) -> str:
        """Return an access token of a user, who logs in once."""
        if user not in self._tokens:
            form = {"username": filling.email(user), "password": filling.PASSWORD}
            answer = requests.post(self.url("/auth/login"), data=form, timeout=30)
            answer.raise_for_status()
            self._tokens[user] = answer.json()["access_token"]
        return self._tokens[user]

    def note_ids(self, user: int) -> list[int]:
        """Return the ids of a user's notes."""
        raise NotImplementedError  # each kind of service has its own

    def listed(self, answer: Any) -> list[dict[str, Any]]:
        """Return the notes in the answer to a list."""
        raise NotImplementedError  # each kind of service has its own


class CloudNotes(Contender):
    """CloudNotes as its Procfile starts it."""

    name = "CloudNotes"
    prefix = "/api/v1"
    search = "/search?q="

    def __init__(self, folder: Path, database_url: str) -> None:
        super().__init__(folder, database_url)
        folder.mkdir()
        self.server = Server(folder, is_patient=False, DATABASE_URL=database_url, **SETTINGS)
        self.port, self.log = self.server.port, self.server.log

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()

    @property
    def pid(self) -> int:
        assert self.server.process
        return self.server.process.pid

    def fill(self) -> None:
        assert self.inside("fill") == filling.USERS * filling.NOTES

    def inside(self, function: str, *arguments: str) -> Any:
        """Return what a function of :mod:`benchmarks.inside` prints, in a process of CloudNotes."""
        output = subprocess.run(
            [sys.executable, "-c", INSIDE, function, *arguments],
            cwd=ROOT,
            env={**self.server.environment, **SETTINGS_MODULE},
            stdout=subprocess.PIPE,
            check=True,
            timeout=600,
        ).stdout
        return json.loads(output)

    def note_ids(self, user: int) -> list[int]:
        return _ids(
            self.database_url,
            "SELECT notes_note.id FROM notes_note "
            "JOIN accounts_user ON accounts_user.id = owner_id WHERE email = %s",
            user,
        )

    def listed(self, answer: Any) -> list[dict[str, Any]]:
        notes: list[dict[str, Any]] = answer["results"]
        return notes


class Baseline(Contender):
    """A service in FastAPI, served by uvicorn."""

    module = ""
    search = "/notes?search="

    def __init__(self, folder: Path, database_url: str) -> None:
        super().__init__(folder, database_url)
        self.process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.environment = {**os.environ, "DATABASE_URL": database_url, "PYTHONWARNINGS": ""}

    def start(self) -> None:
        command = [BASELINE_PYTHON, "-m", self.module]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True, timeout=60)
        command = [BASELINE_PYTHON, "-m", "uvicorn", f"{self.module}:app", f"--port={self.port}"]
        command += ["--host=127.0.0.1", f"--workers={WORKERS}", "--loop=uvloop", "--http=httptools"]
        command += ["--no-access-log", "--log-level=warning"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        what = f"{self.name} (see {self.log})"
        wait_for(lambda: listens(self.port) and self._answers(), self.process, what)

    def _answers(self) -> bool:
        try:
            return requests.get(self.url("/notes"), timeout=2).status_code == 401
        except requests.RequestException:
            return False

    def stop(self) -> None:
        assert self.process
        self.process.terminate()
        self.process.wait(timeout=40)

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def fill(self) -> None:
        filling.fill_baseline(self.database_url)

    def note_ids(self, user: int) -> list[int]:
        return _ids(
            self.database_url,
            "SELECT notes.id FROM notes JOIN users ON users.id = owner_id WHERE email = %s",
            user,
        )

    def listed(self, answer: Any) -> list[dict[str, Any]]:
        notes: list[dict[str, Any]] = answer
        return notes


class Tutorial(Baseline):
    """FastAPI as tutorials write it."""

    name, module = "tutorial", "benchmarks.baselines.tutorial"


class Strong(Baseline):
    """FastAPI as fast as it honestly gets."""

    name, module = "strong", "benchmarks.baselines.strong"


CONTENDERS: dict[str, type[Contender]] = {
    each.name.lower(): each for each in (CloudNotes, Tutorial, Strong)
}


def _ids(url: str, query: Any, user: int) -> list[int]:
    with psycopg.connect(url) as connection:
        return [pk for (pk,) in connection.execute(query, [filling.email(user)]).fetchall()]
