"""Notes as they were: ``as_of`` and ``rewind``."""

import datetime as dt

import pytest
from django.utils import timezone

from accounts.actions import tokens
from notes.actions import rewinding
from notes.models import Note, Revision
from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db
NOTES, REWIND = "/api/v1/notes", "/api/v1/rewind"


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = timezone.now()

        def tick(self):
            """Let ten seconds pass and return the middle of them."""
            self.now += dt.timedelta(seconds=10)
            return (self.now - dt.timedelta(seconds=5)).isoformat()

    clock = Clock()
    monkeypatch.setattr(timezone, "now", lambda: clock.now)
    return clock


def create(client, title, **more):
    return client.post(NOTES, {"title": title, **more}, format="json").json()["id"]


def past(client, time):
    page = client.get(NOTES, {"as_of": time}).json()
    return {
        note["title"]: (note["content"], note["category"], note["version"])
        for note in page["results"]
    }


@pytest.fixture
def times(as_alice, clock):
    """Return five times with a different account at each."""
    times = [clock.tick()]
    stays, changes = create(as_alice, "stays"), create(as_alice, "changes", content="one")
    times.append(clock.tick())
    as_alice.patch(f"{NOTES}/{changes}", {"content": "two", "category": "Work"}, format="json")
    create(as_alice, "later")
    times.append(clock.tick())
    as_alice.delete(f"{NOTES}/{changes}")
    times.append(clock.tick())
    as_alice.post(f"{NOTES}/{changes}/restore")
    as_alice.patch(f"{NOTES}/{changes}", {"title": "changed"}, format="json")
    as_alice.delete(f"{NOTES}/{stays}")
    times.append(clock.tick())
    return times


EXPECTED = [
    {},
    {"stays": ("", "", 1), "changes": ("one", "", 1)},
    {"stays": ("", "", 1), "changes": ("two", "Work", 2), "later": ("", "", 1)},
    {"stays": ("", "", 1), "later": ("", "", 1)},
    {"changed": ("two", "Work", 5), "later": ("", "", 1)},
]


def test_notes_as_of_a_time(as_alice, as_carol, times):
    assert [past(as_alice, time) for time in times] == EXPECTED
    assert past(as_carol, times[2]) == {}
    assert past(as_alice, "1990-01-01") == {}


def test_a_state_is_there_from_its_first_moment(as_alice, clock):
    pk, moments = create(as_alice, "t", content="one"), [clock.now.isoformat()]
    for content in ("two", "three"):
        clock.tick()
        as_alice.patch(f"{NOTES}/{pk}", {"content": content}, format="json")
        moments.append(clock.now.isoformat())
    assert [past(as_alice, moment)["t"][0] for moment in moments] == ["one", "two", "three"]


def test_as_of_in_pages(as_alice, times):
    seen, cursor = [], ""
    while cursor is not None:
        query = {"as_of": times[2], "limit": 1, **({"cursor": cursor} if cursor else {})}
        page = as_alice.get(NOTES, query).json()
        seen += [note["title"] for note in page["results"]]
        cursor = page["next"]
    assert seen == ["later", "changes", "stays"]
    cursor = as_alice.get(NOTES, {"as_of": times[2], "limit": 1}).json()["next"]
    assert as_alice.get(NOTES, {"as_of": times[1], "cursor": cursor}).status_code == 400
    assert as_alice.get(NOTES, {"cursor": cursor}).status_code == 400


