"""Every route and verb, what every actor gets there, and what to send."""

import base64
import io
import re

from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from accounts.actions import contacts, sessions, tokens
from notes.actions import attachments, objects, saved_searches, uploads
from notes.actions import notes as actions
from notes.models import SavedSearch, StoredObject, Thumbnail
from notes.models.attachments import split
from tests.conftest import PASSWORD
from tests.notes.files import stored

ACTORS = (
    "anonymous", "owner", "stranger", "staff", "revoked", "disabled", "reader", "writer", "other's"
)  # fmt: skip
PUBLIC = "public"  # the same answer for everybody, tokens are not read

FILES_OF = "notes/<int:pk>/attachments"
THUMBNAIL = f"{FILES_OF}/<int:attachment_id>/thumbnail"
COMPLETE = f"{FILES_OF}/uploads/<int:upload_id>/complete"
KEPT_FILE = "notes/<int:pk>/revisions/<int:version>/attachments/<int:attachment_id>"

# Route and verb: what anonymous, owner, stranger, staff without permission, a revoked session's
# token and a disabled user's token get; then the owner's personal access tokens, one that reads
# notes and account and one that writes notes, and a stranger's that may do all a token can. Owner
# rows change things: what a route is about is made anew each time.
TABLE = {
    ("auth/register", "post"): PUBLIC,
    ("auth/login", "post"): PUBLIC,
    ("auth/refresh", "post"): PUBLIC,
    ("register", "post"): PUBLIC,
    ("login", "post"): PUBLIC,
    ("auth/logout", "post"): (401, 204, 204, 204, 401, 401, 403, 403, 403),
    ("auth/logout-all", "post"): (401, 204, 204, 204, 401, 401, 403, 403, 403),
    ("auth/email/verify", "post"): PUBLIC,
    ("auth/email/resend", "post"): PUBLIC,
    ("auth/email/change", "post"): (401, 202, 202, 202, 401, 401, 403, 403, 403),
    ("auth/password/forgot", "post"): PUBLIC,
    ("auth/password/reset", "post"): PUBLIC,
    ("auth/password/change", "post"): (401, 200, 200, 200, 401, 401, 403, 403, 403),
    ("auth/sessions", "get"): (401, 200, 200, 200, 401, 401, 200, 403, 200),
    ("auth/sessions/<int:pk>", "delete"): (401, 204, 404, 404, 401, 401, 403, 403, 403),
    ("auth/2fa", "get"): (401, 200, 200, 200, 401, 401, 403, 403, 403),
    ("auth/2fa", "post"): (401, 200, 200, 200, 401, 401, 403, 403, 403),
    ("auth/2fa", "delete"): (401, 409, 409, 409, 401, 401, 403, 403, 403),
    ("auth/2fa/confirm", "post"): (401, 409, 409, 409, 401, 401, 403, 403, 403),
    ("auth/2fa/recovery-codes", "post"): (401, 409, 409, 409, 401, 401, 403, 403, 403),
    ("auth/tokens", "get"): (401, 200, 200, 200, 401, 401, 200, 403, 200),
    ("auth/tokens", "post"): (401, 201, 201, 201, 401, 401, 403, 403, 403),
    ("auth/tokens/<int:pk>", "delete"): (401, 204, 404, 404, 401, 401, 403, 403, 403),
    ("auth/me", "get"): (401, 200, 200, 200, 401, 401, 200, 403, 200),
    ("auth/me", "patch"): (401, 200, 200, 200, 401, 401, 403, 403, 403),
    ("auth/me", "delete"): (401, 204, 204, 204, 401, 401, 403, 403, 403),
    ("auth/me/avatar", "put"): (401, 200, 200, 200, 401, 401, 403, 403, 403),
    ("auth/me/avatar", "delete"): (401, 204, 204, 204, 401, 401, 403, 403, 403),
    ("contacts", "get"): (401, 200, 200, 200, 401, 401, 200, 403, 200),
    ("contacts", "post"): (401, 201, 201, 201, 401, 401, 403, 403, 403),
    ("contacts/<int:pk>", "get"): (401, 200, 404, 404, 401, 401, 200, 403, 404),
    ("contacts/<int:pk>", "put"): (401, 200, 404, 404, 401, 401, 403, 403, 403),
    ("contacts/<int:pk>", "patch"): (401, 200, 404, 404, 401, 401, 403, 403, 403),
    ("contacts/<int:pk>", "delete"): (401, 204, 404, 404, 401, 401, 403, 403, 403),
    ("contacts/birthdays", "get"): (401, 200, 200, 200, 401, 401, 200, 403, 200),
    ("contacts/export", "get"): (401, 200, 200, 200, 401, 401, 200, 403, 200),
    ("contacts/import", "post"): (401, 200, 200, 200, 401, 401, 403, 403, 403),
    ("notes", "get"): (401, 200, 200, 200, 401, 401, 200, 200, 200),
    ("notes", "post"): (401, 201, 201, 201, 401, 401, 403, 201, 201),
    ("notes/<int:pk>", "get"): (401, 200, 404, 404, 401, 401, 200, 200, 404),
    ("notes/<int:pk>", "put"): (401, 200, 404, 404, 401, 401, 403, 200, 404),
    ("notes/<int:pk>", "patch"): (401, 200, 404, 404, 401, 401, 403, 200, 404),
    ("notes/<int:pk>", "delete"): (401, 204, 404, 404, 401, 401, 403, 204, 404),
    ("notes/<int:pk>/restore", "post"): (401, 200, 404, 404, 401, 401, 403, 200, 404),
    ("notes/<int:pk>/edits", "post"): (401, 200, 404, 404, 401, 401, 403, 200, 404),
    ("notes/<int:pk>/revisions", "get"): (401, 200, 404, 404, 401, 401, 200, 200, 404),
    ("notes/<int:pk>/revisions/<int:version>", "get"): (
        401,
        200,
        404,
        404,
        401,
        401,
        200,
        200,
        404,
    ),
    ("notes/<int:pk>/revisions/<int:version>", "patch"): (
        401,
        200,
        404,
        404,
        401,
        401,
        403,
        200,
        404,
    ),
    ("notes/<int:pk>/revisions/<int:version>/diff", "get"): (
        401,
        200,
        404,
        404,
        401,
        401,
        200,
        200,
        404,
    ),
    ("notes/<int:pk>/revisions/<int:version>/restore", "post"): (
        401,
        200,
        404,
        404,
        401,
        401,
        403,
        200,
        404,
    ),
    ("notes/bulk", "post"): (401, 200, 200, 200, 401, 401, 403, 200, 200),
    ("tags", "get"): (401, 200, 200, 200, 401, 401, 200, 200, 200),
    ("tags/<path:name>", "patch"): (401, 200, 404, 404, 401, 401, 403, 200, 404),
    ("tags/<path:name>", "delete"): (401, 204, 404, 404, 401, 401, 403, 204, 404),
    ("categories", "get"): (401, 200, 200, 200, 401, 401, 200, 200, 200),
    ("categories/<path:category>", "patch"): (401, 200, 404, 404, 401, 401, 403, 200, 404),
    ("categories/<path:category>", "delete"): (401, 204, 404, 404, 401, 401, 403, 204, 404),
    ("notes/<int:pk>/links", "get"): (401, 200, 404, 404, 401, 401, 200, 200, 404),
    ("notes/<int:pk>/related", "get"): (401, 200, 404, 404, 401, 401, 200, 200, 404),
    ("searches", "get"): (401, 200, 200, 200, 401, 401, 200, 200, 200),
    ("searches", "post"): (401, 201, 201, 201, 401, 401, 403, 201, 201),
    ("searches/<int:pk>", "get"): (401, 200, 404, 404, 401, 401, 200, 200, 404),
    ("searches/<int:pk>", "patch"): (401, 200, 404, 404, 401, 401, 403, 200, 404),
    ("searches/<int:pk>", "delete"): (401, 204, 404, 404, 401, 401, 403, 204, 404),
    ("searches/<int:pk>/notes", "get"): (401, 200, 404, 404, 401, 401, 200, 200, 404),
    ("search", "get"): (401, 200, 200, 200, 401, 401, 200, 200, 200),
    ("sync", "get"): (401, 200, 200, 200, 401, 401, 200, 200, 200),
    ("sync", "post"): (401, 200, 200, 200, 401, 401, 403, 200, 200),
    ("sync/digest", "get"): (401, 200, 200, 200, 401, 401, 200, 200, 200),
    ("rewind", "post"): (401, 200, 200, 200, 401, 401, 403, 200, 200),
    ("notes/<int:pk>/title", "put"): (401, 200, 404, 404, 401, 401, 403, 200, 404),
    ("notes/<int:pk>/file", "get"): (401, 200, 404, 404, 401, 401, 200, 200, 404),
    ("notes/<int:pk>/file", "put"): (401, 200, 404, 404, 401, 401, 403, 200, 404),
    ("notes/<int:pk>/file", "delete"): (401, 204, 404, 404, 401, 401, 403, 204, 404),
    ("notes/<int:pk>/display", "get"): (401, 200, 404, 404, 401, 401, 200, 200, 404),
    (FILES_OF, "get"): (401, 200, 404, 404, 401, 401, 200, 200, 404),
    (FILES_OF, "post"): (401, 201, 404, 404, 401, 401, 403, 201, 404),
    (f"{FILES_OF}/<int:attachment_id>", "get"): (401, 200, 404, 404, 401, 401, 200, 200, 404),
    (f"{FILES_OF}/<int:attachment_id>", "put"): (401, 200, 404, 404, 401, 401, 403, 200, 404),
    (f"{FILES_OF}/<int:attachment_id>", "patch"): (401, 200, 404, 404, 401, 401, 403, 200, 404),
    (f"{FILES_OF}/<int:attachment_id>", "delete"): (401, 204, 404, 404, 401, 401, 403, 204, 404),
    (THUMBNAIL, "get"): (401, 200, 404, 404, 401, 401, 200, 200, 404),
    (f"{FILES_OF}/uploads", "post"): (401, 201, 404, 404, 401, 401, 403, 201, 404),
    (f"{FILES_OF}/uploads/<int:upload_id>", "get"): (401, 200, 404, 404, 401, 401, 403, 200, 404),
    (f"{FILES_OF}/uploads/<int:upload_id>", "delete"): (
        401,
        204,
        404,
        404,
        401,
        401,
        403,
        204,
        404,
    ),
    # Nothing was sent, which only who may know of it is told.
    (COMPLETE, "post"): (401, 409, 404, 404, 401, 401, 403, 409, 404),
    (KEPT_FILE, "get"): (401, 200, 404, 404, 401, 401, 200, 200, 404),
}
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
QUERIES = {"search": "?q=secret"}
FILES = {
    "notes/<int:pk>/file": "file",
    FILES_OF: "file",
    f"{FILES_OF}/<int:attachment_id>": "file",
    "auth/me/avatar": "avatar",
}
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
BODIES = {
    "auth/me": {"password": PASSWORD, "full_name": "x"},
    "auth/email/change": {"password": PASSWORD, "email": "new@example.org"},
    "auth/password/change": {"password": PASSWORD, "new_password": "another long one"},
    "auth/2fa": {"password": PASSWORD, "code": "123456"},
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
    f"{FILES_OF}/<int:attachment_id>": {"name": "n"},
    f"{FILES_OF}/uploads": {"name": "n", "size": 1, "sha256": "0" * 64},
    "rewind": {"to": "2026-01-01T00:00:00Z", "dry_run": True},
}


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
    note = actions.create_note(title="secret", content="", by=owner, now=now)
    actions.update_note(note=note, changes={"title": "still secret"}, by=owner, now=now)
    row = stored(GIF)
    about = {"note": note, "name": "secret.gif", "by": owner, "now": now}
    note, _ = attachments.store_main_file(**about, stored=row)
    return note


def path_to(route, thing):
    """Return a route with the numbers of a thing, and of what a note has, in it."""
    path = re.sub("<path:[a-z]+>", "secret", route.replace("<int:pk>", str(thing.pk)))
    if "<int:upload_id>" in path:
        about = {"note": thing, "name": "secret", "by": thing.owner, "now": timezone.now()}
        upload = uploads.begin(**about, size=1, sha256="0" * 64)
        path = path.replace("<int:upload_id>", str(upload.pk))
    if "<int:attachment_id>" in path:
        file = split(thing.files)[0]
        path = path.replace("<int:attachment_id>", str(file.id)).replace("<int:version>", "3")
    if route == THUMBNAIL and not Thumbnail.objects.filter(source=file.object).exists():
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
    return actions.create_note(**about, by=owner, now=timezone.now())


def make_search(owner):
    name = f"secret {SavedSearch.objects.count()}"
    now = timezone.now()
    return saved_searches.save_search(name=name, query="secret", by=owner, now=now)


MAKE = {
    "searches": make_search,
    "categories": make_filed_note,
    "tags": make_filed_note,
    "contacts": make_contact,
    "notes": make_note,
    "auth/sessions": make_session,
    "auth/tokens": lambda owner: make_token(owner)[0],
}
