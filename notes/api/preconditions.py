"""Conditional requests (RFC 9110, 13): entity tags are versions in quotes."""

import re
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.models import User
from accounts.permissions import has_scope
from cloudnotes.api import key_derivation
from cloudnotes.api.errors import DomainError
from notes.actions import versions
from notes.actions.versions import Expected
from notes.models import Note

# "5", W/"5" (what a compressing proxy makes of it), 5, and "5-f", which tells of flags.
TAG = re.compile(r'(?:W/)?"(\d{1,10})(-f?a?)?"|(\d{1,10})')
PREFER_MERGE = OpenApiParameter(
    "Prefer",
    {"type": "string", "enum": ["merge"]},
    OpenApiParameter.HEADER,
    description="`merge`: bring a change of an earlier version into the current one.",
)


class IfMatchRequired(DomainError):
    """The account wants every write to name the version that it replaces (RFC 6585, 3)."""

    status = 428
    code = "precondition_required"
    detail = (
        "This account requires a precondition: send If-Match with the ETag of the note that you "
        "have, or * for whatever it is."
    )


def etag(version: int, is_favorite: bool, is_archived: bool) -> str:
    """Return the entity tag of a note in a version, with its reader's flags."""
    flags = ("f" if is_favorite else "") + ("a" if is_archived else "")
    return f'"{version}-{flags}"' if flags else f'"{version}"'


def etag_of(note: Note) -> str:
    """Return the entity tag of a note."""
    return etag(note.version, note.is_favorite, note.is_archived)


def expected_versions(request: Request) -> Expected:
    """Return the versions that ``If-Match`` names, None for any.

    A tag that was never ours names no version. Raises :class:`IfMatchRequired`.
    """
    if request.headers.get("If-None-Match", "").strip() == "*":
        return frozenset()  # there is a note (RFC 9110, 13.1.2)
    header = request.headers.get("If-Match")
    if header is None:
        if caller(request).require_if_match:
            raise IfMatchRequired
        return None
    return None if header.strip() == "*" else named_versions(header)


def etag_matches(header: str, tag: str) -> bool:
    """Return whether an ``If-None-Match`` names a tag, in quotes or without."""
    tags = [each.strip().removeprefix("W/") for each in header.split(",")]
    return tags == ["*"] or tag in tags or tag.strip('"') in tags


def list_etag(user: User, mark: str | None, *said: str) -> str:
    """Return the entity tag of a list of notes, or of a page of it, when the feed is at a mark.

    ``said`` is what else the answer follows from: the address that it was asked at and what a note
    consists of. The secret key is in it because the page's cursor is encrypted by it.
    """
    parts = repr((user.pk, user.limited_to_category, mark, *said))
    return f'"{key_derivation.derive("list etag", parts).hex()[:32]}"'


def wants_merge(request: Request) -> bool:
    """Return whether the client prefers a merge to a refusal (``Prefer: merge``, RFC 7240)."""
    preferences = request.headers.get("Prefer", "").split(",")
    return "merge" in [each.partition(";")[0].strip().casefold() for each in preferences]


def named_versions(header: str) -> frozenset[int]:
    """Return the versions whose tags a header lists."""
    tags = (TAG.fullmatch(tag.strip()) for tag in header.split(","))
    return frozenset(int(tag[1] or tag[3]) for tag in tags if tag)


class ShowsCurrent:
    """A view whose 412 and 409 show the note as it is now, to whoever may read it."""

    def handle_exception(self: Any, error: Exception) -> Response:
        note_id = getattr(error, "note_id", None)
        if isinstance(error, DomainError) and note_id and has_scope(self.request, "notes:read"):
            error.members["current"] = self._current(note_id)
        response: Response = super().handle_exception(error)  # type: ignore[misc]
        return response

    def _current(self: Any, note_id: int) -> dict[str, Any] | None:
        notes = self.get_queryset()
        found = versions.mark_seen(list(notes.filter(pk=note_id)), within=notes, now=timezone.now())
        return self.note_json(found[0]) if found else None
