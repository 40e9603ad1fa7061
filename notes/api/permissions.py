"""Maps HTTP methods to the verbs of ``notes.access`` and to scopes of tokens."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.callers import get_caller
from notes import access
from notes.models import Note

VERBS: dict[str, access.Verb] = {
    "GET": "read",
    "HEAD": "read",
    "OPTIONS": "read",
    "PUT": "edit",
    "PATCH": "edit",
    "POST": "edit",
    "DELETE": "delete",
}
# The scope that a personal access token needs (``accounts.permissions``).
SCOPES = {
    "GET": "notes:read",
    "POST": "notes:append",
    "PUT": "notes:write",
    "PATCH": "notes:write",
    "DELETE": "notes:write",
}
# For views whose POST replaces something.
WRITING_SCOPES = {**SCOPES, "POST": "notes:write"}


class NotePermission(BasePermission):
    """Checks with ``access.can`` whether the caller may do this with the note of a view."""

    def has_object_permission(self, request: Request, view: Any, note: Note) -> bool:
        verbs = {**VERBS, **getattr(view, "verbs", {})}
        return access.can(get_caller(request), verbs[request.method or "GET"], note)
