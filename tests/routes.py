"""Every route and verb, what every actor gets there, and what to send."""

import base64
import io
import re

from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from accounts.actions import contacts, sessions, tokens
from accounts.callers import Caller
from notes.actions import attachments, saved_searches, uploads
from notes.actions import notes as actions
from notes.files import objects
from notes.models import SavedSearch, StoredObject, Thumbnail
from notes.models.attachments import split
from tests.conftest import PASSWORD
from tests.notes.files import stored

ACTORS = (
    "anonymous",  # sends no token
    "owner",  # is logged in; what a path names by its number or name is theirs
    "stranger",  # is logged in
    "staff",  # is logged in, a member of staff without any permission
    "revoked",  # sends the token of a session that was revoked
    "disabled",  # sends the token of a user who was disabled
    "reader",  # the owner's personal access token that reads notes and account
    "writer",  # the owner's personal access token that reads and writes notes, not the account
    "other's",  # the stranger's personal access token that has every scope
)
PUBLIC = "public"  # the same answer for everybody, tokens are not read

# In every row that is not public these get 401; the rows do not repeat it.
UNAUTHENTICATED = "anonymous revoked disabled"
# Groups that many rows name.
LOGGED_IN = "owner stranger staff"
TOKENS = "reader writer other's"
EVERYBODY = f"{LOGGED_IN} {TOKENS}"
OTHERS = "stranger staff other's"  # who may not know that the owner's thing exists

