"""The history of a note: what is kept, coalesced, thinned out, brought back."""

import datetime as dt
import subprocess

import pytest
from django.utils import timezone

from accounts.actions import tokens
from accounts.callers import Caller
from notes.actions import notes as actions
from notes.actions import revisions
from notes.models import Note, Revision
from tests.conftest import PASSWORD, client_of, leg

pytestmark = pytest.mark.django_db
NOTES = "/api/v1/notes"


def create(client, content="one\n", **more):
    body = {"title": "t", "content": content, **more}
    return f"{NOTES}/{client.post(NOTES, body, format='json').json()['id']}"


def write(client, url, content, **more):
    response = client.patch(url, {"content": content, **more}, format="json")
    assert response.status_code == 200
    return response.json()


def kept(client, url):
    """Return version and content of what is in the history, oldest first."""
    listed = client.get(f"{url}/revisions?limit=200").json()["results"]
    versions = [entry["version"] for entry in reversed(listed)]
    return [
        (version, client.get(f"{url}/revisions/{version}").json()["content"])
        for version in versions
    ]


@pytest.fixture
def clock(monkeypatch):
    """Let a test say what time it is."""

    class Clock:
        now = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)

        def tick(self, **delta):
            self.now += dt.timedelta(**delta)

    clock = Clock()
    monkeypatch.setattr(timezone, "now", lambda: clock.now)
    return clock


def test_what_is_replaced_is_kept_with_author_time_cause_and_credential(as_alice, alice):
    url = create(as_alice)
    write(as_alice, url, "two\n")
    write(as_alice, url, "three\n", title="new", category="Work")
    session = alice.sessions.get()
    first, second = reversed(as_alice.get(f"{url}/revisions").json()["results"])
    assert {**first, "since": 0, "replaced_at": 0} == {
        "version": 1,
        "first_version": 1,
        "title": "t",
        "category": "",
        "tags": [],
        "attachments": [],
        "trashed_at": None,
        "author": alice.pk,
        "cause": "create",
        "credential": f"session {session.pk}",
        "since": 0,
        "replaced_at": 0,
        "pinned": False,
    }
    assert (second["version"], second["cause"]) == (2, "edit")
    assert first["replaced_at"] == second["since"] > first["since"]
    assert kept(as_alice, url) == [(1, "one\n"), (2, "two\n")]
    now = as_alice.get(f"{url}/revisions/3").json()
    assert (now["content"], now["title"], now["replaced_at"]) == ("three\n", "new", None)
    assert as_alice.get(f"{url}/revisions/4").status_code == 404
    assert as_alice.get(f"{url}/revisions/{10**30}").status_code == 404


def test_a_file_makes_a_revision(as_alice, tmp_path):
    url = create(as_alice)
    with (tmp_path / "f").open("w+b") as file:
        as_alice.put(f"{url}/file", {"file": file}, format="multipart")
    write(as_alice, url, "three\n")
    entries = as_alice.get(f"{url}/revisions").json()["results"]
    assert [(each["first_version"], each["version"]) for each in entries] == [(2, 2), (1, 1)]
    assert [len(each["attachments"]) for each in entries] == [1, 0]
    assert as_alice.get(f"{url}/revisions/1").json()["content"] == "one\n"


