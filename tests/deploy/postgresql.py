"""A PostgreSQL server of a test's own, to be stopped and started."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.ports import free_port

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class PostgreSQL:
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="cloudnotes-postgresql-"))
        if os.getuid() == 0:  # initdb refuses root
            shutil.chown(self.folder, "postgres")
        self.url = f"postgres://cloudnotes@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *arguments: Any) -> None:
        command = [BINARIES[-1] / program, "-D", self.folder / "data", *arguments]
        if os.getuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        )
        self.run("pg_ctl", "-w", "-s", "-l", self.folder / "log", "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-w", "-s", "-m", "immediate", "stop")

    def hang(self) -> None:
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, sent: int) -> None:
        """Signal the server and every process of it."""
        postmaster = (self.folder / "data" / "postmaster.pid").read_text().split()[0]
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for process in (postmaster, *children):
            os.kill(int(process), sent)

    def __enter__(self) -> "PostgreSQL":
        self.run("initdb", "-U", "cloudnotes", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        self.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
