"""What a test asks for decides in which legs it runs; without a fixture it gets no database."""

import subprocess
import types

import pytest

from accounts.models import User
from tests import legs, ports
from tests.databases import database
from tests.redis_number import redis_of_worker
from tests.servers import Server


def test_who_asks_for_no_database_gets_no_connection():
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        User.objects.exists()


def test_who_asks_for_no_database_gets_none_for_a_service(tmp_path):
    with pytest.raises(RuntimeError, match="asks for new_database"), database(tmp_path):
        pass


def test_who_asks_for_no_database_starts_no_service_without_one(tmp_path):
    with pytest.raises(RuntimeError, match="asks for a database"):
        Server(tmp_path)


def test_who_is_not_marked_starts_no_process():
    with pytest.raises(RuntimeError, match=r"pytest\.mark\.service"):
        subprocess.run(["true"])


def fake_item(fixtures=(), marks=()):
    return types.SimpleNamespace(
        fixturenames=fixtures, get_closest_marker=lambda name: name if name in marks else None
    )


@pytest.mark.parametrize(
    ("fixtures", "marks", "expected"),
    [
        ([], [], False),
        (["tmp_path", "s3", "embedded_database"], ["service"], False),
        (["db"], [], True),
        (["transactional_db"], [], True),
        (["new_database"], [], True),
        ([], ["django_db"], True),
        ([], ["postgresql"], True),
    ],
)
def test_what_runs_in_both_legs(fixtures, marks, expected):
    assert legs.uses_database(fake_item(fixtures, marks)) is expected


def test_the_sqlite_leg_runs_all_and_the_other_what_uses_a_database():
    pure, stored = fake_item(), fake_item(marks=["django_db"])
    assert legs.selected([pure, stored], is_postgresql=False) == [pure, stored]
    assert legs.selected([pure, stored], is_postgresql=True) == [stored]


def test_each_process_has_a_redis_database_and_ports_of_its_own():
    addresses = [redis_of_worker("redis://127.0.0.1:6379/0", f"gw{n}") for n in range(12)]
    assert len(set(addresses)) == 12
    assert addresses[0].endswith("/1")
    assert redis_of_worker("redis://127.0.0.1:6379", "gw0") == addresses[0]
    taken = {ports.free_port() for _ in range(20)}
    assert len(taken) == 20
    assert all(port in ports.PORTS for port in taken)
