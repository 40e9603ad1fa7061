"""The index follows the feed: whatever happens at the same time, it says what the notes say."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.actions import users
from accounts.callers import Caller
from accounts.models import User
from notes.actions import indexing, versions
from notes.actions import notes as actions
from notes.models import Feed, IndexedNote, Link, Note, SearchIndex
from notes.search import finding, grammar, terms

WRITERS, WRITES = 4, 15


def create(user, title, content="", **fields):
    now = timezone.now()
    return actions.create_note(title=title, content=content, by=Caller(user), now=now, **fields)


def assert_in_step(user):
    """Assert that every note is indexed as it is now, and nothing else is."""
    assert indexing.catch_up(caller=Caller(user), seconds=60) == 0
    assert SearchIndex.objects.get(pk=user.pk).seq == Feed.objects.get(pk=user.pk).seq
    columns = ("edited_at", "title_key", "words", "stems", "terms")
    told = {row[0]: row[1:] for row in IndexedNote.objects.values_list("pk", *columns)}
    for note in Note.objects.filter(owner=user):
        fresh = indexing._indexed(note, user.language)
        *same, found_by = told.pop(note.pk)
        assert same == [getattr(fresh, name) for name in columns[:-1]]
        assert {*found_by.replace("'", "").split()} == {*fresh.terms.split()}
    assert not told


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite in memory has no threads that wait"
)
@pytest.mark.django_db(transaction=True)
def test_writers_and_searchers_at_once(alice):
    notes = [create(alice, f"note {n}", "begun") for n in range(6)]
    done = threading.Event()

    def write(number):
        try:
            for turn in range(WRITES):
                note, now = notes[(number + turn) % len(notes)], timezone.now()
                changes = {"content": f"writer {number} turn {turn}", "title": f"t {turn}"}
                try:
                    if turn % 5 == 4:
                        actions.trash_note(note=note, by=Caller(alice), now=now)
                        actions.restore_note(note=note, by=Caller(alice), now=now)
                    else:
                        actions.update_note(note=note, changes=changes, by=Caller(alice), now=now)
                except versions.NoteGone:
                    continue
                create(alice, f"new {number} {turn}", "[[note 1]]")
        finally:
            connection.close()

    def search():
        try:
            while not done.is_set():
                indexing.catch_up(caller=Caller(alice), seconds=5)
        finally:
            connection.close()

    with ThreadPoolExecutor(WRITERS + 2) as pool:
        searching = [pool.submit(search) for _ in range(2)]
        writing = [pool.submit(write, number) for number in range(WRITERS)]
        try:
            for each in writing:
                each.result()
        finally:
            done.set()
        for each in searching:
            each.result()
    assert_in_step(alice)


@pytest.mark.django_db(transaction=True)
def test_a_note_that_is_deleted_while_it_is_indexed(alice, monkeypatch):
    note, other = create(alice, "one"), create(alice, "two", "[[one]]")
    indexed = indexing._indexed

    def slow(*arguments):
        if Note.objects.filter(pk=note.pk).exists():
            actions.purge_note(note=note, by=Caller(alice))
        return indexed(*arguments)

    monkeypatch.setattr(indexing, "_indexed", slow)
    assert indexing.catch_up(caller=Caller(alice), seconds=60) == 0
    assert list(IndexedNote.objects.values_list("pk", flat=True)) == [other.pk]
    assert_in_step(alice)


@pytest.mark.django_db(transaction=True)
def test_what_another_process_has_indexed_meanwhile_is_left(alice, monkeypatch):
    create(alice, "one")
    indexed, begun = indexing._indexed, []

    def slow(note, *arguments):
        if not begun:
            begun.append(True)
            actions.update_note(
                note=note, changes={"title": "two"}, by=Caller(alice), now=timezone.now()
            )
            indexing.catch_up(caller=Caller(alice), seconds=60)
        return indexed(note, *arguments)

    monkeypatch.setattr(indexing, "_indexed", slow)
    assert indexing.catch_up(caller=Caller(alice), seconds=60) == 0
    assert IndexedNote.objects.get().words.startswith(" two ")
    assert_in_step(alice)


@pytest.mark.django_db(transaction=True)
def test_an_account_that_goes_takes_its_index(alice, carol):
    create(alice, "one", "[[one]]")
    create(carol, "one", "[[one]]")
    for user in (alice, carol):
        indexing.catch_up(caller=Caller(user), seconds=60)
    users.delete(user=alice, by=alice)
    for table in (IndexedNote, Link):
        assert list(table.objects.values_list("owner_id", flat=True)) == [carol.pk]
    assert list(SearchIndex.objects.values_list("pk", flat=True)) == [carol.pk]
    assert [each.pk for each in User.objects.all()] == [carol.pk]
    plan = finding.plan(grammar.parse("one"), owner=alice.pk, language="simple")
    found = IndexedNote.objects.filter(terms__matches=finding.to_sql(plan.terms))
    assert not found.exists()  # not in the table of FTS5 either


@pytest.mark.django_db
def test_the_worker_finds_who_is_behind(alice, carol):
    create(alice, "one")
    assert indexing.is_behind(alice)
    assert not indexing.is_behind(carol)
    assert indexing.index_due() is False
    assert not indexing.is_behind(alice)
    User.objects.filter(pk=alice.pk).update(language="german")
    assert indexing.index_due() is False
    assert SearchIndex.objects.get(pk=alice.pk).made == f"german/{terms.FORMAT}"


@pytest.mark.django_db
@pytest.mark.parametrize("is_broad", [False, True])
def test_it_is_asked_by_its_index(alice, monkeypatch, is_broad):
    monkeypatch.setattr(finding, "RANKED", 5)
    for number in range(60):
        create(alice, f"note {number}", "common" if is_broad or number == 1 else "")
    indexing.catch_up(caller=Caller(alice), seconds=60)
    plan = finding.plan(grammar.parse("common"), owner=alice.pk, language="simple")
    is_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        with CaptureQueriesContext(connection) as asked:
            finding.find(plan, caller=Caller(alice), after=None, limit=3)
        plans = []
        for query in asked.captured_queries:
            if not is_sqlite:  # some rows are best read as they lie
                cursor.execute("SET LOCAL enable_seqscan = off")
                is_looked_up = "notes_terms" in query["sql"]
                cursor.execute(f"SET LOCAL enable_bitmapscan = {'on' if is_looked_up else 'off'}")
                cursor.execute("SET LOCAL enable_sort = off")
            cursor.execute(f"EXPLAIN {'QUERY PLAN' if is_sqlite else ''} {query['sql']}")
            plans.append("\n".join(str(row) for row in cursor.fetchall()))
    # What the newest are; if they are too many, what has the title, and where a step ends and what
    # it finds, of two tiers.
    assert len(plans) == (6 if is_broad else 2)
    if is_broad:
        assert "indexed_by_" in plans.pop(1)
    for walk in plans if is_broad else plans[:1]:
        assert "indexed_by_recent_edit" in walk
    if not is_broad:
        assert ("SCAN notes_indexednote_terms" if is_sqlite else "notes_by_terms") in plans[1]
        assert "indexed_by_recent_edit" not in plans[1]
