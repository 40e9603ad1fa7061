"""Conditional reads of stored bytes (RFC 9110, 13.1.2)."""

from django.utils.http import parse_etags


def etag_matches(header: str, tag: str) -> bool:
    """Return whether the value of ``If-None-Match`` is ``*`` or names a tag, also as a weak one.

    ``tag`` has its quotes; a tag without quotes in the header never matches.
    """
    tags = parse_etags(header)
    return tags == ["*"] or tag in [item.removeprefix("W/") for item in tags]