# Route, verb, status: the actors that get it, by the names in ACTORS.
ROUTES = {
    "auth/register": {"post": PUBLIC},
    "auth/login": {"post": PUBLIC},
    "auth/refresh": {"post": PUBLIC},
    "register": {"post": PUBLIC},
    "login": {"post": PUBLIC},
    "auth/logout": {"post": {204: LOGGED_IN, 403: TOKENS}},
    "auth/logout-all": {"post": {204: LOGGED_IN, 403: TOKENS}},
    "auth/email/verify": {"post": PUBLIC},
    "auth/email/resend": {"post": PUBLIC},
    "auth/email/change": {"post": {202: LOGGED_IN, 403: TOKENS}},
    "auth/password/forgot": {"post": PUBLIC},
    "auth/password/reset": {"post": PUBLIC},
    "auth/password/change": {"post": {200: LOGGED_IN, 403: TOKENS}},
    "auth/sessions": {"get": {200: f"{LOGGED_IN} reader other's", 403: "writer"}},
    "auth/sessions/<int:pk>": {"delete": {204: "owner", 403: TOKENS, 404: "stranger staff"}},
    "auth/2fa": {
        "get": {200: LOGGED_IN, 403: TOKENS},
        "post": {200: LOGGED_IN, 403: TOKENS},
        "delete": {409: LOGGED_IN, 403: TOKENS},
    },
    "auth/2fa/confirm": {"post": {409: LOGGED_IN, 403: TOKENS}},
    "auth/2fa/recovery-codes": {"post": {409: LOGGED_IN, 403: TOKENS}},
    "auth/tokens": {
        "get": {200: f"{LOGGED_IN} reader other's", 403: "writer"},
        "post": {201: LOGGED_IN, 403: TOKENS},
    },
    "auth/tokens/<int:pk>": {"delete": {204: "owner", 403: TOKENS, 404: "stranger staff"}},
    "auth/me": {
        "get": {200: f"{LOGGED_IN} reader other's", 403: "writer"},
        "patch": {200: LOGGED_IN, 403: TOKENS},
        "delete": {204: LOGGED_IN, 403: TOKENS},
    },
    "users": {"post": PUBLIC},
    "users/me": {
        "get": {200: f"{LOGGED_IN} reader other's", 403: "writer"},
        "patch": {200: LOGGED_IN, 403: TOKENS},
        "delete": {204: LOGGED_IN, 403: TOKENS},
    },
    "users/<str:username>": {
        "get": {200: "owner reader", 403: "writer", 404: "stranger staff other's"}
    },
    "auth/me/avatar": {
        "put": {200: LOGGED_IN, 403: TOKENS},
        "delete": {204: LOGGED_IN, 403: TOKENS},
    },
    "contacts": {
        "get": {200: f"{LOGGED_IN} reader other's", 403: "writer"},
        "post": {201: LOGGED_IN, 403: TOKENS},
    },
    "contacts/<int:pk>": {
        "get": {200: "owner reader", 403: "writer", 404: OTHERS},
        "put": {200: "owner", 403: TOKENS, 404: "stranger staff"},
        "patch": {200: "owner", 403: TOKENS, 404: "stranger staff"},
        "delete": {204: "owner", 403: TOKENS, 404: "stranger staff"},
    },
    "contacts/birthdays": {"get": {200: f"{LOGGED_IN} reader other's", 403: "writer"}},
    "contacts/export": {"get": {200: f"{LOGGED_IN} reader other's", 403: "writer"}},
    "contacts/import": {"post": {200: LOGGED_IN, 403: TOKENS}},
    "notes": {
        "get": {200: EVERYBODY},
        "post": {201: f"{LOGGED_IN} writer other's", 403: "reader"},
    },
    "notes/<int:pk>": {
        "get": {200: "owner reader writer", 404: OTHERS},
        "put": {200: "owner writer", 403: "reader", 404: OTHERS},
        "patch": {200: "owner writer", 403: "reader", 404: OTHERS},
        "delete": {204: "owner writer", 403: "reader", 404: OTHERS},
    },
    "items": {
        "get": {200: EVERYBODY},
        "post": {201: f"{LOGGED_IN} writer other's", 403: "reader"},
    },
    "items/<int:pk>": {
        "get": {200: "owner reader writer", 404: OTHERS},
        "put": {200: "owner writer", 403: "reader", 404: OTHERS},
        "patch": {200: "owner writer", 403: "reader", 404: OTHERS},
        "delete": {204: "owner writer", 403: "reader", 404: OTHERS},
    },
    "notes/<int:pk>/restore": {"post": {200: "owner writer", 403: "reader", 404: OTHERS}},
    "notes/<int:pk>/edits": {"post": {200: "owner writer", 403: "reader", 404: OTHERS}},
    "notes/<int:pk>/revisions": {"get": {200: "owner reader writer", 404: OTHERS}},
    "notes/<int:pk>/revisions/<int:version>": {
        "get": {200: "owner reader writer", 404: OTHERS},
        "patch": {200: "owner writer", 403: "reader", 404: OTHERS},
    },
    "notes/<int:pk>/revisions/<int:version>/diff": {
        "get": {200: "owner reader writer", 404: OTHERS},
    },
    "notes/<int:pk>/revisions/<int:version>/restore": {
        "post": {200: "owner writer", 403: "reader", 404: OTHERS},
    },
    "notes/bulk": {"post": {200: f"{LOGGED_IN} writer other's", 403: "reader"}},
    "tags": {"get": {200: EVERYBODY}},
    "tags/<path:name>": {
        "patch": {200: "owner writer", 403: "reader", 404: OTHERS},
        "delete": {204: "owner writer", 403: "reader", 404: OTHERS},
    },
    "categories": {"get": {200: EVERYBODY}},
    "categories/<path:category>": {
        "patch": {200: "owner writer", 403: "reader", 404: OTHERS},
        "delete": {204: "owner writer", 403: "reader", 404: OTHERS},
    },
    "notes/<int:pk>/links": {"get": {200: "owner reader writer", 404: OTHERS}},
    "notes/<int:pk>/related": {"get": {200: "owner reader writer", 404: OTHERS}},
    "searches": {
        "get": {200: EVERYBODY},
        "post": {201: f"{LOGGED_IN} writer other's", 403: "reader"},
    },
    "searches/<int:pk>": {
        "get": {200: "owner reader writer", 404: OTHERS},
        "patch": {200: "owner writer", 403: "reader", 404: OTHERS},
        "delete": {204: "owner writer", 403: "reader", 404: OTHERS},
    },
    "searches/<int:pk>/notes": {"get": {200: "owner reader writer", 404: OTHERS}},
    "search": {"get": {200: EVERYBODY}},
    "sync": {
        "get": {200: EVERYBODY},
        "post": {200: f"{LOGGED_IN} writer other's", 403: "reader"},
    },
    "sync/digest": {"get": {200: EVERYBODY}},
    "rewind": {"post": {200: f"{LOGGED_IN} writer other's", 403: "reader"}},
    "notes/<int:pk>/title": {"put": {200: "owner writer", 403: "reader", 404: OTHERS}},
    "notes/<int:pk>/file": {
        "get": {200: "owner reader writer", 404: OTHERS},
        "put": {200: "owner writer", 403: "reader", 404: OTHERS},
        "delete": {204: "owner writer", 403: "reader", 404: OTHERS},
    },
    "notes/<int:pk>/display": {"get": {200: "owner reader writer", 404: OTHERS}},
    "notes/<int:pk>/attachments": {
        "get": {200: "owner reader writer", 404: OTHERS},
        "post": {201: "owner writer", 403: "reader", 404: OTHERS},
    },
    "notes/<int:pk>/attachments/<int:attachment_id>": {
        "get": {200: "owner reader writer", 404: OTHERS},
        "put": {200: "owner writer", 403: "reader", 404: OTHERS},
        "patch": {200: "owner writer", 403: "reader", 404: OTHERS},
        "delete": {204: "owner writer", 403: "reader", 404: OTHERS},
    },
    "notes/<int:pk>/attachments/<int:attachment_id>/thumbnail": {
        "get": {200: "owner reader writer", 404: OTHERS},
    },
    "notes/<int:pk>/attachments/uploads": {
        "post": {201: "owner writer", 403: "reader", 404: OTHERS},
    },
    "notes/<int:pk>/attachments/uploads/<int:upload_id>": {
        "get": {200: "owner writer", 403: "reader", 404: OTHERS},
        "delete": {204: "owner writer", 403: "reader", 404: OTHERS},
    },
    # No content was sent: 409 for whoever may know of the upload.
    "notes/<int:pk>/attachments/uploads/<int:upload_id>/complete": {
        "post": {409: "owner writer", 403: "reader", 404: OTHERS},
    },
    "notes/<int:pk>/revisions/<int:version>/attachments/<int:attachment_id>": {
        "get": {200: "owner reader writer", 404: OTHERS},
    },
}