class TestCoalescing:
    def test_a_writer_who_goes_on_makes_one_revision(self, as_alice, clock):
        url = create(as_alice, "Dear")
        for text in ("Dear Bob", "Dear Bob,\n", "Dear Bob,\nhow are you", "My dear Bob,\n"):
            clock.tick(seconds=10)
            write(as_alice, url, text)
        # The last one took something away.
        assert kept(as_alice, url) == [(4, "Dear Bob,\nhow are you")]
        assert as_alice.get(f"{url}/revisions/3").status_code == 404

    def test_another_credential_is_another_writer(self, as_alice, alice):
        url = create(as_alice, "a")
        write(client_of(alice), url, "ab")
        assert kept(as_alice, url) == [(1, "a")]

    def test_only_within_minutes_of_the_beginning(self, as_alice, clock):
        url = create(as_alice, "a")
        for text in ("ab", "abc", "abcd"):
            clock.tick(minutes=2)
            write(as_alice, url, text)
        assert kept(as_alice, url) == [(3, "abc")]

    @pytest.mark.parametrize(
        "way",
        ["retrieve", "list", "as_of", "sync", "diff", "412", "conflict", "no write", "no restore"],
    )
    def test_never_what_a_reader_was_given(self, as_alice, alice, way):
        url = create(as_alice, "a")
        write(as_alice, url, "ab")
        reader = client_of(alice)
        pk = int(url.rpartition("/")[2])
        stale = {"op": "update", "id": pk, "base_version": 1, "title": "x"}
        {
            "retrieve": lambda: reader.get(url),
            "list": lambda: reader.get(NOTES),
            "as_of": lambda: reader.get(NOTES, {"as_of": timezone.now().isoformat()}),
            "no write": lambda: reader.patch(url, {}, format="json"),
            "no restore": lambda: reader.post(f"{url}/restore"),
            "sync": lambda: reader.get("/api/v1/sync"),
            "diff": lambda: reader.get(f"{url}/revisions/2/diff"),
            "412": lambda: reader.patch(url, {}, format="json", HTTP_IF_MATCH='"1"'),
            "conflict": lambda: reader.post("/api/v1/sync", {"changes": [stale]}, format="json"),
        }[way]()
        write(as_alice, url, "abc")
        assert kept(as_alice, url) == [(2, "ab")]

    def test_never_an_edit_and_never_a_move(self, as_alice):
        url = create(as_alice, "a")
        as_alice.post(f"{url}/edits", {"op": "append", "text": "b"}, format="json")
        write(as_alice, url, "a\nbc")
        write(as_alice, url, "a\nbcd", category="Work")
        assert kept(as_alice, url) == [(1, "a"), (2, "a\nb"), (3, "a\nbc")]

    @pytest.mark.parametrize(
        ("old", "new", "is_coalesced"),
        [
            ("", "a", True),
            ("ab", "aXb", True),
            ("ab", "Xab", True),
            ("aa", "aaa", True),
            ("aba", "ababa", True),
            ("ab", "a", False),
            ("ab", "Xa", False),
            ("ab", "XaXb", False),
            ("ab", "ba", False),
            ("abcabc", "abc", False),
        ],
    )
    def test_only_what_inserts(self, as_alice, old, new, is_coalesced):
        url = create(as_alice, old)
        write(as_alice, url, new)
        assert kept(as_alice, url) == ([] if is_coalesced else [(1, old)])


