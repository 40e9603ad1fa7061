"""The tree of categories: counts, move, merge and delete, a whole subtree at once."""

import pytest

from accounts import categories
from notes.models import Change, Note, Revision
from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db
NOTES, CATEGORIES = "/api/v1/notes", "/api/v1/categories"


def create(client, category, **fields):
    sent = {"title": "t", "category": category, **fields}
    return client.post(NOTES, sent, format="json").json()["id"]


def filed():
    return dict(Note.objects.values_list("pk", "category"))


def move(client, category, to):
    return client.patch(f"{CATEGORIES}/{category}", {"category": to}, format="json")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("Work/Plans", "Work/Plans"),
        ("/Work//Plans/", "Work/Plans"),
        (" Work / Plans ", "Work/Plans"),
        ("../Work/./Plans/..", "Work/Plans"),
        ("...", "..."),
    ],
)
def test_a_category_is_a_clean_path(as_alice, sent, kept):
    create(as_alice, sent)
    assert Note.objects.get().category == categories.parse(sent) == kept


@pytest.mark.parametrize("text", ["/", "//", "..", "../.", " / ", "x" * 201, "a\x01", "a\u202eb"])
def test_what_is_no_category(as_alice, text):
    answer = as_alice.post(NOTES, {"title": "t", "category": text}, format="json")
    assert answer.status_code == 400
    limited = {"name": "t", "password": PASSWORD, "scopes": ["notes:read"], "category": text}
    assert as_alice.post("/api/v1/auth/tokens", limited, format="json").status_code == 400


def test_the_tree(as_alice, as_carol):
    for category in ("Work/Plans/2026", "Work", "Work", "Home", "", "Workshop"):
        create(as_alice, category)
    as_alice.delete(f"{NOTES}/{create(as_alice, 'Trash')}")
    create(as_carol, "Hers")
    answer = as_alice.get(CATEGORIES).json()
    leaf = {"name": "2026", "category": "Work/Plans/2026", "notes": 1, "total": 1, "below": []}
    plans = {"name": "Plans", "category": "Work/Plans", "notes": 0, "total": 1, "below": [leaf]}
    assert answer == {
        "results": [
            {"name": "Home", "category": "Home", "notes": 1, "total": 1, "below": []},
            {"name": "Work", "category": "Work", "notes": 2, "total": 3, "below": [plans]},
            {"name": "Workshop", "category": "Workshop", "notes": 1, "total": 1, "below": []},
        ],
        "uncategorized": 1,
    }


def test_move_takes_the_subtree(as_alice, as_carol):
    top, below, trashed = (create(as_alice, each) for each in ("Work", "Work/Plans", "Work"))
    other, hers = create(as_alice, "Workshop"), create(as_carol, "Work")
    as_alice.delete(f"{NOTES}/{trashed}")
    cursor = as_alice.get("/api/v1/sync").json()["cursor"]
    answer = move(as_alice, "Work", "Old/Jobs/")
    assert (answer.status_code, answer.json()) == (200, {"category": "Old/Jobs", "notes": 3})
    assert filed() == {
        top: "Old/Jobs", below: "Old/Jobs/Plans", trashed: "Old/Jobs",
        other: "Workshop", hers: "Work",
    }  # fmt: skip
    told = as_alice.get(f"/api/v1/sync?cursor={cursor}").json()["changes"]
    assert [change["id"] for change in told] == [top, below, trashed]
    assert [change["seq"] for change in told] == [6, 7, 8]
    note = as_alice.get(f"{NOTES}/{below}").json()
    assert (note["version"], note["category"]) == (2, "Old/Jobs/Plans")
    kept = as_alice.get(f"{NOTES}/{below}/revisions/1").json()
    assert (kept["category"], kept["cause"]) == ("Work/Plans", "create")
    assert as_alice.get(f"{NOTES}/{below}/revisions/2").json()["replaced_at"] is None
    assert Revision.objects.filter(note__owner__username="alice").count() == 4


