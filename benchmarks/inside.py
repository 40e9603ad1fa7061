"""What the benchmarks do inside of a process of CloudNotes: filling it, and hashing as it does.

Started by :meth:`benchmarks.contenders.CloudNotes.inside` with the name of a function; each prints
its answer in JSON.
"""

import json
import logging
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction

from accounts.actions import users
from benchmarks import filling
from notes.actions.notes import create_note

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
                create_note(title=text.title, content=text.content, by=user, now=text.at)
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


def main() -> None:
    """Do what the command line names."""
    {"fill": fill, "hash_passwords": hash_passwords}[sys.argv[1]]()
