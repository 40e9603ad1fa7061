"""Serializer fields of what clients send of a note."""

from typing import Any

from rest_framework import serializers

from accounts.api.fields import CategoryField
from cloudnotes.api.validation import InputSerializer
from notes.files import downloads
from notes.markdown import file_links
from notes.models import tags
from notes.models.notes import MAX_CONTENT_BYTES


class TextField(serializers.CharField):
    """A string only: DRF's field would also accept numbers and convert them to text."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("allow_blank", True)
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        text: str = super().to_internal_value(data)
        return text


class ContentField(TextField):
    """Markdown as sent, at most 1 MiB in UTF-8; signed links to files become stable links.

    With ``is_fragment`` the value is a part of a note's content. It is not known then whether the
    text will stand in code.
    """

    def __init__(self, *, is_fragment: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.is_fragment = is_fragment

    def to_internal_value(self, data: Any) -> str:
        content = file_links.unsign(
            super().to_internal_value(data), read=_signed_file, is_fragment=self.is_fragment
        )
        if len(content.encode()) > MAX_CONTENT_BYTES:
            raise serializers.ValidationError(
                f"A note's content has at most {MAX_CONTENT_BYTES} bytes in UTF-8.",
                code="max_bytes",
            )
        return content


def _signed_file(token: str) -> tuple[int, int] | None:
    path = downloads.read_display_path(token, is_of_any_age=True)
    return path[:2] if path else None


class TitleField(TextField):
    """A title of at most 200 characters, exactly as sent."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=200, **options)


class TagField(TextField):
    """The name of a tag, at most 50 characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_blank=False, **options)

    def to_internal_value(self, data: Any) -> str:
        try:
            return tags.parse(super().to_internal_value(data))
        except tags.InvalidTag as error:
            raise serializers.ValidationError(str(error), code="invalid_tag") from None


class TagsField(serializers.ListField):
    """At most 50 names of tags; validated to the one text in which a note stores them."""

    child = TagField()

    def to_internal_value(self, data: Any) -> Any:
        names = super().to_internal_value(data)
        if len(names) > tags.MAX_TAGS:
            raise serializers.ValidationError(
                f"A note has at most {tags.MAX_TAGS} tags.", code="max_length"
            )
        return tags.join(names)


class WritableSerializer(InputSerializer):
    """What clients may write of a note (``notes.models.fields``), each member if it is sent."""

    title = TitleField(required=False)
    content = ContentField(required=False)
    category = CategoryField(required=False)
    tags = TagsField(required=False)
    is_favorite = serializers.BooleanField(required=False)
    is_archived = serializers.BooleanField(required=False)