def test_merge_and_the_top(as_alice):
    a, ab, b = (create(as_alice, each) for each in ("A", "A/x", "B"))
    assert move(as_alice, "A", "B").json()["notes"] == 2
    assert filed() == {a: "B", ab: "B/x", b: "B"}
    assert move(as_alice, "B", "").json()["notes"] == 3
    assert filed() == {a: "", ab: "x", b: ""}
    assert move(as_alice, "x", "x/x/y").json()["notes"] == 1
    assert filed()[ab] == "x/x/y"
    versions = dict(Note.objects.values_list("pk", "version"))
    assert move(as_alice, "x", "x").json()["notes"] == 0
    assert dict(Note.objects.values_list("pk", "version")) == versions


def test_delete_moves_up(as_alice):
    inner, below, other = (create(as_alice, each) for each in ("A/b", "A/b/c", "A"))
    assert as_alice.delete(f"{CATEGORIES}/A/b").status_code == 204
    assert filed() == {inner: "A", below: "A/c", other: "A"}
    assert as_alice.delete(f"{CATEGORIES}/A/b").status_code == 404
    assert as_alice.delete(f"{CATEGORIES}/A?notes=up").status_code == 204
    assert filed() == {inner: "", below: "c", other: ""}


def test_delete_moves_to_the_trash(as_alice):
    inner, below, other = (create(as_alice, each) for each in ("A/b", "A/b/c", "A"))
    assert as_alice.delete(f"{CATEGORIES}/A/b?notes=trash").status_code == 204
    trashed = as_alice.get(f"{NOTES}?trashed=true").json()["results"]
    assert {note["id"] for note in trashed} == {inner, below}
    assert as_alice.get(f"{NOTES}/{other}").json()["version"] == 1
    assert as_alice.post(f"{NOTES}/{inner}/restore").json()["category"] == "A/b"
    assert as_alice.delete(f"{CATEGORIES}/A?notes=burn").status_code == 400


def test_what_is_not_there_or_too_long(as_alice, as_carol):
    pk = create(as_alice, "A/" + "b" * 150)
    create(as_carol, "Hers")
    for path in ("Hers", "B", "..", "%20", "a" * 300, "A/%01"):
        assert move(as_alice, path, "X").status_code == 404, path
        assert as_alice.delete(f"{CATEGORIES}/{path}").status_code == 404
    answer = move(as_alice, "A", "x" * 60)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "max_length")
    assert move(as_alice, "A", "x" * 201).status_code == 400
    assert filed()[pk].startswith("A/")


def test_very_many_in_one_call(as_alice, alice, django_assert_max_num_queries):
    Note.objects.bulk_create(
        Note(owner=alice, title=f"{number}", category="Many" if number % 2 else "Many/more")
        for number in range(2500)
    )
    with django_assert_max_num_queries(40):
        assert move(as_alice, "Many", "Moved").json()["notes"] == 2500
    assert Note.objects.filter(category="Moved/more", version=2).count() == 1250
    assert Revision.objects.count() == 2500
    numbers = Change.objects.order_by("note").values_list("seq", flat=True)
    assert list(numbers) == list(range(1, 2501))


def test_a_token_of_a_category_moves_within_it(as_alice, alice):
    inside, outside = create(as_alice, "Work/a"), create(as_alice, "Home/a")
    sent = {"name": "t", "password": PASSWORD, "scopes": ["notes:write"], "category": "Work"}
    token = as_alice.post("/api/v1/auth/tokens", sent, format="json").json()["token"]
    limited = client_of(None)
    limited.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert [each["category"] for each in limited.get(CATEGORIES).json()["results"]] == ["Work"]
    assert move(limited, "Work/a", "Home").status_code == 403
    assert move(limited, "Home/a", "Work/x").status_code == 404
    assert limited.delete(f"{CATEGORIES}/Work").status_code == 403
    assert move(limited, "Work/a", "Work/b").status_code == 200
    assert filed() == {inside: "Work/b", outside: "Home/a"}