@pytest.mark.parametrize(
    "text", ["x", "2026-13-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_bad_times(as_alice, text):
    assert as_alice.get(NOTES, {"as_of": text}).status_code == 400
    assert as_alice.post(REWIND, {"to": text}, format="json").status_code == 400


def test_the_past_where_it_was_thinned_out(as_alice, times):
    Revision.objects.filter(version=2).delete()
    assert past(as_alice, times[2])["changes"] == ("one", "", 1)
    Revision.objects.filter(version=1).delete()
    assert past(as_alice, times[1]) == {}  # the first states that are known lay in the trash


@pytest.mark.parametrize("index", range(5))
def test_rewind(as_alice, times, clock, index):
    body = {"to": times[index]}
    before = past(as_alice, clock.now.isoformat())
    planned = as_alice.post(REWIND, {**body, "dry_run": True}, format="json").json()
    assert planned.pop("dry_run") is True
    assert past(as_alice, clock.now.isoformat()) == before
    clock.tick()
    done = as_alice.post(REWIND, body, format="json").json()
    assert done.pop("dry_run") is False
    assert done == planned
    notes = as_alice.get(NOTES).json()["results"]
    told = {note["title"]: (note["content"], note["category"]) for note in notes}
    assert told == {title: state[:2] for title, state in EXPECTED[index].items()}
    # It is a change like any other: what was replaced is in the history, and it can be undone.
    again = as_alice.post(REWIND, body, format="json").json()
    assert again["changes"] == []
    assert [past(as_alice, time) for time in times] == EXPECTED
    clock.tick()
    as_alice.post(REWIND, {"to": times[4]}, format="json")
    notes = as_alice.get(NOTES).json()["results"]
    told = {note["title"]: (note["content"], note["category"]) for note in notes}
    assert told == {title: state[:2] for title, state in EXPECTED[4].items()}


def test_what_a_rewind_lists(as_alice, times):
    told = as_alice.post(REWIND, {"to": times[1], "dry_run": True}, format="json").json()
    listed = [(change["title"], change["effect"], change["version"]) for change in told["changes"]]
    assert listed == [("stays", "restore", 1), ("changes", "update", 1), ("later", "trash", None)]
    assert told["next"] is None


def test_rewind_of_a_category(as_alice, times, clock):
    clock.tick()
    inside = create(as_alice, "inside", category="Work")
    told = as_alice.post(REWIND, {"to": times[1], "category": "Work"}, format="json").json()
    assert [change["title"] for change in told["changes"]] == ["changes", "inside"]
    notes = as_alice.get(NOTES).json()["results"]
    assert {note["title"] for note in notes} == {"changes", "later"}
    assert as_alice.get(f"{NOTES}/{inside}").status_code == 404
    assert as_alice.get(NOTES, {"trashed": "true"}).json()["results"][0]["title"] in (
        "inside",
        "stays",
    )


def test_what_has_left_a_category_comes_back(as_alice, clock):
    pk = create(as_alice, "t", category="Work/Plans")
    other = create(as_alice, "other", category="Home")
    time = clock.tick()
    as_alice.patch(f"{NOTES}/{pk}", {"category": "Home"}, format="json")
    as_alice.patch(f"{NOTES}/{other}", {"content": "x"}, format="json")
    answer = as_alice.post(REWIND, {"to": time, "category": "Work"}, format="json").json()
    assert [change["id"] for change in answer["changes"]] == [pk]
    assert as_alice.get(f"{NOTES}/{pk}").json()["category"] == "Work/Plans"


def page_through(client, body):
    answers = []
    while not answers or answers[-1]["next"]:
        after = answers[-1]["next"] if answers else 0
        answers.append(client.post(REWIND, {**body, "after": after}, format="json").json())
    return [[change["title"] for change in answer["changes"]] for answer in answers]


@pytest.mark.parametrize("dry_run", [True, False])
def test_rewind_in_batches(as_alice, clock, monkeypatch, dry_run):
    monkeypatch.setattr(rewinding, "MAX_NOTES", 2)
    monkeypatch.setattr(rewinding, "WRITE_BATCH_SIZE", 1)
    time = clock.tick()
    for number in range(5):
        create(as_alice, str(number))
    seen = page_through(as_alice, {"to": time, "dry_run": dry_run})
    assert seen == [["0", "1"], ["2", "3"], ["4"]]
    assert Note.objects.live().count() == (5 if dry_run else 0)


def test_rewind_of_long_notes(as_alice, clock, monkeypatch):
    monkeypatch.setattr(rewinding, "MAX_BYTES", 5)
    time = clock.tick()
    for number, content in enumerate(("xxxxxx", "xx", "xxx", "x")):
        create(as_alice, str(number), content=content)
    assert page_through(as_alice, {"to": time}) == [["0"], ["1", "2"], ["3"]]


def test_rewind_looks_at_some_notes_a_call(as_alice, clock, monkeypatch):
    monkeypatch.setattr(rewinding, "SCAN_BATCH_SIZE", 2)
    time = clock.tick()
    for number in range(5):
        create(as_alice, str(number), category="Work" if number == 3 else "")
    body = {"to": time, "category": "Work"}
    assert page_through(as_alice, body) == [[], ["3"], []]


def test_a_note_that_was_not_yet_written_lay_nowhere(as_alice, clock):
    time = clock.tick()
    pk = create(as_alice, "t", category="Work")
    clock.tick()
    as_alice.patch(f"{NOTES}/{pk}", {"category": "Home"}, format="json")
    body = {"to": time, "category": "Work"}
    assert as_alice.post(REWIND, body, format="json").json()["changes"] == []
    assert as_alice.get(f"{NOTES}/{pk}").status_code == 200


@pytest.mark.parametrize(
    "body",
    [{}, {"to": None}, {"to": "3000-01-01T00:00:00Z"}, {"to": "2026-01-01", "category": "//"},
     {"to": "2026-01-01T00:00:00Z", "dry_run": "x"}],
)  # fmt: skip
def test_bad_bodies(as_alice, body):
    assert as_alice.post(REWIND, body, format="json").status_code == 400


def test_a_limited_token_rewinds_its_category_alone(as_alice, alice, times, clock):
    _, secret = tokens.create_token(
        user=alice, password=PASSWORD, name="w", scopes=["notes:write"], category="Work",
        expires_at=None, now=clock.now,
    )  # fmt: skip
    agent = client_of(None)
    agent.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert past(agent, times[2]) == {"changes": ("two", "Work", 2)}
    assert past(agent, times[1]) == {}
    # Then it lay outside of the category, where the token may not put it.
    assert agent.post(REWIND, {"to": times[1]}, format="json").json()["changes"] == []
    (change,) = agent.post(REWIND, {"to": times[2]}, format="json").json()["changes"]
    assert (change["title"], change["effect"]) == ("changes", "update")


def test_another_user_is_not_rewound(as_alice, as_carol, times):
    assert as_carol.post(REWIND, {"to": times[0]}, format="json").json()["changes"] == []
    assert len(as_alice.get(NOTES).json()["results"]) == 2
