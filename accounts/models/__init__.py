"""The tables of accounts, in the order in which they need each other."""

from accounts.models.avatars import Avatar
from accounts.models.sessions import Session
from accounts.models.users import User

__all__ = ["Avatar", "Session", "User"]
