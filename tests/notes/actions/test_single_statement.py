"""Writes that are one statement, where others hold the locks that they need."""

import asyncio
import contextlib
import datetime as dt
import io
import json
from itertools import pairwise

import psycopg
import pytest
from django.db import connection, transaction
from django.db import connections as django_connections
from django.utils import timezone

from accounts import authentication
from accounts.actions import users
from accounts.callers import Caller
from accounts.models import User
from cloudnotes.db.compiled_queries import Statement
from cloudnotes.fastpath import dispatch
from cloudnotes.fastpath.async_pool import Connections, NotDone
from cloudnotes.fastpath.views import Dispatcher, Request
from notes.actions import notes as actions
from notes.actions import single_statement, versions
from notes.api import fast
from notes.models import Feed, Note, Revision
from notes.models.fields import VERSIONED
from tests.conftest import client_of

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
]
NOTES = "/api/v1/notes"
LONG_AGO = dt.timedelta(hours=1)
# Of this database alone: other processes of tests have theirs on the same server.
WAITING = Statement(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
VERSION = Statement("SELECT version, title FROM notes_note WHERE id = %(note)s")


@pytest.fixture
def writer(alice):
    return Caller(alice, credential="s:1")


@pytest.fixture
def note(writer):
    return actions.create_note(title="t", content="c", by=writer, now=timezone.now() - LONG_AGO)


@pytest.fixture
def others():
    """Connect somebody else, who does not commit by themselves."""
    with contextlib.ExitStack() as opened:
        options = connection.get_connection_params()
        options = {k: v for k, v in options.items() if k not in ("context", "cursor_factory")}
        yield lambda: opened.enter_context(contextlib.closing(psycopg.connect(**options)))


def change(note, title):
    body = json.dumps({"title": title}).encode()
    return Request("PATCH", f"{NOTES}/{note.pk}", "", {}, "http", body)


def run(main, *, size=4, options=""):
    """Run a coroutine function with connections for it."""

    async def begin():
        pool = Connections(size, options)
        try:
            return await main(pool, lambda query, **values: pool.fetch(query, values))
        finally:
            pool.close()

    return asyncio.run(begin())


async def until_somebody_waits(pool, *, number=1):
    for _ in range(1000):
        ((waiting,),) = await pool.fetch(WAITING, {})
        if waiting >= number:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits for a lock")


@pytest.mark.parametrize(
    "held",
    [
        "SELECT FROM notes_note WHERE owner_id = %s FOR UPDATE",
        "SELECT FROM notes_feed WHERE user_id = %s FOR UPDATE",
        "SELECT FROM accounts_user WHERE id = %s FOR UPDATE",  # looked at by the commit
    ],
)
def test_a_write_that_was_given_up_is_not_made_later(writer, note, others, held):
    holder = others()
    holder.execute(held, [writer.pk])

    async def main(pool, fetch):
        with pytest.raises(NotDone):
            await fast.NoteChange().answer(change(note, "late"), writer, fetch, note.pk)
        holder.commit()
        return await pool.fetch(VERSION, {"note": note.pk}), await pool.fetch(WAITING, {})

    found, waiting = run(main, options=dispatch.WRITE_OPTIONS)
    assert (found, waiting) == ([(1, "t")], [(0,)])
    assert (Revision.objects.count(), Feed.objects.get().seq) == (0, 1)


def test_the_server_gives_up_before_we_do():
    longest = dispatch.STATEMENT_MILLISECONDS + dispatch.LOCK_MILLISECONDS
    assert longest < 1000 * Statement.timeout_seconds
    transport = dispatch.async_transport()
    assert str(dispatch.STATEMENT_MILLISECONDS) in transport.writes.options
    assert str(dispatch.LOCK_MILLISECONDS) in transport.writes.options


def test_what_was_never_sent_is_for_the_plain_road(writer, note):
    async def main(pool, fetch):
        soon = asyncio.get_running_loop().time() + Statement.timeout_seconds - 0.01

        async def late(query, **values):
            return await pool.fetch(query, values, None if query is fast.TO_WRITE else soon)

        await asyncio.sleep(0.05)
        with pytest.raises(NotDone):
            await fast.NoteChange().answer(change(note, "late"), writer, late, note.pk)

    run(main)
    assert Note.objects.get().title == "t"


@pytest.mark.parametrize(("times", "expected"), [(0, 2), (1, 3), (2, 4), (3, None)])
def test_who_comes_between_the_look_and_the_write(writer, note, others, times, expected):
    other, came = others(), []

    async def main(pool, fetch):
        async def interrupted(query, **values):
            rows = await fetch(query, **values)
            if query is fast.TO_WRITE and len(came) < times:
                came.append(1)
                other.execute("UPDATE notes_note SET version = version + 1")
                other.commit()
            return rows

        return await fast.NoteChange().answer(change(note, "new"), writer, interrupted, note.pk)

    answer = run(main)
    if expected is None:
        assert answer is None  # for the Django path, which locks
        assert (Note.objects.get().title, Revision.objects.count()) == ("t", 0)
    else:
        assert json.loads(answer.body)["version"] == Note.objects.get().version == expected
        assert (Note.objects.get().title, Revision.objects.count()) == ("new", 1)


def test_a_flag_that_comes_between_is_in_the_answer(writer, note, others):
    other, came = others(), []

    async def main(pool, fetch):
        async def interrupted(query, **values):
            rows = await fetch(query, **values)
            if query is fast.TO_WRITE and not came:
                came.append(1)
                other.execute("UPDATE notes_note SET is_favorite = TRUE")
                other.commit()
            return rows

        return await fast.NoteChange().answer(change(note, "new"), writer, interrupted, note.pk)

    answer = run(main)
    assert json.loads(answer.body)["is_favorite"]
    assert answer.headers["ETag"] == '"2-f"'


def test_who_is_given_the_note_while_the_write_waits(writer, others):
    """A state that a reader was given is kept, whatever was to be gone on with."""
    begun = actions.create_note(title="t", content="c", by=writer, now=timezone.now())
    begun = Note.objects.get(pk=begun.pk)
    reader = others()
    reader.execute("UPDATE notes_note SET state_given = TRUE WHERE id = %s", [begun.pk])

    async def main(pool, fetch):
        going_on = asyncio.ensure_future(
            single_statement.update_note(
                note=begun, changes={"title": "to"}, by=writer, now=timezone.now(), fetch=fetch
            )
        )
        await until_somebody_waits(pool)
        reader.commit()
        return await going_on

    assert run(main) is None
    assert (Note.objects.get().title, Revision.objects.count()) == ("t", 0)


def test_the_feed_is_locked_last(writer, note, others):
    """While a write waits for anything of its note, others write to the same feed."""
    holder, asks = others(), others()
    kept = Revision.of(note, replaced_at=timezone.now())
    with transaction.atomic():
        kept.save(force_insert=True)
        row = connection.cursor().execute("SELECT * FROM notes_revision").fetchone()
        transaction.set_rollback(True)
    sql = f"INSERT INTO notes_revision VALUES ({', '.join(['%s'] * len(row))})"
    holder.execute(sql, row)  # the same state of the note, kept by somebody who may yet roll back

    async def main(pool, fetch):
        late = asyncio.ensure_future(
            single_statement.update_note(
                note=note, changes={"title": "late"}, by=writer, now=timezone.now(), fetch=fetch
            )
        )
        await until_somebody_waits(pool)
        asks.execute("SELECT FROM notes_feed FOR UPDATE NOWAIT")
        asks.rollback()
        holder.rollback()
        return await late

    assert run(main).version == 2


def test_two_states_of_one_number_of_a_feed_are_told_apart(writer, note):
    """A restored backup counts again from where it was: the mark has the clock's time in it."""
    Note.objects.update(updated_at=timezone.now() + dt.timedelta(minutes=5))
    marks = []
    for title in ("A", "B"):
        with transaction.atomic():
            ahead = Note.objects.get()
            write = single_statement.update_note(
                note=ahead, changes={"title": title}, by=writer, now=timezone.now(),
                fetch=dispatch._fetch,
            )  # fmt: skip
            assert dispatch.drive(write).title == title
            marks.append(Feed.objects.get_token(writer))
            transaction.set_rollback(True)  # stands for the backup
    assert marks[0][0] == marks[1][0]
    assert marks[0] != marks[1]


def test_one_users_writes_do_not_hold_up_anothers(writer, bob, note, others):
    """They wait for each other's feed, and for that without a connection."""
    tokens = [client_of(user)._credentials["HTTP_AUTHORIZATION"] for user in (writer.user, bob)]
    holder = others()
    holder.execute("SELECT FROM notes_feed WHERE user_id = %s FOR UPDATE", [writer.pk])

    async def main(pool, fetch):
        transport = dispatch.AsyncTransport(
            Dispatcher(fast.VIEWS, authentication.recognize),
            reads=Connections(2),
            writes=Connections(2),
        )
        mine = [asyncio.ensure_future(post(transport, tokens[0])) for _ in range(6)]
        await until_somebody_waits(pool)
        theirs = await post(transport, tokens[1])
        assert not any(each.done() for each in mine)
        holder.commit()
        answers = [theirs, *await asyncio.gather(*mine)]
        transport.close()
        return [answer.status for answer in answers]

    assert run(main) == [201] * 7


async def post(transport, token):
    body = b'{"title": "x"}'
    headers = {"host": "testserver", "authorization": token, "content-type": "application/json"}
    scope = {
        "method": "POST",
        "path": NOTES,
        "raw_path": NOTES.encode(),
        "query_string": b"",
        "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    return await transport(scope, io.BytesIO(body), len(body))


def test_at_once_and_step_by_step_make_one_chain(writer, note):
    """Writers of both kinds and readers, all at the same note."""
    rounds = 8

    def step_by_step(name):
        by = Caller(writer.user, credential=f"p:{name}")
        for number in range(rounds):
            title = f"step {name} {number}"
            actions.update_note(note=note, changes={"title": title}, by=by, now=timezone.now())
            everything = Note.objects.all()
            versions.mark_seen([everything.get()], within=everything, now=timezone.now())
        django_connections.close_all()

    async def at_one_go(fetch, name):
        by = Caller(writer.user, credential=f"a:{name}")
        for number in range(rounds):
            written = None
            while written is None:
                (row,) = await fetch(fast.TO_WRITE, user=writer.pk, note=note.pk)
                written = await single_statement.update_note(
                    note=fast.TO_WRITE.make(row), changes={"title": f"once {name} {number}"},
                    by=by, now=timezone.now(), fetch=fetch,
                )  # fmt: skip

    async def main(pool, fetch):
        await asyncio.gather(
            *(asyncio.to_thread(step_by_step, name) for name in range(2)),
            *(at_one_go(fetch, name) for name in range(3)),
        )

    run(main)
    written = Note.objects.get()
    states = Revision.objects.order_by("version").values_list(
        "first_version", "version", "since", "replaced_at"
    )
    assert written.version == Feed.objects.get().seq == 1 + 5 * rounds
    assert [*states][-1][1] + 1 == written.state_version
    for before, after in pairwise(states):
        assert after[0] == before[1] + 1
        assert after[2] >= before[3]


def test_the_revision_holds_all_that_the_note_said(writer, fast_path):
    now = timezone.now() - LONG_AGO
    filed = {"category": "Work", "tags": "a\nb"}
    before = actions.create_note(title="t", content="c", **filed, by=writer, now=now)
    client_of(writer.user).patch(f"{NOTES}/{before.pk}", {"title": "new"}, format="json")
    assert fast_path == [f"PATCH {NOTES}/{before.pk}"]
    revision = Revision.objects.get()
    for name in VERSIONED:
        assert getattr(revision, name) == getattr(before, name), name
    assert (revision.by_id, revision.credential, revision.since) == (writer.pk, "s:1", now)


def test_an_account_that_is_deleted_under_its_writers(writer, note):
    """Whatever comes first: nothing of the user is left, and nobody waits for ever."""
    told = []

    def delete():
        users.delete(user=User.objects.get(pk=writer.pk), by=writer.user)
        django_connections.close_all()

    async def write(fetch, name):
        for number in range(20):
            now = timezone.now()
            try:
                if name % 2:
                    await single_statement.create_note(
                        title="x", content="", by=writer, now=now, fetch=fetch
                    )
                else:
                    await fast.NoteChange().answer(
                        change(note, f"{name} {number}"), writer, fetch, note.pk
                    )
            except psycopg.IntegrityError:
                told.append("gone")

    async def main(pool, fetch):
        writers = [asyncio.ensure_future(write(fetch, name)) for name in range(4)]
        await fetch(VERSION, note=note.pk)
        await asyncio.gather(asyncio.to_thread(delete), *writers)

    run(main)
    assert told
    left = (User.objects.count(), Note.objects.count(), Feed.objects.count())
    assert (*left, Revision.objects.count()) == (0, 0, 0, 0)
