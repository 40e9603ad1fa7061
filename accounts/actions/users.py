"""Accounts: registered, imported, changed, disabled and deleted."""

import datetime as dt
import logging
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, transaction

from accounts import jwt
from accounts.actions import credentials, mails, sessions
from accounts.file_service import get_file_service
from accounts.identifiers import fold, fold_address
from accounts.models import Mail, Session, User
from cloudnotes.api.errors import DomainError

security_log = logging.getLogger("cloudnotes.security")


class RegistrationContended(DomainError):
    """Parallel requests registered the same names, twice in a row."""

    status = 503
    code = "unavailable"
    detail = "The service is briefly unavailable. Please try again."


def register_unseen(
    *, email: str, password: str, username: str | None, full_name: str, now: dt.datetime
) -> None:
    """Create an account that can be used once its address is verified; reveal nothing else.

    For ``EMAIL_VERIFICATION=required``. The caller cannot see whether the address has an account
    already; only the mail says it. The password set here can never be used: the reader of the
    mail sets one at the verification, because somebody else may have registered the address. A
    username that is taken is left out; the user can choose another one later.
    """
    user = User(full_name=full_name, created_at=now)
    user.set_password(password)
    for _ in range(2):
        try:
            with transaction.atomic():
                _register_unseen(user, email, username, now)
        except IntegrityError:
            continue  # a parallel request took the address or the username: the retry sees it
        return
    raise RegistrationContended


def _register_unseen(user: User, email: str, username: str | None, now: dt.datetime) -> None:
    account = User.objects.filter(email_folded=fold_address(email)).first()
    if account is None:
        is_username_free = not User.objects.filter(username_folded=fold(username or "")).exists()
        user.pk = None
        user.set_identifiers(email=email, username=username if is_username_free else None)
        user.save()
        mails.enqueue(kind=Mail.Kind.VERIFY_EMAIL, user=user, now=now)
    elif account.email_verified or not account.is_active:
        mails.enqueue(kind=Mail.Kind.ALREADY_REGISTERED, user=account, now=now)
    else:
        mails.enqueue(kind=Mail.Kind.VERIFY_EMAIL, user=account, now=now)


def register(
    *,
    email: str,
    password: str,
    username: str | None,
    full_name: str,
    user_agent: str,
    address: str,
    now: dt.datetime,
) -> tuple[User, jwt.Tokens]:
    """Create an account and its first session; return the user and the session's tokens.

    The account, the session and the verification mail are one transaction, in which the tokens are
    signed too: if that fails, there is no account, and the client can register again.

    Raises IntegrityError by ``one_account_per_email`` or ``one_account_per_username``, which the
    API answers with ``email_taken`` and ``username_taken``. The database decides, so that one of
    many parallel registrations succeeds.
    """
    user = User(full_name=full_name, created_at=now)
    user.set_identifiers(email=email, username=username)
    user.set_password(password)
    with transaction.atomic():
        user.save()
        mails.enqueue(kind=Mail.Kind.VERIFY_EMAIL, user=user, now=now)
        session = sessions.open_session(user=user, user_agent=user_agent, address=address, now=now)
        tokens = jwt.issue(session, now)
    security_log.info("registered", extra={"event": "registered", "user": user.pk})
    return user, tokens


def import_user(
    *,
    email: str,
    username: str | None,
    full_name: str,
    password_hash: str | None,
    is_active: bool,
    created_at: dt.datetime,
) -> User:
    """Create and return an account of the earlier generation; it keeps its password.

    ``password_hash`` is in a form that :func:`accounts.hashers.adopt` returns; with None nobody
    can log in until the password is reset. Raises IntegrityError as :func:`register` does.
    """
    user = User(full_name=full_name, is_active=is_active, created_at=created_at)
    user.set_identifiers(email=email, username=username)
    if password_hash is None:
        user.set_unusable_password()
    else:
        user.password = password_hash
    with transaction.atomic():
        user.save()
        log_fields = {"event": "user_imported", "user": user.pk}
        transaction.on_commit(lambda: security_log.info("user_imported", extra=log_fields))
    return user


def update_profile(*, user: User, changes: dict[str, Any]) -> User:
    """Set the fields in ``changes`` and return the user.

    They may be ``username``, ``full_name``, ``language`` and ``require_if_match``. Raises
    IntegrityError by ``one_account_per_username`` and :class:`AccountGone`.
    """
    fields = set(changes)
    with transaction.atomic():
        user = credentials.lock(user)
        for name in fields - {"username"}:
            setattr(user, name, changes[name])
        if "username" in changes:
            user.set_identifiers(email=user.email, username=changes["username"])
            fields.add("username_folded")
        if fields:
            user.save(update_fields=fields)
    return user


def set_active(*, user: User, is_active: bool, by: User, now: dt.datetime) -> None:
    """Disable or enable an account; disabling ends its sessions, enabling does not restore them."""
    with transaction.atomic():
        user.is_active = is_active
        user.save(update_fields=["is_active"])
        if not is_active:
            sessions.revoke_credentials(user=user, reason=Session.Reason.USER_DISABLED, now=now)
    event = "user_enabled" if is_active else "user_disabled"
    security_log.info(event, extra={"event": event, "user": user.pk, "by": by.pk})


def delete_own_account(*, user: User, password: str) -> None:
    """Delete an account after a check of its password. Raises :class:`WrongPassword`."""
    credentials.check_password(user=user, password=password)
    delete(user=user, by=user)


def delete(*, user: User, by: User) -> None:
    """Delete an account with everything that belongs to it.

    The database deletes the rows by cascade. The files are released in the same transaction, and
    first: a write for this user takes the locks of notes first, and the lock of the user's row, by
    a foreign key, at the commit.
    """
    user_id, actor_id = user.pk, by.pk
    with transaction.atomic():
        get_file_service().release_owner(owner=user)
        credentials.lock(user)
        _forget_in_admin(user)
        user.delete()
    security_log.info(
        "user_deleted", extra={"event": "user_deleted", "user": user_id, "by": actor_id}
    )


def _forget_in_admin(user: User) -> None:
    """Remove the name from the admin's log entries about the account; end its admin sessions."""
    content_type = ContentType.objects.get_for_model(User)
    LogEntry.objects.filter(content_type=content_type, object_id=str(user.pk)).update(
        object_repr=f"user {user.pk}"
    )
    sessions.end_admin_sessions(user=user)
