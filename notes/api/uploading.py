"""Files in multipart forms, stored while they arrive: no whole file is in memory or on our disk."""

from collections.abc import Iterable, Mapping
from typing import IO, Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http.multipartparser import MultiPartParser as DjangoMultiPartParser
from django.http.multipartparser import MultiPartParserError
from django.utils.http import parse_header_parameters
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, DataAndFiles, MultiPartParser
from rest_framework.request import Request

from cloudnotes.api.errors import DomainError
from cloudnotes.api.parsers import JSONAlways
from cloudnotes.api.validation import InputSerializer, repeated, unknown, validate
from notes.files import objects, quotas, storage
from notes.models import Note, StoredObject

FORM_BYTES = 64 * 2**10  # by which a form may be larger than the file in it
TAIL_BYTES = 1024


@extend_schema_field({"type": "string", "format": "binary"})
class StoredFileField(serializers.FileField):
    """A file that is stored by the time it is validated."""


class UploadSerializer(InputSerializer):
    """A file in a multipart form."""

    file = StoredFileField(allow_empty_file=True, max_length=1000)


class StoredFile(UploadedFile):
    """A file of a form whose bytes are in the storage already; ``row`` is its stored object.

    ``name`` is as the client sent it, which Django's would change.
    """

    name = ""

    def __init__(self, name: str, row: StoredObject) -> None:
        super().__init__(file=None, size=row.size)
        self.name, self.row = name, row

    def close(self) -> None:
        """Do nothing: there is no local file to close."""


class StoringHandler(FileUploadHandler):
    """Stores the form's one file, in the field ``file``, while it arrives."""

    chunk_size = 2**18

    def __init__(self) -> None:
        super().__init__()
        self.receiver: objects.Receiver | None = None
        self.row: StoredObject | None = None

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Begin to store the file. Raises :class:`notes.files.storage.StorageUnavailable`."""
        super().new_file(*args, **kwargs)
        if self.field_name != "file":
            raise serializers.ValidationError(
                {self.field_name: [unknown("field", self.field_name, ["file"])]}
            )
        if self.receiver is not None:
            raise serializers.ValidationError({"file": [repeated()]})
        self.receiver = objects.Receiver()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Store a chunk of the file.

        Raises :class:`notes.files.objects.FileTooLarge` and
        :class:`notes.files.storage.StorageUnavailable`.
        """
        assert self.receiver is not None
        self.receiver.write(raw_data)

    def file_complete(self, file_size: int) -> StoredFile:
        """Return the file, which is stored now."""
        assert self.receiver is not None
        self.row = self.receiver.finish()
        return StoredFile(self.file_name or "", self.row)

    def give_up(self) -> None:
        """Delete what was stored so far."""
        if self.receiver is not None:
            self.receiver.give_up()


class UnchangedNames(DjangoMultiPartParser):
    """Django's parser of forms, which keeps the names of files.

    Its own function decodes HTML entities and drops what this Python takes for unprintable. Names
    are made safe in one place: :func:`notes.files.filetypes.clean_name`.
    """

    def sanitize_file_name(self, file_name: str) -> str:
        return file_name


class StoringParser(MultiPartParser):
    """Parses multipart forms; refuses a form that ends before its last boundary."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        assert parser_context is not None
        handler, tracked = StoringHandler(), _TailStream(stream)
        meta = {**parser_context["request"].META, "CONTENT_TYPE": media_type or ""}
        try:
            data = DataAndFiles(*UnchangedNames(meta, tracked, [handler]).parse())  # type: ignore[arg-type]  # the parser only reads the stream
            if not tracked.ends_with_boundary(media_type or ""):
                raise ParseError("The form ends before its last boundary.")
            if not isinstance(data.files.get("file"), StoredFile):
                handler.give_up()
        except storage.StorageUnavailable:
            raise  # deleting would wait for the storage again; the sweeper deletes later
        except MultiPartParserError as error:
            handler.give_up()
            raise ParseError(f"The form cannot be read: {error}") from error
        except Exception:
            handler.give_up()
            raise
        return data


class OctetsParser(BaseParser):
    """Takes a body as it is for the file; the query's ``name`` is its name."""

    media_type = "application/octet-stream"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        assert parser_context is not None
        receiver = objects.Receiver()
        try:
            while piece := stream.read(StoringHandler.chunk_size):
                receiver.write(piece)
            row = receiver.finish()
        except storage.StorageUnavailable:
            raise  # as in StoringParser
        except Exception:
            receiver.give_up()
            raise
        name = parser_context["request"].query_params.get("name", "")
        return {"file": StoredFile(name or "file", row)}


class FileNegotiation(JSONAlways):
    """Picks the parser of a file: a form, or octets if the query has a name or their type says so.

    Other bodies are refused: a client may have sent JSON where it meant a form.
    """

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        parser = super().select_parser(request, parsers)
        if parser is None and "name" in request.query_params:
            octets = (each for each in parsers if isinstance(each, OctetsParser))
            return next(octets, None)
        return parser


class _TailStream:
    """A stream that keeps its last ``TAIL_BYTES`` bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.tail = stream, b""

    def read(self, size: int = -1) -> bytes:
        chunk = self.stream.read(size)
        if chunk:
            self.tail = (self.tail + chunk[-TAIL_BYTES:])[-TAIL_BYTES:]
        return chunk

    def ends_with_boundary(self, media_type: str) -> bool:
        while self.read(2**16):
            pass
        boundary = parse_header_parameters(media_type)[1].get("boundary", "")
        return b"--" + boundary.encode("ascii", "replace") + b"--" in self.tail


def take_file(request: Request, note: Note) -> tuple[str, StoredObject]:
    """Store the file of a request; return its name and its stored object, as :func:`take_form`."""
    content_type = request._request.content_type or ""
    if content_type.startswith("multipart/") and "name" in request.query_params:
        raise serializers.ValidationError({"name": "In a form, the file has its name itself."})
    file: StoredFile = take_form(request, UploadSerializer, owner_id=note.owner_id)["file"]
    return file.name, file.row


def take_form(
    request: Request, serializer_class: type[InputSerializer], *, owner_id: int
) -> dict[str, Any]:
    """Store the file of a form and return its validated fields; nothing refers to the file yet.

    Raises :class:`notes.files.quotas.QuotaExceeded` before the body is read if the file cannot fit,
    :class:`notes.files.objects.FileTooLarge` and :class:`notes.files.storage.StorageUnavailable`.
    """
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if length > settings.MAX_FILE_BYTES + FORM_BYTES:
        raise objects.FileTooLarge
    if not quotas.has_room(owner_id, max(0, length - FORM_BYTES)):
        raise quotas.QuotaExceeded("The account has no room for the file.")
    data = request.data
    try:
        return validate(serializer_class, data)
    except (DomainError, serializers.ValidationError):
        for value in data.values():
            if isinstance(value, StoredFile):
                objects.discard(value.row.key)
        raise
