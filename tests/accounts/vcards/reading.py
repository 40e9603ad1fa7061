"""Helpers of the tests of vCards: makes the text of a card, and reads it."""

import re

from accounts.vcards import reading as vcards


def card_of(*lines, version="4.0"):
    return "\r\n".join(["BEGIN:VCARD", f"VERSION:{version}", *lines, "END:VCARD", ""])


def is_email(address):
    """A stand-in for the rule of contacts, which is Django's."""
    return bool(re.fullmatch(r'(?:"[^"]*"|[^@\s<>]+)@[^@\s<>]+', address))


def read_file(text):
    body = text if isinstance(text, bytes) else text.encode()
    return list(vcards.read(body, is_email=is_email))


def read(*lines, version="4.0"):
    (reading,) = read_file(card_of(*lines, version=version))
    return reading


def left_out(reading):
    """Return what was left out as pairs of property and reason."""
    return [(each.property, each.reason) for each in reading.left_out]
