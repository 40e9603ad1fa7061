"""Run the mutants: ``python -m tests.mutants [NAME ...] [--jobs N] [--list]``.

First the tests that the mutants name run without a fault: a test that fails anyway catches nothing,
so no mutant runs then. Each job works in a copy of the checkout. For one mutant after the other it
makes the fault, runs the mutant's tests, and restores the file. Tests that fail have caught the
mutant. One that no test catches has survived: a test is missing. One whose tests do not end in time
hangs, which proves nothing. The exit status is 0 if all were caught.

The mutants of the leg ``postgresql`` need DATABASE_URL and REDIS_URL, and are not run without them;
with REQUIRE_ALL_LEGS set that is a failure.
"""

import argparse
import contextlib
import importlib.util
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.mutants import accounts, bodies, contacts, files, links, notes, service
from tests.mutants.mutant import Mutant
from tests.redis_number import redis_of_worker

ROOT = Path(__file__).resolve().parent.parent.parent
MUTANTS = [
    mutant
    for module in (accounts, contacts, notes, links, files, bodies, service)
    for mutant in module.MUTANTS
]

SECONDS_FOR_ONE = 300
SECONDS_WITHOUT_FAULT = 3600
SECONDS_TO_END = 10
SERVICES = ("DATABASE_URL", "REDIS_URL")
# By the exit status of pytest; all others mean that the list is wrong.
VERDICTS = {0: "survived", 1: "caught"}
FAILURE = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.MULTILINE)


class Result(NamedTuple):
    """What became of a mutant: "caught", "survived", "hung", "broken" or "not run"."""

    mutant: Mutant
    verdict: str
    seconds: float = 0.0
    failure: str = ""
    output: str = ""


class TestsFail(Exception):
    """Tests fail without any fault."""


class Runner:
    """Runs mutants in several jobs at once."""

    def __init__(self, mutants: list[Mutant], *, jobs: int) -> None:
        self.waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
        self.results: queue.SimpleQueue[Result | BaseException] = queue.SimpleQueue()
        self.mutants = mutants
        self.number = len(mutants)
        self.jobs = max(1, min(jobs, len(mutants)))
        self.stopping = threading.Event()
        for mutant in mutants:
            self.waiting.put(mutant)

    def run(self) -> Iterator[Result]:
        """Yield the results as they come. All processes have ended when this ends.

        Raises ``TestsFail`` if tests fail without a fault.
        """
        with tempfile.TemporaryDirectory(prefix="cloudnotes-mutants-") as folder:
            self._run_without_fault(Path(folder) / "without-fault")
            threads = [
                threading.Thread(target=self._work, args=(Path(folder), job))
                for job in range(self.jobs)
            ]
            for thread in threads:
                thread.start()
            try:
                for _ in range(self.number):
                    result = self.results.get()
                    if isinstance(result, BaseException):
                        raise result
                    yield result
            finally:
                self.stopping.set()
                for thread in threads:
                    thread.join()

    def _run_without_fault(self, checkout: Path) -> None:
        """Run the tests of all mutants, leg by leg."""
        copy_checkout(checkout)
        log = checkout.with_suffix(".log")
        for leg in ("sqlite", "postgresql"):
            names = {test for mutant in self.mutants if mutant.leg == leg for test in mutant.tests}
            tests = sorted(name for name in names if name.partition("::")[0] not in names - {name})
            if not tests or (leg == "postgresql" and not has_services()):
                continue
            with own_services(self.jobs) if leg == "postgresql" else no_services() as services:
                environment = environment_of(services)
                status = self._run_tests(tests, checkout, environment, log, SECONDS_WITHOUT_FAULT)
            if status != 0 and not self.stopping.is_set():
                raise TestsFail(log.read_text(errors="replace")[-3000:])

    def _work(self, folder: Path, job: int) -> None:
        try:
            checkout = folder / f"checkout-{job}"
            copy_checkout(checkout)
            with contextlib.ExitStack() as on_end:
                services: dict[str, str] = {}
                while not self.stopping.is_set():
                    mutant = self.waiting.get_nowait()
                    if mutant.leg == "postgresql" and has_services() and not services:
                        services = on_end.enter_context(own_services(job))
                    self.results.put(self._run(mutant, checkout, services))
        except queue.Empty:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again where the results are read
            self.results.put(error)

    def _run(self, mutant: Mutant, checkout: Path, services: dict[str, str]) -> Result:
        if mutant.leg == "postgresql" and not services:
            return Result(mutant, "not run")
        environment = environment_of(services if mutant.leg == "postgresql" else {})
        log = checkout.with_suffix(".log")
        begun = time.monotonic()
        with mutated(checkout / mutant.path, mutant):
            status = self._run_tests(mutant.tests, checkout, environment, log, SECONDS_FOR_ONE)
        seconds = time.monotonic() - begun
        output = log.read_text(errors="replace")
        verdict = "hung" if status is None else VERDICTS.get(status, "broken")
        failures = FAILURE.findall(output)
        return Result(mutant, verdict, seconds, failures[0] if failures else "", output)

    def _run_tests(
        self,
        tests: Iterable[str],
        checkout: Path,
        environment: dict[str, str],
        log: Path,
        seconds: float,
    ) -> int | None:
        """Return the exit status of pytest, None if it had to be ended."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        if importlib.util.find_spec("xdist"):
            command += ["-n", "0"]  # in one process; without the plugin its marks are unknown
        # Its output goes to a file: a process that is left behind would hold a pipe open.
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, *tests],
                cwd=checkout,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            deadline = time.monotonic() + seconds
            try:
                while not self.stopping.is_set() and time.monotonic() < deadline:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        return process.wait(0.2)
            finally:
                end_group(process)
        return None


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all of its group: first as Ctrl-C does, then for certain."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_END)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def copy_checkout(target: Path) -> None:
    """Copy the files that git knows, and new ones that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


