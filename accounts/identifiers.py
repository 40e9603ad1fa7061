"""E-mail addresses and usernames: which are the same, and the form in which addresses are kept."""

import unicodedata

import idna

_ENCODED = "xn--"  # begins a label of a domain that stands for Unicode (RFC 5890, 2.3.2.1)


NO_DOMAIN = "The part after the @ is no name that mail could be sent to."


class InvalidAddress(ValueError):
    """No mail can reach the address, or nobody could tell it from another one."""


def fold(identifier: str) -> str:
    """Return the form in which identifiers are compared: NFKC, case-folded, NFKC again, stripped.

    Folding case can undo normalisation, hence the second pass (Unicode 15, 3.13, D145).
    """
    folded = unicodedata.normalize("NFKC", identifier).casefold()
    return unicodedata.normalize("NFKC", folded).strip()


def canonical_address(address: str) -> str:
    """Return the one form of an address, to which mail is sent and by which it is compared.

    The local part is ASCII; others are folded first. The domain is as it is in DNS: in Unicode it
    becomes A-labels by IDNA 2008 (UTS 46, non-transitional). Otherwise one mailbox could have two
    accounts, or mail to an account could reach another mailbox. Raises :class:`InvalidAddress`.
    """
    local, _, domain = address.rpartition("@")
    if not local.isascii():
        local = fold(local)
    if not local.isascii() or not local.isprintable():
        raise InvalidAddress("The part before the @ has characters that mail servers do not take.")
    if not domain.isprintable():  # UTS 46 would pass over some of them
        raise InvalidAddress(NO_DOMAIN)
    if not domain.isascii() or _ENCODED in domain.lower():
        try:
            domain = idna.encode(domain, uts46=True, transitional=False, std3_rules=True).decode()
        except (idna.IDNAError, UnicodeError):
            raise InvalidAddress(NO_DOMAIN) from None
    return f"{local}@{domain}"


def to_canonical_address(address: str) -> str:
    """Return the canonical form of an address, or the address itself if it has none."""
    try:
        return canonical_address(address)
    except InvalidAddress:
        return address


def fold_address(address: str) -> str:
    """Return the form in which addresses are compared. A username is folded as such."""
    return fold(to_canonical_address(address) if "@" in address else address)
