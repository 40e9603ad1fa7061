"""Personal access tokens: shown once, kept as a hash, good for what they name."""

import datetime as dt
import itertools

import pytest
from django.core import serializers
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts import categories, personal_tokens
from accounts.callers import Caller
from accounts.models import PersonalAccessToken
from accounts.permissions import HasScope
from notes import access
from notes.models import Note
from tests.conftest import PASSWORD, client_of
from tests.routes import TABLE, walk_views

TOKENS, NOTES, ME = "/api/v1/auth/tokens", "/api/v1/notes", "/api/v1/auth/me"


def body(*scopes, **fields):
    return {"name": "cli", "password": PASSWORD, "scopes": scopes or ["notes:read"], **fields}


def client_with(secret):
    client = client_of(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def made(client, *scopes, **fields):
    answer = client.post(TOKENS, body(*scopes, **fields), format="json")
    assert answer.status_code == 201, answer.content
    return client_with(answer.json()["token"])


class TestForm:
    def test_a_new_one_is_well_formed_and_never_the_same(self):
        found = {personal_tokens.new_token() for _ in range(200)}
        assert len(found) == 200
        assert all(len(token) == 52 and personal_tokens.digest(token) for token in found)

    @given(st.integers(0, 48), st.characters(codec="ascii", categories=["L", "N"]))
    def test_one_wrong_character_is_noticed_without_the_database(self, place, character):
        token = personal_tokens.new_token()
        place += len(personal_tokens.PREFIX)
        wrong = token[:place] + character + token[place + 1 :]
        assert wrong == token or personal_tokens.digest(wrong) is None

    @pytest.mark.parametrize("wrong", ["cn_", "cn_é", "cn_" + "A" * 49, "cn_" + "A" * 100_000])
    def test_nonsense(self, wrong):
        assert personal_tokens.digest(wrong) is None


@pytest.mark.django_db
class TestTokens:
    def test_shown_once_and_kept_as_a_hash(self, as_alice):
        answer = as_alice.post(TOKENS, body("notes:read", "notes:read"), format="json")
        secret = answer.json()["token"]
        assert answer.json()["scopes"] == ["notes:read"]
        assert secret not in serializers.serialize("json", PersonalAccessToken.objects.all())
        (listed,) = as_alice.get(TOKENS).json()["results"]
        assert set(listed) == {
            "id", "name", "scopes", "category", "created_at", "expires_at", "last_used_at"
        }  # fmt: skip

    def test_it_asks_for_the_password(self, as_alice):
        answer = as_alice.post(TOKENS, body(password="wrong"), format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_password")
        assert not PersonalAccessToken.objects.exists()

    @pytest.mark.parametrize(
        "wrong",
        [
            {"scopes": []},
            {"scopes": ["notes:delete"]},
            {"scopes": "notes:read"},
            {"name": ""},
            {"name": "x" * 101},
            {"expires_at": "2001-01-01T00:00:00Z"},
            {"expires_at": "soon"},
            {"category": "//"},
            {"category": "x" * 201},
            {"category": 7},
        ],
    )
    def test_what_is_wrong_is_said(self, as_alice, wrong):
        answer = as_alice.post(TOKENS, {**body(), **wrong}, format="json")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"].partition(".")[0] in wrong

    def test_it_expires(self, as_alice):
        client = made(as_alice, expires_at=timezone.now() + dt.timedelta(days=1))
        assert client.get(NOTES).status_code == 200
        PersonalAccessToken.objects.update(expires_at=timezone.now())
        assert client.get(NOTES).status_code == 401

    def test_deleting_it_ends_it_at_once(self, as_alice):
        client = made(as_alice)
        token = PersonalAccessToken.objects.get()
        assert as_alice.delete(f"{TOKENS}/{token.pk}").status_code == 204
        assert client.get(NOTES).status_code == 401

    def test_last_used_is_noted_once_a_minute(self, as_alice, django_assert_num_queries):
        client = made(as_alice)
        # token JOIN user on the fast path; again; last used; the feed's mark; the notes
        with django_assert_num_queries(5):
            client.get(NOTES)
        assert PersonalAccessToken.objects.get().last_used_at is not None
        # the same without a use to note; and an empty list is looked at on both paths
        with django_assert_num_queries(5):
            client.get(NOTES)

    def test_a_disabled_user_has_no_token(self, as_alice, alice):
        client = made(as_alice)
        alice.is_active = False
        alice.save()
        assert client.get(NOTES).status_code == 401

    def test_a_hundred_and_no_more(self, as_alice, alice):
        PersonalAccessToken.objects.bulk_create(
            PersonalAccessToken(user=alice, name="t", digest=str(n), scopes="notes:read")
            for n in range(100)
        )
        answer = as_alice.post(TOKENS, body(), format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "too_many_tokens")

    def test_what_it_lacks_is_said(self, as_alice):
        answer = made(as_alice).post(NOTES, {"title": "t"}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
        assert 'scope="notes:append"' in answer.headers["WWW-Authenticate"]
        never = made(as_alice, *PersonalAccessToken.Scope).delete(
            ME, {"password": PASSWORD}, format="json"
        )
        assert (never.status_code, never.json()["code"]) == (403, "insufficient_scope")


# What each scope alone can do with the notes.
CAN = {
    "notes:read": {"get"},
    "notes:append": {"post"},
    "notes:write": {"get", "post", "put", "patch", "delete"},
    "account:read": set(),
}


@pytest.mark.django_db
@pytest.mark.parametrize("scope", PersonalAccessToken.Scope)
@pytest.mark.parametrize("verb", ["get", "post", "put", "patch", "delete"])
def test_scopes(alice, as_alice, scope, verb):
    note = Note.objects.create(owner=alice, title="t")
    client = made(as_alice, scope)
    url = NOTES if verb == "post" else f"{NOTES}/{note.pk}"
    answer = getattr(client, verb)(url, {"title": "n", "content": "c"}, format="json")
    assert answer.status_code != 401
    assert (answer.status_code == 403) is (verb not in CAN[scope])
    assert (client.get(ME).status_code == 200) is (scope == "account:read")


def test_every_view_that_reads_tokens_asks_for_scopes():
    for route, view in walk_views():
        if view.cls.authentication_classes:
            assert HasScope in view.cls.permission_classes, route
    assert TABLE


@pytest.mark.django_db
class TestCategory:
    paths = ("", "Work", "Work/Plans", "work", "Workshop", "Private", "Wor", "W%", "W_rk")

    @pytest.fixture
    def notes(self, alice):
        return {
            path: Note.objects.create(owner=alice, title=path, category=path) for path in self.paths
        }

    def test_it_sees_its_category_and_below_alone(self, as_alice, notes):
        client = made(as_alice, "notes:write", category="Work")
        listed = {note["category"] for note in client.get(NOTES).json()["results"]}
        assert listed == {"Work", "Work/Plans"}
        for path, note in notes.items():
            expected = 200 if path in listed else 404
            assert client.get(f"{NOTES}/{note.pk}").status_code == expected
            assert (
                client.put(f"{NOTES}/{note.pk}/title", {"title": "x"}, format="json").status_code
                == expected
            )
            assert client.delete(f"{NOTES}/{note.pk}?permanent=true").status_code in (404, 204)
        assert set(Note.objects.values_list("category", flat=True)) == set(self.paths) - listed

    def test_queries_and_access_agree(self, alice, notes):
        for limit, path in itertools.product(("", *self.paths), self.paths):
            caller = Caller(alice, category=limit)
            visible = Note.objects.visible_to(caller).filter(pk=notes[path].pk).exists()
            assert visible == access.can(caller, "read", notes[path]), (limit, path)

    def test_what_it_writes_lies_there(self, as_alice, notes):
        client = made(as_alice, "notes:write", category="Work")
        made_here = client.post(NOTES, {"title": "t"}, format="json")
        assert (made_here.status_code, made_here.json()["category"]) == (201, "Work")
        below = client.post(NOTES, {"title": "t", "category": "Work/New"}, format="json")
        assert below.status_code == 201
        for category in ("", "Private", "Workshop"):
            elsewhere = client.post(NOTES, {"title": "t", "category": category}, format="json")
            moved = client.patch(
                f"{NOTES}/{notes['Work'].pk}", {"category": category}, format="json"
            )
            assert (elsewhere.status_code, moved.status_code) == (403, 403)
        assert Note.objects.count() == len(self.paths) + 2

    def test_whoever_logs_in_sees_all(self, as_alice, notes):
        assert len(as_alice.get(NOTES).json()["results"]) == len(self.paths)


@pytest.mark.django_db
def test_categories_of_notes(as_alice):
    note = as_alice.post(NOTES, {"title": "t", "category": " Work / Plans "}, format="json").json()
    assert note["category"] == "Work/Plans"
    url = f"{NOTES}/{note['id']}"
    replaced = as_alice.put(url, {"title": "n", "content": ""}, format="json").json()
    assert replaced["category"] == "Work/Plans"
    gone = as_alice.patch(url, {"category": ""}, format="json").json()
    assert (gone["category"], gone["version"]) == ("", 3)
    for wrong in ("/", "//", "..", "a\x01b/c", "x" * 201, 5, "a\u202eb"):
        answer = as_alice.patch(url, {"category": wrong}, format="json")
        assert answer.status_code == 400, wrong


@given(st.text(max_size=60))
def test_parsing_a_category_twice_changes_nothing(text):
    try:
        once = categories.parse(text)
    except categories.InvalidCategory:
        return
    assert categories.parse(once) == once