@contextlib.contextmanager
def mutated(path: Path, mutant: Mutant) -> Iterator[None]:
    """Make the fault in a file, and restore the file afterwards."""
    original = path.read_text()
    if original.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: the text to replace does not occur once in {path}")
    # A compiled file is told from another by the second and the size of its source.
    compiled = Path(importlib.util.cache_from_source(str(path)))
    compiled.unlink(missing_ok=True)
    path.write_text(original.replace(mutant.old, mutant.new))
    try:
        yield
    finally:
        compiled.unlink(missing_ok=True)
        path.write_text(original)


def environment_of(services: dict[str, str]) -> dict[str, str]:
    """Return the environment of tests: that of the leg whose services these are."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "CI": "true", **dict.fromkeys(SERVICES, ""), **services, "PATH": path}


@contextlib.contextmanager
def no_services() -> Iterator[dict[str, str]]:
    """Yield what the leg ``sqlite`` needs."""
    yield {}


def has_services() -> bool:
    """Return whether the environment names the services of the leg ``postgresql``."""
    return all(os.environ.get(name) for name in SERVICES)


@contextlib.contextmanager
def own_services(job: int) -> Iterator[dict[str, str]]:
    """Yield the services of the environment with a database of the job's own, dropped at the end.

    pytest-django adds ``test_`` to the name, so that two jobs with one name would share that.
    """
    url = urlsplit(os.environ["DATABASE_URL"])
    name = f"{url.path.strip('/') or 'cloudnotes'}_mutants_{job}"
    names = [sql.Identifier(each) for each in (name, f"test_{name}")]
    drop = [sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(each) for each in names]
    server = url._replace(path="/postgres").geturl()
    execute(server, *drop, sql.SQL("CREATE DATABASE {}").format(names[0]))
    try:
        database = url._replace(path=f"/{name}").geturl()
        redis = redis_of_worker(os.environ["REDIS_URL"], f"gw{job}")
        yield {"DATABASE_URL": database, "REDIS_URL": redis}
    finally:
        execute(server, *drop)


def execute(url: str, *statements: sql.Composed) -> None:
    """Execute statements, each by itself, in a database."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def print_list(mutants: list[Mutant]) -> None:
    for mutant in mutants:
        print(f"{mutant.name} ({mutant.leg}, {mutant.path}): {mutant.promise}")


def report(results: list[Result]) -> int:
    """Print what became of all mutants and return the exit status."""
    verdicts = [result.verdict for result in results]
    counts = {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}
    print(", ".join(f"{number} {verdict}" for verdict, number in counts.items()))
    for result in results:
        if result.verdict == "survived":
            print(f"SURVIVED {result.mutant.name}: {result.mutant.promise}")
        if result.verdict == "broken":
            print(f"BROKEN {result.mutant.name}:\n{result.output[-2000:]}")
    failures = {"survived", "broken", "hung"} | (
        {"not run"} if os.environ.get("REQUIRE_ALL_LEGS") else set()
    )
    return 1 if failures & counts.keys() else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help="run these mutants alone")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    parser.add_argument("--list", action="store_true", help="print the mutants and run none")
    options = parser.parse_args()
    known = {mutant.name: mutant for mutant in MUTANTS}
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"there is no mutant {unknown[0]!r}")
    chosen = [known[name] for name in options.names] or MUTANTS
    if options.list:
        print_list(chosen)
        return 0
    # As Ctrl-C does, so that nothing is left running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun, results = time.monotonic(), []
    width = max(len(mutant.name) for mutant in chosen)
    try:
        for result in Runner(chosen, jobs=options.jobs).run():
            results.append(result)
            line = f"{result.mutant.name:{width}} {result.verdict:8} {result.seconds:5.1f} s"
            print(f"{line} {result.failure}".rstrip(), flush=True)
    except KeyboardInterrupt:
        report(results)
        return 130
    except TestsFail as error:
        print(f"Tests fail without a fault, so no mutant was run:\n{error}")
        return 1
    print(f"{len(results)} mutants in {time.monotonic() - begun:.0f} s")
    return report(results)


if __name__ == "__main__":
    sys.exit(main())
