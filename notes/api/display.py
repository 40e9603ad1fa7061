"""``notes/{id}/display``: a note's content with links to files that work without a token."""

import datetime as dt
import functools
from typing import Any, ClassVar

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import get_caller
from notes.api import preconditions
from notes.api.representation import NoteEndpoint
from notes.files import downloads
from notes.markdown import file_links
from notes.models import Note
from notes.models.attachments import File, split


class DisplaySerializer(serializers.Serializer[Any]):
    """Markdown to be shown; its links to files are good until ``expires_at``."""

    version = serializers.IntegerField()
    content = serializers.CharField()
    expires_at = serializers.DateTimeField()


class DisplayView(NoteEndpoint):
    """The content of a note that the caller may see, with signed links to files."""

    serializer_class: Any = DisplaySerializer
    conditional: ClassVar[tuple[str, ...]] = ()
    pagination_class = None

    @extend_schema(responses={200: DisplaySerializer})
    def get(self, request: Request, pk: int) -> Response:
        """Read the Markdown with signed links in place of those to files of one's notes.

        A browser can show them, without the token. They are never kept: when they come back in a
        note's content, the stable links are stored.
        """
        note = self.get_seen_note()
        root = request.build_absolute_uri("/").rstrip("/")
        links = file_links.find(note.content, root=root)
        files = self._files({link.note_id for link in links})

        @functools.cache  # a text may link to one file many times
        def address(note_id: int, attachment_id: int) -> str | None:
            file = files.get((note_id, attachment_id))
            if file is None:
                return None
            return root + downloads.display_path(note_id, file.id, file.object, file.name)

        payload = {
            "version": note.version,
            "content": file_links.sign(note.content, links, address=address),
            "expires_at": timezone.now() + dt.timedelta(seconds=settings.FILE_LINK_SECONDS),
        }
        return Response(
            DisplaySerializer(payload).data, headers={"ETag": preconditions.etag_of(note)}
        )

    def _files(self, note_ids: set[int]) -> dict[tuple[int, int], File]:
        """Return the files of those notes that the caller may see, by note id and attachment id."""
        notes = Note.objects.visible_to(get_caller(self.request)).live().filter(pk__in=note_ids)
        return {
            (pk, file.id): file
            for pk, files in notes.exclude(files="").values_list("pk", "files")
            for file in split(files)
        }