def expand(row):
    """Return the status of each actor in a row of ``ROUTES``; ``PUBLIC`` stays as it is.

    Raises ``ValueError`` unless the row states exactly one status for each actor.
    """
    if row == PUBLIC:
        return PUBLIC
    groups = [*row.items(), (401, UNAUTHENTICATED)]
    statuses = [(actor, status) for status, actors in groups for actor in actors.split()]
    if sorted(actor for actor, _ in statuses) != sorted(ACTORS):
        raise ValueError(f"not exactly one status for each actor: {row}")
    return dict(statuses)


# Route and verb: the status of each actor, or PUBLIC.
TABLE = {(route, verb): expand(row) for route, rows in ROUTES.items() for verb, row in rows.items()}

OUTSIDE_THE_API = {
    "openapi.json",
    "docs",
    "redoc",
    "avatars/<str:avatar_id>",
    "files/<str:token>",
    "uploads/<str:token>",
    "account/verify-email",
    "account/reset-password",
    "account/two-factor",
}
# Paths of the first generation that have no prefixed form, and the routes that replaced them.
REPLACED = {"register": "auth/register", "login": "auth/login"}
# Such paths with words of their own.
OWN_WORDS = {"items", "items/<int:pk>", "users", "users/me", "users/<str:username>"}
QUERIES = {"search": "?q=secret"}
FILES = {
    "notes/<int:pk>/file": "file",
    "notes/<int:pk>/attachments": "file",
    "notes/<int:pk>/attachments/<int:attachment_id>": "file",
    "auth/me/avatar": "avatar",
}
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
# By route, and by route and verb where the verbs differ; without the second, DELETE has no body.
BODIES = {
    ("auth/me", "delete"): {"password": PASSWORD},
    ("auth/me", "patch"): {"full_name": "x"},
    ("users/me", "delete"): {"password": PASSWORD},
    ("users/me", "patch"): {"full_name": "x"},
    "items": {"title": "t"},
    "items/<int:pk>": {"title": "t", "description": "d"},
    "auth/email/change": {"password": PASSWORD, "email": "new@example.org"},
    "auth/password/change": {"password": PASSWORD, "new_password": "another long one"},
    ("auth/2fa", "post"): {"password": PASSWORD},
    ("auth/2fa", "delete"): {"password": PASSWORD, "code": "123456"},
    "auth/2fa/confirm": {"code": "123456"},
    "auth/2fa/recovery-codes": {"password": PASSWORD, "code": "123456"},
    "auth/tokens": {"password": PASSWORD, "name": "t", "scopes": ["notes:read"]},
    "contacts": {"first_name": "f"},
    "contacts/<int:pk>": {"first_name": "f"},
    "contacts/import": b"BEGIN:VCARD\nVERSION:4.0\nFN:f\nEND:VCARD\n",
    "notes": {"title": "t"},
    "notes/<int:pk>": {"title": "t", "content": "c"},
    "notes/<int:pk>/title": {"title": "t"},
    "notes/<int:pk>/edits": {"op": "append", "text": "t"},
    "notes/<int:pk>/revisions/<int:version>": {"pinned": True},
    "notes/bulk": {"op": "archive", "ids": [1]},
    "tags/<path:name>": {"name": "t"},
    "categories/<path:category>": {"category": "t"},
    "sync": {"changes": [{"op": "create", "title": "t"}]},
    "searches": {"name": "t", "query": "t"},
    "searches/<int:pk>": {"query": "t"},
    "notes/<int:pk>/attachments/<int:attachment_id>": {"name": "n"},
    "notes/<int:pk>/attachments/uploads": {"name": "n", "size": 1, "sha256": "0" * 64},
    "rewind": {"to": "2026-01-01T00:00:00Z", "dry_run": True},
}


