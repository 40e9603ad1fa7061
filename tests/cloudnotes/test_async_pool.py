import asyncio
import time

import psycopg
import pytest

from accounts.models import User
from cloudnotes.db.compiled_queries import Parameter, Query, Statement
from cloudnotes.fastpath.async_pool import Connections, NotDone

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.django_db,
]
ONE = Query(lambda: User.objects.filter(pk__gt=Parameter("pk")).values_list("pk"))


SLEEP = Statement("SELECT pg_sleep(%(seconds)s)")
WRONG = Statement("SELECT 1 / 0")
KILL = Statement("SELECT pg_terminate_backend(%(pid)s::int)")


def test_statements_are_prepared_once_whatever_the_size_of_a_number():
    async def main():
        pool = Connections(1)
        for pk in (1, 2**20, 2**40, 2**62):
            assert await pool.fetch(ONE, {"pk": pk}) == []
        cursor = psycopg.AsyncCursor(pool.idle[0])
        await cursor.execute(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements"
            " WHERE statement LIKE 'SELECT \"accounts_user%'"
        )
        prepared = await cursor.fetchall()
        pool.close()
        return prepared

    assert asyncio.run(main()) == [(4, 0)]


def test_behind_pgbouncer_nothing_is_prepared(settings):
    settings.PREPARED_STATEMENTS = False

    async def main():
        pool = Connections(1)
        for _ in range(8):
            await pool.fetch(ONE, {"pk": 1})
        cursor = psycopg.AsyncCursor(pool.idle[0])
        await cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        (row,) = await cursor.fetchall()
        pool.close()
        return row

    assert asyncio.run(main()) == (0,)


def test_no_more_than_its_size_and_each_in_turn():
    async def main():
        pool = Connections(2)
        answers = await asyncio.gather(*(pool.fetch(ONE, {"pk": pk}) for pk in range(20)))
        assert answers == [[]] * 20
        assert (len(pool.idle), pool.free, len(pool.waiting)) == (2, 0, 0)
        pool.close()

    asyncio.run(main())


def test_a_wait_that_is_cancelled_takes_nobodys_turn():
    async def main():
        pool = Connections(1)
        busy, cancelled, last = (
            asyncio.ensure_future(each)
            for each in (
                pool.fetch(SLEEP, {"seconds": 0.2}),
                pool.fetch(ONE, {"pk": 1}),
                pool.fetch(ONE, {"pk": 2}),
            )
        )
        await asyncio.sleep(0.05)
        cancelled.cancel()
        assert await busy
        assert await asyncio.wait_for(last, 30) == []
        assert (len(pool.idle), pool.free, len(pool.waiting)) == (1, 0, 0)
        pool.close()

    asyncio.run(main())


def test_a_wait_ends():
    async def main():
        pool = Connections(1)
        busy = asyncio.ensure_future(pool.fetch(SLEEP, {"seconds": 2.0}))
        await asyncio.sleep(0.05)
        soon = asyncio.get_running_loop().time() + ONE.timeout_seconds + 0.05
        with pytest.raises(NotDone):
            await pool.fetch(ONE, {"pk": 1}, soon)
        await busy
        assert await pool.fetch(ONE, {"pk": 1}) == []
        assert (len(pool.idle), pool.free) == (1, 0)
        pool.close()

    asyncio.run(main())


def test_a_statement_that_fails_costs_its_connection_alone():
    async def main():
        pool = Connections(1)
        for _ in range(3):
            with pytest.raises(psycopg.Error):
                await pool.fetch(WRONG, {})
            assert await pool.fetch(ONE, {"pk": 1}) == []
        pool.close()

    asyncio.run(main())


def test_a_connection_that_ends_while_idle_is_noticed_before_it_is_used():
    async def main():
        pool = Connections(2)
        await asyncio.gather(*(pool.fetch(SLEEP, {"seconds": 0.05}) for _ in range(2)))
        first = pool.idle[0].info.backend_pid
        await pool.fetch(KILL, {"pid": first})
        for _ in range(1000):
            if len(pool.idle) == 1:
                break
            await asyncio.sleep(0.02)
        assert (len(pool.idle), pool.free) == (1, 1)
        assert await asyncio.gather(*(pool.fetch(ONE, {"pk": 1}) for _ in range(4))) == [[]] * 4
        pool.close()

    asyncio.run(main())


def test_no_rows_are_kept():
    rows = Statement("SELECT repeat('x', 1000), n FROM generate_series(1, %(many)s) n")

    async def main():
        pool = Connections(1)
        assert len(await pool.fetch(rows, {"many": 20})) == 20
        assert len(await pool.fetch(rows, {"many": 10})) == 10
        (cursor,) = pool.idle[0].cursors.values()
        assert (cursor.pgresult, cursor._results, cursor._tx.pgresult) == (None, [], None)
        pool.close()

    asyncio.run(main())


def test_a_table_that_changes_under_a_prepared_statement():
    everything = Query(lambda: User.objects.filter(pk=Parameter("pk")).values_list("pk", "email"))

    async def main():
        pool = Connections(1)
        await pool.fetch(everything, {"pk": 1})
        cursor = psycopg.AsyncCursor(pool.idle[0])
        await cursor.execute("CREATE TEMPORARY TABLE accounts_user (id int, email int)")
        with pytest.raises(psycopg.Error):  # cached plan must not change result type
            await pool.fetch(everything, {"pk": 1})
        assert await pool.fetch(everything, {"pk": 1}) == []
        pool.close()

    asyncio.run(main())


def test_an_alarm_that_rings_between_two_waits_is_heard(monkeypatch):
    async def main():
        pool = Connections(1)
        await pool.fetch(ONE, {"pk": 1})
        monkeypatch.setattr(Statement, "timeout_seconds", 0.1)
        late = asyncio.ensure_future(pool.fetch(SLEEP, {"seconds": 3}))
        await asyncio.sleep(0)
        time.sleep(0.2)  # the loop is held up: the answer to PREPARE and the alarm come together
        with pytest.raises(psycopg.OperationalError):
            await asyncio.wait_for(late, 2)
        assert (len(pool.idle), pool.free) == (0, 1)
        assert await pool.fetch(ONE, {"pk": 1}) == []
        pool.close()

    asyncio.run(main())
