"""Every route and verb as every actor. A route that the table lacks fails the build."""

import base64

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from accounts.actions import avatars
from accounts.models import Session, User
from notes.actions import attachments
from notes.actions import notes as actions
from tests.conftest import PASSWORD, client_of, make_user

ACTORS = ("anonymous", "owner", "stranger", "staff", "revoked", "disabled")
PUBLIC = "public"  # the same answer for everybody, tokens are not read

# Route and verb: what anonymous, owner, stranger, staff without permission, a revoked session's
# token and a disabled user's token get. Owner rows change things: the note is made anew each time.
TABLE = {
    ("auth/register", "post"): PUBLIC,
    ("auth/login", "post"): PUBLIC,
    ("auth/refresh", "post"): PUBLIC,
    ("register", "post"): PUBLIC,
    ("login", "post"): PUBLIC,
    ("auth/logout", "post"): (401, 204, 204, 204, 401, 401),
    ("auth/logout-all", "post"): (401, 204, 204, 204, 401, 401),
    ("auth/me", "get"): (401, 200, 200, 200, 401, 401),
    ("auth/me", "patch"): (401, 200, 200, 200, 401, 401),
    ("auth/me", "delete"): (401, 204, 204, 204, 401, 401),
    ("auth/me/avatar", "put"): (401, 200, 200, 200, 401, 401),
    ("auth/me/avatar", "delete"): (401, 204, 204, 204, 401, 401),
    ("notes", "get"): (401, 200, 200, 200, 401, 401),
    ("notes", "post"): (401, 201, 201, 201, 401, 401),
    ("notes/<int:pk>", "get"): (401, 200, 404, 404, 401, 401),
    ("notes/<int:pk>", "put"): (401, 200, 404, 404, 401, 401),
    ("notes/<int:pk>", "patch"): (401, 200, 404, 404, 401, 401),
    ("notes/<int:pk>", "delete"): (401, 204, 404, 404, 401, 401),
    ("notes/<int:pk>/title", "put"): (401, 200, 404, 404, 401, 401),
    ("notes/<int:pk>/file", "get"): (401, 302, 404, 404, 401, 401),
    ("notes/<int:pk>/file", "put"): (401, 200, 404, 404, 401, 401),
    ("notes/<int:pk>/file", "delete"): (401, 204, 404, 404, 401, 401),
}
OUTSIDE_THE_API = {"openapi.json", "docs", "redoc", "avatars/<str:avatar_id>", "files/<str:token>"}
FILES = {"notes/<int:pk>/file": "file", "auth/me/avatar": "avatar"}
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
BODIES = {
    "auth/me": {"password": PASSWORD, "full_name": "x"},
    "notes": {"title": "t"},
    "notes/<int:pk>": {"title": "t", "content": "c"},
    "notes/<int:pk>/title": {"title": "t"},
}


def routes():
    """Yield the route and verb of every pattern outside the admin, prefixes taken off."""

    def walk(patterns, prefix):
        for entry in patterns:
            path = prefix + str(entry.pattern)
            if isinstance(entry, URLResolver):
                if path != "admin/":
                    yield from walk(entry.url_patterns, path)
            elif isinstance(entry, URLPattern):
                yield path, entry.callback

    for path, view in walk(get_resolver().url_patterns, ""):
        route = path.removeprefix("api/v1/")
        if route in OUTSIDE_THE_API:
            continue
        verbs = getattr(view, "actions", None) or {
            name: None
            for name in ("get", "post", "put", "patch", "delete")
            if hasattr(view.cls, name)
        }
        for verb in set(verbs) - {"head", "options"}:
            yield route, verb


def test_every_route_is_in_the_table_and_the_table_has_no_other():
    assert set(routes()) == set(TABLE)


@pytest.fixture
def actors(db):
    people = {
        "owner": make_user("alice"),
        "stranger": make_user("carol"),
        "staff": make_user("sam", is_staff=True),
        "revoked": make_user("rita"),
        "disabled": make_user("dora"),
    }
    clients = {name: client_of(user) for name, user in people.items()}
    clients["anonymous"] = client_of(None)
    Session.objects.filter(user=people["revoked"]).update(
        revoked_at=timezone.now(), revoked_reason="logout"
    )
    User.objects.filter(pk=people["disabled"].pk).update(is_active=False)
    for user in people.values():
        avatars.set_avatar(user=user, images={256: b"picture"})
    return people["owner"], clients


@pytest.mark.parametrize(("route", "verb"), [key for key in TABLE if TABLE[key] != PUBLIC])
@pytest.mark.parametrize("prefix", ["/api/v1/", "/"])
def test_the_table(actors, route, verb, prefix):
    owner, clients = actors
    for actor, expected in zip(ACTORS, TABLE[route, verb], strict=True):
        url = prefix + route
        if "<" in route:
            now = timezone.now()
            note = actions.create_note(title="secret", content="", by=owner, now=now)
            upload = SimpleUploadedFile("f.txt", b"secret")
            attachments.store_file(note=note, name="f.txt", content=upload, by=owner, now=now)
            url = prefix + route.replace("<int:pk>", str(note.pk))
        if route in FILES and verb == "put":
            file = SimpleUploadedFile("g.gif", GIF)
            response = clients[actor].put(url, {FILES[route]: file}, format="multipart")
        else:
            response = getattr(clients[actor], verb)(url, BODIES.get(route), format="json")
        assert response.status_code == expected, (actor, verb, url)
        if actor != "owner" and "<" in route:
            assert b"secret" not in response.content
            note.refresh_from_db()
            assert (note.title, note.version) == ("secret", 2)
        if expected >= 400:
            assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("route", [key[0] for key in TABLE if TABLE[key] == PUBLIC])
def test_public_routes_do_not_read_tokens(actors, route):
    for client in actors[1].values():
        response = client.post(f"/{route}", {}, format="json")
        assert response.status_code == 400
