"""Every route and verb as every actor. A route that the table lacks fails the build."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import Resolver404, resolve
from django.utils import timezone

from accounts.actions import avatars
from accounts.models import PersonalAccessToken, Session, User
from cloudnotes.fastpath import dispatch
from tests.conftest import client_of, make_user
from tests.routes import (
    ACTORS,
    BODIES,
    FILES,
    GIF,
    MAKE,
    OWN_WORDS,
    PUBLIC,
    QUERIES,
    REPLACED,
    TABLE,
    body_of,
    expand,
    make_token,
    path_to,
    prefix_of,
    walk_views,
)


def routes():
    """Yield every route and verb."""
    for route, view in walk_views():
        verbs = getattr(view, "actions", None) or {
            name: None
            for name in ("get", "post", "put", "patch", "delete")
            if hasattr(view.cls, name)
        }
        for verb in set(verbs) - {"head", "options"}:
            yield route, verb


def test_every_route_is_in_the_table_and_the_table_has_no_other():
    assert set(routes()) == set(TABLE)


@pytest.mark.parametrize(
    "row",
    [
        {200: "owner reader writer", 404: "stranger staff"},
        {200: "owner reader writer", 403: "writer", 404: "stranger staff other's"},
        {200: "owner owner reader writer", 404: "stranger staff other's"},
        {200: "owner reader writer anonymous", 404: "stranger staff other's"},
        {200: "owner reader writer", 404: "stranger staff other's nobody"},
        {},
    ],
)
def test_a_row_states_exactly_one_status_for_each_actor(row):
    with pytest.raises(ValueError, match="exactly one status"):
        expand(row)


def test_unprefixed_paths_call_the_same_views_as_prefixed_ones():
    for route in {route for route, _ in walk_views()} - {*REPLACED, *OWN_WORDS}:
        path = re.sub("<path:[a-z]+>", "a/b", re.sub("<int:[a-z_]+>", "7", route))
        prefixed, unprefixed = resolve(f"/api/v1/{path}"), resolve(f"/{path}")
        assert (prefixed.route, unprefixed.route) == (f"api/v1/{route}", route)
        assert prefixed.kwargs == unprefixed.kwargs
        if route == "notes":  # without a prefix, it has a plain list too
            assert issubclass(unprefixed.func.cls, prefixed.func.cls)
            assert unprefixed.func.actions == prefixed.func.actions
        else:
            # One function: its class, its actions and its initkwargs are the same too.
            assert prefixed.func is unprefixed.func, route


def test_paths_without_a_prefixed_form_call_views_that_have_another_path():
    for route, other_route in REPLACED.items():
        view, other_view = resolve(f"/{route}").func, resolve(f"/api/v1/{other_route}").func
        assert view.cls is other_view.cls
        assert view.initkwargs == other_view.initkwargs
        assert getattr(view, "actions", None) == getattr(other_view, "actions", None)
    for route in {*REPLACED, *OWN_WORDS}:
        with pytest.raises(Resolver404):
            resolve(f"/api/v1/{route}".replace("<int:pk>", "7"))


@pytest.fixture(scope="module")
def handler():
    """Return a handler for all clients: each loads the middleware."""
    return client_of(None).handler


@pytest.fixture
def actors(db, handler):
    people = {
        "owner": make_user("alice"),
        "stranger": make_user("carol"),
        "staff": make_user("sam", is_staff=True),
        "revoked": make_user("rita"),
        "disabled": make_user("dora"),
    }
    clients = {name: client_of(user) for name, user in people.items()}
    clients["anonymous"] = client_of(None)
    for name, user, scopes in (
        ("reader", people["owner"], ["notes:read", "account:read"]),
        ("writer", people["owner"], ["notes:write"]),
        ("other's", people["stranger"], list(PersonalAccessToken.Scope)),
    ):
        clients[name] = client_of(None)
        _, secret = make_token(user, *scopes)
        clients[name].credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    Session.objects.filter(user=people["revoked"]).update(
        revoked_at=timezone.now(), revoked_reason="logout"
    )
    User.objects.filter(pk=people["disabled"].pk).update(is_active=False)
    for client in clients.values():
        client.handler = handler
    return people["owner"], clients


ROWS = [key for key in TABLE if TABLE[key] != PUBLIC]
DISPATCHER = dispatch.sync_transport(lambda *_: ()).dispatcher
# The fast path answers some prefixed requests. Unprefixed, Django's views answer them.
ANSWERED_BY_BOTH_ROADS = [
    (route, verb)
    for route, verb in ROWS
    if DISPATCHER.find(verb.upper(), "/api/v1/" + route.replace("<int:pk>", "1"))
]
# Of each kind of route one: collections and single rows, class views and view sets, names and
# several numbers in the path, files in and out.
KINDS = [
    ("auth/logout", "post"),
    ("auth/me", "delete"),
    ("auth/me/avatar", "put"),
    ("auth/tokens/<int:pk>", "delete"),
    ("contacts", "get"),
    ("contacts/<int:pk>", "patch"),
    ("contacts/import", "post"),
    ("notes/<int:pk>/restore", "post"),
    ("notes/<int:pk>/revisions/<int:version>", "get"),
    ("notes/<int:pk>/attachments", "post"),
    ("notes/<int:pk>/attachments/<int:attachment_id>", "get"),
    ("sync", "post"),
    ("tags/<path:name>", "delete"),
]


def test_some_rows_are_answered_by_both_roads():
    assert {("notes", "get"), ("notes", "post"), ("search", "get")} <= set(ANSWERED_BY_BOTH_ROADS)


@pytest.mark.parametrize(
    ("prefix", "route", "verb"),
    [(prefix_of(key[0]), *key) for key in ROWS]
    + [("/", *key) for key in dict.fromkeys(ANSWERED_BY_BOTH_ROADS + KINDS)],
)
def test_the_table(actors, prefix, route, verb):
    owner, clients = actors
    if route.startswith("auth/me"):
        for user in User.objects.all():
            avatars.set_avatar(user=user, images={256: b"picture"})
    url, thing = prefix + route + QUERIES.get(route, ""), None
    # From the last to the first: what an owner may do ends their tokens.
    for actor in reversed(ACTORS):
        expected = TABLE[route, verb][actor]
        if "<" in route and thing is None:
            thing = MAKE[route.partition("/<")[0]](owner)
            before = type(thing).objects.filter(pk=thing.pk).values().get()
            url = prefix + path_to(route, thing)
        if route in FILES and verb in ("put", "post"):
            file = SimpleUploadedFile("g.gif", GIF)
            send = getattr(clients[actor], verb)
            response = send(url, {FILES[route]: file}, format="multipart")
        elif route == "contacts/import":
            response = clients[actor].post(url, BODIES[route], content_type="text/vcard")
        else:
            body = body_of(route, verb)
            if route == "searches" and body:
                body = {**body, "name": actor}  # of which there is one a name
            response = getattr(clients[actor], verb)(url, body, format="json")
        assert response.status_code == expected, (actor, verb, url)
        if expected >= 400 and "<" in route:
            assert b"secret" not in response.content
            assert type(thing).objects.filter(pk=thing.pk).values().get() == before
        if expected >= 400:
            assert response.headers["Content-Type"] == "application/problem+json"
        else:
            thing = None  # the request may have changed it: the next actor gets a new one


@pytest.mark.parametrize("route", [key[0] for key in TABLE if TABLE[key] == PUBLIC])
def test_public_routes_do_not_read_tokens(actors, route):
    prefix = prefix_of(route)
    for client in actors[1].values():
        response = client.post(prefix + route, {}, format="json")
        assert response.status_code == 400
