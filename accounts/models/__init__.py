"""The tables of accounts, in the order in which they need each other."""

from accounts.models.avatars import Avatar
from accounts.models.contacts import Contact
from accounts.models.idempotency import IdempotencyKey
from accounts.models.limits import Attempts
from accounts.models.mails import Mail
from accounts.models.second_factors import SecondFactor
from accounts.models.sessions import Session
from accounts.models.tokens import PersonalAccessToken
from accounts.models.users import User

__all__ = [
    "Attempts",
    "Avatar",
    "Contact",
    "IdempotencyKey",
    "Mail",
    "PersonalAccessToken",
    "SecondFactor",
    "Session",
    "User",
]
