"""Conditional requests (RFC 9110, 13): entity tags are versions in quotes."""

import re
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import Caller, get_caller
from accounts.permissions import has_scope
from cloudnotes.api import key_derivation
from cloudnotes.api.errors import DomainError
from notes.actions import versions
from notes.actions.versions import Expected
from notes.models import Note

# What servers in front add to the tag of an answer that they compress.
PACKED = re.compile(r"[-;](?:gzip|br|zstd|deflate)(?=\"|$)")
# "5", W/"5" (as a compressing proxy rewrites it), 5, and "5-f", which also names the flags.
TAG = re.compile(r'(?:W/)?"(\d{1,10})(-f?a?)?"|(\d{1,10})')
PREFER_MERGE = OpenApiParameter(
    "Prefer",
    {"type": "string", "enum": ["merge"]},
    OpenApiParameter.HEADER,
    description="`merge`: bring a change of an earlier version into the current one.",
)


class IfMatchRequired(DomainError):
    """The account requires that every write names the version it replaces (RFC 6585, 3)."""

    status = 428
    code = "precondition_required"
    detail = (
        "This account requires a precondition: send If-Match with the ETag of the note that you "
        "have, or * for whatever it is."
    )


def etag(version: int, is_favorite: bool, is_archived: bool) -> str:
    """Return the entity tag of a version of a note, with the flags of its reader."""
    flags = ("f" if is_favorite else "") + ("a" if is_archived else "")
    return f'"{version}-{flags}"' if flags else f'"{version}"'


def etag_of(note: Note) -> str:
    """Return the entity tag of a note."""
    return etag(note.version, note.is_favorite, note.is_archived)


def expected_versions(request: Request) -> Expected:
    """Return the versions that ``If-Match`` names, None for any.

    A tag that this service never sent names no version. Raises :class:`IfMatchRequired`.
    """
    if request.headers.get("If-None-Match", "").strip() == "*":
        return frozenset()  # the note exists, so the condition is false (RFC 9110, 13.1.2)
    header = request.headers.get("If-Match")
    if header is None:
        if get_caller(request).user.require_if_match:
            raise IfMatchRequired
        return None
    return None if header.strip() == "*" else named_versions(header)


def etag_matches(header: str, tag: str) -> bool:
    """Return whether the value of ``If-None-Match`` names a tag, with or without quotes.

    ``cloudnotes.api.conditional`` has the strict rule, which files and pictures follow.
    """
    tags = [PACKED.sub("", item.strip()).removeprefix("W/") for item in header.split(",")]
    return tags == ["*"] or tag in tags or tag.strip('"') in tags


def list_etag(caller: Caller, feed_token: str | None, *inputs: str) -> str:
    """Return the entity tag of a page of a list of notes, for the present token of the feed.

    ``inputs`` are what else the response depends on: the URL of the request and the fields of a
    note. The tag also depends on the secret key, because the page's cursor is encrypted with it.
    """
    source = repr((caller.pk, caller.category, feed_token, *inputs))
    return f'"{key_derivation.derive("list etag", source).hex()[:32]}"'


def wants_merge(request: Request) -> bool:
    """Return whether the client prefers a merge to an error (``Prefer: merge``, RFC 7240)."""
    preferences = request.headers.get("Prefer", "").split(",")
    return "merge" in [item.partition(";")[0].strip().casefold() for item in preferences]


def named_versions(header: str) -> frozenset[int]:
    """Return the versions whose entity tags a header lists."""
    tags = (TAG.fullmatch(PACKED.sub("", tag.strip())) for tag in header.split(","))
    return frozenset(int(tag[1] or tag[3]) for tag in tags if tag)


class ShowsCurrent:
    """Mixin of views whose 412 and 409 contain the current note, if the caller may read it."""

    def handle_exception(self: Any, error: Exception) -> Response:
        note_id = getattr(error, "note_id", None)
        if isinstance(error, DomainError) and note_id and has_scope(self.request, "notes:read"):
            error.members["current"] = self._current(note_id)
        response: Response = super().handle_exception(error)  # type: ignore[misc]
        return response

    def _current(self: Any, note_id: int) -> dict[str, Any] | None:
        queryset = self.get_queryset()
        notes = versions.mark_seen(
            list(queryset.filter(pk=note_id)), within=queryset, now=timezone.now()
        )
        return self.note_json(notes[0]) if notes else None