def body_of(route, verb):
    """Return what to send, None for nothing."""
    if (route, verb) in BODIES:
        return BODIES[route, verb]
    return None if verb in ("get", "delete") else BODIES.get(route)


def prefix_of(route, prefix="/api/v1/"):
    """Return a prefix, or the only one that the route has."""
    return "/" if route in REPLACED or route in OWN_WORDS else prefix


def walk_views():
    """Yield route and view of every pattern outside the admin, prefixes taken off."""

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
        if route not in OUTSIDE_THE_API:
            yield route, view


def make_note(owner):
    now = timezone.now()
    note = actions.create_note(title="secret", content="", by=Caller(owner), now=now)
    actions.update_note(note=note, changes={"title": "still secret"}, by=Caller(owner), now=now)
    row = stored(GIF)
    about = {"note": note, "name": "secret.gif", "by": Caller(owner), "now": now}
    note, _ = attachments.store_main_file(**about, stored=row)
    return note


def path_to(route, thing):
    """Return a route with the numbers of a thing, and of what a note has, in it."""
    path = re.sub("<path:[a-z]+>", "secret", route.replace("<int:pk>", str(thing.pk)))
    path = path.replace("<str:username>", str(thing.pk))
    if "<int:upload_id>" in path:
        about = {"note": thing, "name": "secret", "by": Caller(thing.owner), "now": timezone.now()}
        upload = uploads.begin(**about, size=1, sha256="0" * 64)
        path = path.replace("<int:upload_id>", str(upload.pk))
    if "<int:attachment_id>" in path:
        file = split(thing.files)[0]
        path = path.replace("<int:attachment_id>", str(file.id)).replace("<int:version>", "3")
    if route.endswith("/thumbnail") and not Thumbnail.objects.filter(source=file.object).exists():
        key = objects.store(content=io.BytesIO(b"secret"), content_type="image/webp")
        about = {"source_id": file.object, "object": StoredObject.objects.get(key=key)}
        Thumbnail.objects.create(**about, size=320)
    return path.replace("<int:version>", "1")


def make_session(owner):
    return sessions.open_session(user=owner, user_agent="secret", address="", now=timezone.now())


def make_token(owner, *scopes):
    return tokens.create_token(
        user=owner,
        password=PASSWORD,
        name="secret",
        scopes=list(scopes) or ["notes:read"],
        category="",
        expires_at=None,
        now=timezone.now(),
    )


def make_contact(owner):
    fields = {"email": "secret@example.org"}
    return contacts.create_contact(owner=owner, fields=fields, now=timezone.now())


def make_filed_note(owner):
    about = {"title": "t", "content": "", "category": "secret", "tags": "secret"}
    return actions.create_note(**about, by=Caller(owner), now=timezone.now())


def make_search(owner):
    name = f"secret {SavedSearch.objects.count()}"
    now = timezone.now()
    return saved_searches.save_search(name=name, query="secret", by=Caller(owner), now=now)


MAKE = {
    "searches": make_search,
    "categories": make_filed_note,
    "tags": make_filed_note,
    "contacts": make_contact,
    "notes": make_note,
    "items": make_note,
    "users": lambda owner: owner,
    "auth/sessions": make_session,
    "auth/tokens": lambda owner: make_token(owner)[0],
}
