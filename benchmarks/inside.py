"""What the benchmarks do inside of a process of CloudNotes: fill it, hash as it does, explain it.

Started by :meth:`benchmarks.contenders.CloudNotes.inside` with the name of a function and what that
takes; each prints its answer in JSON.
"""

import io
import itertools
import json
import logging
import os
import re
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.contrib.auth.hashers import check_password, make_password
from django.db import connection, transaction
from django.test import RequestFactory

from accounts.actions import users
from accounts.callers import Caller
from benchmarks import filling, without_history
from cloudnotes.db.compiled_queries import Bindable, Query, Statement
from cloudnotes.wsgi import application
from notes.actions import indexing
from notes.actions.notes import create_note

EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
HASHES = 5  # measured one after the other, and as many a core at once


def fill() -> None:
    """Make the accounts and notes through the actions, as requests do."""
    logging.disable(logging.INFO)
    hashed = make_password(filling.PASSWORD)
    for number in range(1, filling.USERS + 1):
        user = users.import_user(
            email=filling.email(number),
            username=None,
            full_name="",
            password_hash=hashed,
            is_active=True,
            created_at=filling.BEGAN_AT,
        )
        with transaction.atomic():
            for text in filling.texts(number):
                create_note(title=text.title, content=text.content, by=Caller(user), now=text.at)
        assert indexing.catch_up(caller=Caller(user), seconds=60) == 0
    print(json.dumps(filling.USERS * filling.NOTES))


def hash_passwords() -> None:
    """Measure the hash that a log-in computes, in one thread and on all cores.

    Prints the milliseconds of one (the median) and how many a second all cores together compute,
    and of both the processor's milliseconds for one, which is slower beside another.
    """
    hashed = make_password(filling.PASSWORD)

    def check(_: int) -> float:
        began = time.perf_counter()
        assert check_password(filling.PASSWORD, hashed)
        return time.perf_counter() - began

    used = [time.process_time()]
    alone = statistics.median(check(number) for number in range(HASHES))
    used.append(time.process_time())
    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores) as pool:
        began = time.perf_counter()
        list(pool.map(check, range(cores * HASHES)))  # bcrypt lets go of the interpreter's lock
        seconds = time.perf_counter() - began
    used.append(time.process_time())
    figures = {
        "one_ms": 1000 * alone,
        "processor_ms": 1000 * (used[1] - used[0]) / HASHES,
        "a_second": cores * HASHES / seconds,
        "processor_ms_on_all": 1000 * (used[2] - used[1]) / (cores * HASHES),
    }
    print(json.dumps(figures))


def hashed_password() -> None:
    """Print the hash of the password that all users have."""
    print(json.dumps(make_password(filling.PASSWORD)))


def explain(requests: str) -> None:
    """Make requests and print of each the statements that it runs, with their plans.

    ``requests`` are HTTP requests by their names, in JSON. A request is made for good; what its
    statements do when they are explained is rolled back. A statement that the service prepares has
    two plans: the one for these values and the one for any, which is what it runs by.
    """
    logging.disable(logging.INFO)
    prepared = _note_prepared()
    told: dict[str, list[tuple[str, str]]] = {}
    for name, request in json.loads(requests).items():
        told[name] = []
        for sql, parameters in _statements(request):
            statement = " ".join(connection.ops.compose_sql(sql, parameters).split())
            told[name].append((statement, _plan(sql, parameters)))
            if sql in prepared:
                told[name].append((f"{statement} (prepared)", _plan_for_any(sql, parameters)))
    print(json.dumps(told))


def _note_prepared() -> set[str]:
    """Return a set that from now on gets every statement that is written once and then bound."""
    prepared = set()

    def noting(bind: Callable[..., tuple[str, Any]]) -> Callable[..., tuple[str, Any]]:
        def note(query: Bindable, values: dict[str, Any]) -> tuple[str, Any]:
            sql, parameters = bind(query, values)
            prepared.add(sql)
            return sql, parameters

        return note

    Query.bind, Statement.bind = noting(Query.bind), noting(Statement.bind)
    return prepared


def statements(request: str, what: str) -> None:
    """Print the statements of one HTTP request but for BEGIN and COMMIT, each in one line.

    ``what`` is ``whole``, or ``bare`` for a service without history and feed.
    """
    logging.disable(logging.INFO)
    if what == "bare":
        without_history.leave_out()
    ran = _statements(request)
    print(json.dumps([" ".join(sql.replace('"', "").split()) for sql, _ in ran]))


def _statements(request: str) -> list[tuple[str, Any]]:
    """Return the statements of one request, but for those that begin and end transactions."""
    ran = []

    def note(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if sql.split()[0] in EXPLAINED:
            ran.append((sql, parameters))
        return execute(sql, parameters, many, context)

    head, _, body = request.partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(field.split(": ", 1) for field in fields)
    asked = RequestFactory().generic(method, path, body, "application/json", headers=headers)
    environ = {**asked.environ, "wsgi.input": io.BytesIO(body.encode())}  # to be read twice
    del environ["HTTP_COOKIE"]  # there is none, and Django's tests send it all the same
    answered = []
    with connection.execute_wrapper(note):
        answer = application(environ, lambda status, fields: answered.append(status))
        content = b"".join(answer)
    assert answered[0][0] in "23", content
    return ran


def _plan(sql: str, parameters: Any) -> str:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", parameters)
        plan = "\n".join(line for (line,) in cursor.fetchall())
        transaction.set_rollback(True)
    return plan


def _plan_for_any(sql: str, parameters: Any) -> str:
    """Return the plan that PostgreSQL makes when it does not know the values (a generic plan)."""
    if isinstance(parameters, dict):
        numbers = {f"%({name})s": number for number, name in enumerate(parameters, 1)}
        text = re.sub(r"%\(\w+\)s", lambda found: f"${numbers[found[0]]}", sql)
        parameters = list(parameters.values())
    else:
        count = itertools.count(1)
        text = re.sub("%s", lambda _: f"${next(count)}", sql)
    slots = f"({', '.join(['%s'] * len(parameters))})" if parameters else ""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute(f"PREPARE explained AS {text}")
        execute = f"EXPLAIN (ANALYZE, BUFFERS) EXECUTE explained {slots}"
        cursor.execute(connection.ops.compose_sql(execute, parameters))  # it takes no parameters
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("DEALLOCATE explained")
        transaction.set_rollback(True)
    return plan


def main() -> None:
    """Do what the command line names."""
    known = (fill, hash_passwords, hashed_password, explain, statements)
    {each.__name__: each for each in known}[sys.argv[1]](*sys.argv[2:])
