"""Fields that several account serializers share."""

from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.urls import reverse
from rest_framework import serializers
from rest_framework.request import Request

from accounts import categories
from accounts.identifiers import InvalidAddress, canonical_address, fold
from accounts.models.users import FOLDED_LENGTH
from cloudnotes.characters import find_unusable, to_one_line

MAX_ADDRESS_LENGTH = 254  # RFC 5321, 4.5.3.1.3, less the angle brackets


class PasswordField(serializers.CharField):
    """A password exactly as typed, outer spaces and all: at most 128 characters."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("max_length", 128)
        super().__init__(
            trim_whitespace=False,
            write_only=True,
            style={"input_type": "password"},
            **options,
        )


class NewPasswordField(PasswordField):
    """A password that somebody chooses: at least 8 characters and not a common one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_length=8, validators=[validate_password], **options)


class CodeField(serializers.CharField):
    """A one-time password of six digits, or a recovery code."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=40, write_only=True, **options)


class AddressField(serializers.EmailField):
    """An e-mail address in its canonical form, of at most 254 characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=MAX_ADDRESS_LENGTH, **options)

    def to_internal_value(self, data: Any) -> str:
        try:
            address = canonical_address(super().to_internal_value(data))
        except InvalidAddress as error:
            raise serializers.ValidationError(str(error), code="invalid") from None
        if len(address) > MAX_ADDRESS_LENGTH:
            raise serializers.ValidationError("This address is too long.", code="max_length")
        return address


class CategoryField(serializers.CharField):
    """A category such as ``Work/Plans``, ``''`` for none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_blank=True, max_length=categories.MAX_LENGTH, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        try:
            return categories.parse(super().to_internal_value(data))
        except categories.InvalidCategory as error:
            raise serializers.ValidationError(str(error), code="invalid_category") from None


class UsernameField(serializers.CharField):
    """An optional name to log in with: at most 60 characters, no @ and no blank at its ends."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            max_length=60, allow_null=True, allow_blank=True, required=False, **options
        )

    def to_internal_value(self, data: Any) -> Any:
        username = to_one_line(super().to_internal_value(data))
        if "@" in fold(username):
            raise serializers.ValidationError(
                "A username cannot hold an @: it could be mistaken for somebody's e-mail address.",
                code="invalid_username",
            )
        if character := find_unusable(username):
            raise serializers.ValidationError(
                f"A username cannot hold {character}, which nobody can see.",
                code="invalid_username",
            )
        if username and not 0 < len(fold(username)) <= FOLDED_LENGTH:
            raise serializers.ValidationError("This username is too long.", code="invalid_username")
        return username or None


class LineField(serializers.CharField):
    """One line of text, default ''. Numbers are refused, which DRF would convert to text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_blank=True, default="", **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        text: str = super().to_internal_value(data)
        return text


class AvatarField(serializers.URLField):
    """The URL of a user's picture, from ``avatar_id``; null without a picture.

    Its scheme and host are those of the request, or of ``PUBLIC_BASE_URL`` without a request.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(source="avatar_id", read_only=True, allow_null=True, **options)

    def to_representation(self, value: str) -> str:
        path = reverse("avatar", args=[value])
        request: Request | None = self.context.get("request")
        if request is None:
            return f"{settings.PUBLIC_BASE_URL}{path}"
        return request.build_absolute_uri(path)