def test_diff(as_alice, tmp_path):
    url = create(as_alice, "a\nb\nc\n")
    write(as_alice, url, "a\nB\nc", title="new")
    told = as_alice.get(f"{url}/revisions/1/diff").json()
    assert (told["version"], told["against"], told["title"]) == (1, 2, ["t", "new"])
    git = leg("git")
    (tmp_path / "note").write_text("a\nb\nc\n")
    diff = told["diff"].replace("--- version 1", "--- note").replace("+++ version 2", "+++ note")
    subprocess.run(
        [git, "apply", "-p0", "-"], input=diff.encode(), cwd=tmp_path, check=True,
        env={"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
    )  # fmt: skip
    assert (tmp_path / "note").read_text() == "a\nB\nc"
    back = as_alice.get(f"{url}/revisions/2/diff?against=1").json()
    assert "-B" in back["diff"]
    assert as_alice.get(f"{url}/revisions/2/diff?against=2").json()["diff"] == ""
    assert as_alice.get(f"{url}/revisions/2/diff?against=9").status_code == 404
    assert as_alice.get(f"{url}/revisions/2/diff?against=x").status_code == 400


def test_restore_is_a_new_version(as_alice):
    url = create(as_alice, category="Work")
    write(as_alice, url, "two\n", title="new", category="Home")
    restored = as_alice.post(f"{url}/revisions/1/restore").json()
    assert (restored["title"], restored["content"]) == ("t", "one\n")
    assert (restored["category"], restored["version"]) == ("Work", 3)
    assert kept(as_alice, url) == [(1, "one\n"), (2, "two\n")]
    again = as_alice.post(f"{url}/revisions/1/restore").json()
    assert again == restored
    as_alice.delete(url)
    assert as_alice.post(f"{url}/revisions/1/restore").status_code == 404


def test_a_limited_token_sees_the_history_of_its_category_alone(as_alice, alice):
    url = create(as_alice, "private\n")
    write(as_alice, url, "for work\n", category="Work")
    write(as_alice, url, "later\n")
    _, secret = tokens.create_token(
        user=alice, password=PASSWORD, name="w", scopes=["notes:write"], category="Work",
        expires_at=None, now=timezone.now(),
    )  # fmt: skip
    agent = client_of(None)
    agent.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert [entry["version"] for entry in agent.get(f"{url}/revisions").json()["results"]] == [2]
    for path in ("1", "1/diff", "2/diff?against=1"):
        assert agent.get(f"{url}/revisions/{path}").status_code == 404
    assert agent.post(f"{url}/revisions/1/restore").status_code == 404
    pin = {"pinned": True}
    assert agent.patch(f"{url}/revisions/1", pin, format="json").status_code == 404
    assert agent.get(f"{url}/revisions/2").json()["content"] == "for work\n"


def age(alice, **ages):
    """Make a note with one revision for each age, given as what timedelta takes."""
    now = timezone.now()
    note = actions.create_note(title="t", content="", by=Caller(alice), now=now)
    for version, delta in enumerate(ages.values(), 1):
        at = now - delta
        Revision.objects.create(
            note=note, first_version=version, version=version, since=at, replaced_at=at,
            cause="edit", content=str(version),
        )  # fmt: skip
    Note.objects.update(version=100, state_version=100)
    return note


def thin():
    for _ in range(3):  # one stage a run
        assert not revisions.thin_due()
    return list(Revision.objects.order_by("version").values_list("version", flat=True))


class TestThinning:
    def test_everything_is_kept_for_a_day(self, alice):
        age(alice, **{str(n): dt.timedelta(hours=23, seconds=-n) for n in range(20)})
        assert len(thin()) == 20

    def test_the_last_of_each_hour_day_and_week(self, alice, clock):
        clock.now = dt.datetime(2026, 11, 18, 12, tzinfo=dt.UTC)  # a Wednesday
        hour, day, minute = dt.timedelta(hours=1), dt.timedelta(days=1), dt.timedelta(minutes=1)
        ages = {
            # Weeks: Monday 2026-06-01 to Sunday 2026-06-07, and the week after.
            "1": clock.now - dt.datetime(2026, 6, 1, 0, tzinfo=dt.UTC),
            "2": clock.now - dt.datetime(2026, 6, 7, 23, 59, tzinfo=dt.UTC),  # kept
            "3": clock.now - dt.datetime(2026, 6, 8, 0, tzinfo=dt.UTC),  # kept
            # Days.
            "4": 30 * day + 2 * hour,
            "5": 30 * day + hour,  # kept
            "6": 29 * day,  # kept
            # Hours.
            "7": 3 * day - 10 * minute,
            "8": 3 * day - 30 * minute,  # kept
            "9": 3 * day - 70 * minute,  # kept
            # All.
            "10": hour + minute,
            "11": hour,
        }
        age(alice, **ages)
        assert thin() == [2, 3, 5, 6, 8, 9, 10, 11]
        assert thin() == [2, 3, 5, 6, 8, 9, 10, 11]

    def test_pinned_revisions_stay(self, as_alice, alice, clock):
        week = dt.timedelta(days=100)
        note = age(alice, **{str(n): week - dt.timedelta(minutes=n) for n in range(4)})
        url = f"{NOTES}/{note.pk}/revisions"
        assert as_alice.patch(f"{url}/2", {"pinned": True}, format="json").json()["pinned"]
        assert as_alice.patch(f"{url}/100", {"pinned": True}, format="json").status_code == 404
        assert thin() == [2, 4]
        as_alice.patch(f"{url}/2", {"pinned": False}, format="json")
        assert as_alice.get(f"{url}/2").json()["pinned"] is False

    def test_one_note_does_not_thin_another(self, alice):
        for _ in range(2):
            age(alice, a=dt.timedelta(days=200))
        assert thin() == [1, 1]

    def test_in_batches(self, alice, clock, monkeypatch):
        monkeypatch.setattr(revisions, "THIN_BATCH_SIZE", 3)
        base = dt.timedelta(days=200)
        age(alice, **{str(n): base - dt.timedelta(seconds=n) for n in range(10)})
        while revisions.thin_due():
            pass
        assert Revision.objects.count() == 1


def test_queries_of_the_history(as_alice, django_assert_num_queries):
    url = create(as_alice)
    for number in range(3):
        write(as_alice, url, f"{number}\n")
    as_alice.get(url)
    with django_assert_num_queries(3):  # session; note; revisions
        as_alice.get(f"{url}/revisions")
    with django_assert_num_queries(3):  # session; note; revision
        as_alice.get(f"{url}/revisions/1")
