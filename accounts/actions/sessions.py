"""Sessions: log-in, refresh and log-out."""

import datetime as dt
import logging
import re
import uuid

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.models import Session as AdminSession
from django.db import transaction
from django.db.models import Q, QuerySet

from accounts import jwt
from accounts.actions import mails, second_factors
from accounts.identifiers import fold, fold_address
from accounts.models import Mail, Session, User
from cloudnotes.api.client_network import network
from cloudnotes.api.errors import DomainError
from cloudnotes.db.streaming import streamed

DEVICES_REMEMBERED = 200
REPLAY_WINDOW = dt.timedelta(seconds=10)

security_log = logging.getLogger("cloudnotes.security")


class WrongCredentials(DomainError):
    """No active account has this identifier with this password."""

    status = 401
    code = "wrong_credentials"
    detail = "No account has this e-mail address or username with this password."


class SecondFactorRequired(DomainError):
    """The password is right, but the account also needs a code."""

    status = 401
    code = "second_factor_required"
    detail = "This account uses two-factor log-in. Send the code of your authenticator app too."
    field = "code"


class EmailNotVerified(DomainError):
    """The password is right, but this service requires a verified address."""

    status = 403
    code = "email_not_verified"
    detail = (
        "Confirm your e-mail address first: open the link in the mail that was sent to it, "
        "or ask for another mail."
    )


class RefreshRefused(DomainError):
    """The refresh token is not the current one of a live session."""

    status = 401
    code = "invalid_refresh_token"
    detail = "The refresh token is not valid, has expired or was used before. Log in again."


def find(identifier: str) -> User | None:
    """Return the user with this e-mail address or username, None without one."""
    folded, address = fold(identifier), fold_address(identifier)
    users = User.objects.filter(Q(email_folded__in={folded, address}) | Q(username_folded=folded))
    # An address that an earlier release kept in another form is found as it was written.
    return min(users, key=lambda user: user.email_folded == address != folded, default=None)


def authenticate(*, user: User | None, password: str, address: str) -> User:
    """Return the ``user`` that :func:`find` returned, if active and with this password.

    Raises :class:`WrongCredentials` if the account does not exist, is disabled or has another
    password; in each case the hasher runs once, so the time reveals nothing. Raises
    :class:`EmailNotVerified` only after a correct password. An old hash is replaced by a current
    one.
    """
    if user is None:
        make_password(password)
        is_right = False
    else:
        is_right = user.check_password(password)
    if user is None or not is_right or not user.is_active:
        security_log.warning("login refused", extra={"event": "login_refused", "address": address})
        raise WrongCredentials
    if settings.EMAIL_VERIFICATION == "required" and not user.email_verified:
        raise EmailNotVerified
    return user


def log_in(
    *, user: User, code: str | None, user_agent: str, address: str, now: dt.datetime
) -> Session:
    """Return a new session of the ``user`` that :func:`authenticate` returned.

    ``code`` is that of the second factor, if the account has one. A log-in from a device that the
    account has not used is reported by mail. Raises :class:`WrongCredentials` if the account has
    changed since, :class:`SecondFactorRequired` if the code is missing, and
    :class:`accounts.actions.second_factors.WrongCode`.
    """
    with transaction.atomic():
        # Hashing is slow: check again that the account has not changed.
        unchanged = User.objects.select_for_update().filter(
            pk=user.pk, is_active=True, password=user.password
        )
        if not unchanged.exists():
            raise WrongCredentials
        if second_factors.get_enabled(user):
            if code is None:
                raise SecondFactorRequired
            second_factors.use(user=user, code=code, now=now)
        known_devices = _get_devices(user)
        session = open_session(user=user, user_agent=user_agent, address=address, now=now)
        if known_devices and _device(session.user_agent, address) not in known_devices:
            details = {"user_agent": session.user_agent, "address": address}
            mails.enqueue(kind=Mail.Kind.NEW_DEVICE, user=user, now=now, details=details)
    security_log.info(
        "login",
        extra={"event": "login", "user": user.pk, "session": session.pk, "address": address},
    )
    return session


def open_session(*, user: User, user_agent: str, address: str, now: dt.datetime) -> Session:
    """Create and return a session of a user who has just been authenticated."""
    printable = "".join(character for character in user_agent if character.isprintable())
    return Session.objects.create(
        user=user,
        rotated_at=now,
        created_at=now,
        last_seen_at=now,
        expires_at=now + settings.SESSION_ABSOLUTE_LIFETIME,
        user_agent=printable[:300],
        address=address or None,
    )


def refresh(*, token: str, now: dt.datetime) -> Session:
    """Rotate the refresh token and return the session with the new one.

    The first of many parallel calls rotates it. The other calls, and a client that lost the
    response, get the same new token for 10 s. Any other reuse means that the token was copied: the
    session is revoked, and that is committed before :class:`RefreshRefused` is raised.
    """
    try:
        claims = jwt.read_refresh_token(token)
    except jwt.InvalidToken:
        raise RefreshRefused from None
    with transaction.atomic():
        session = (
            Session.objects.live(now)
            .select_for_update(of=("self",))
            .select_related("user")
            .filter(pk=claims.session_id, user_id=claims.user_id, user__is_active=True)
            .first()
        )
        if session is None:
            raise RefreshRefused
        if claims.token_id == session.refresh_id.hex:
            _rotate(session, now)
            return session
        previous = session.previous_refresh_id
        if (
            previous
            and claims.token_id == previous.hex
            and now - session.rotated_at <= REPLAY_WINDOW
        ):
            return session
        reason = Session.Reason.REFRESH_REUSED
        revoke(session_id=session.pk, user_id=session.user_id, reason=reason, now=now)
    raise RefreshRefused


def _device(user_agent: str, address: str | None) -> tuple[str, str]:
    """Return what identifies a device: its program without version numbers, and its network."""
    return re.sub(r"[\d.]+", "", user_agent), network(address or "")


def _get_devices(user: User) -> set[tuple[str, str]]:
    recent = user.sessions.order_by("-pk").values_list("user_agent", "address")
    return {_device(user_agent, address) for user_agent, address in recent[:DEVICES_REMEMBERED]}


def _rotate(session: Session, now: dt.datetime) -> None:
    session.previous_refresh_id = session.refresh_id
    session.refresh_id = uuid.uuid4()
    session.rotated_at = session.last_seen_at = now
    session.save(update_fields=["previous_refresh_id", "refresh_id", "rotated_at", "last_seen_at"])


def revoke(*, session_id: int, user_id: int, reason: Session.Reason, now: dt.datetime) -> None:
    """End one session of a user; the next request with one of its tokens is refused."""
    session = Session.objects.filter(pk=session_id, user_id=user_id)
    _revoke_all(session, reason, now, user_id=user_id)


def revoke_credentials(*, user: User, reason: Session.Reason, now: dt.datetime) -> None:
    """End all credentials of a user: sessions, personal access tokens, links in mails.

    Called after every change of the password, and when an account is disabled.
    """
    revoke_all(user=user, reason=reason, now=now)
    user.personal_access_tokens.all().delete()
    mails.void_links(user=user, now=now)


def log_out_everywhere(*, user: User, now: dt.datetime) -> None:
    """End every session of a user, those in the admin too. Personal access tokens stay."""
    revoke_all(user=user, reason=Session.Reason.LOGOUT_ALL, now=now)
    end_admin_sessions(user=user)


def end_admin_sessions(*, user: User) -> None:
    """End a user's sessions in the admin, which are stored without the user's id."""
    if user.is_staff:  # nobody else has one
        with streamed(AdminSession.objects.all()) as admin_sessions:
            for session in admin_sessions:
                if session.get_decoded().get(SESSION_KEY) == str(user.pk):
                    session.delete()


def revoke_all(*, user: User, reason: Session.Reason, now: dt.datetime) -> int:
    """End every session of a user and return how many were live."""
    return _revoke_all(user.sessions.all(), reason, now, user_id=user.pk)


def _revoke_all(
    sessions: QuerySet[Session], reason: Session.Reason, now: dt.datetime, *, user_id: int
) -> int:
    ended = sessions.filter(revoked_at=None).update(revoked_at=now, revoked_reason=reason)
    security_log.info(
        "sessions revoked",
        extra={"event": "revoked", "reason": str(reason), "user": user_id, "sessions": ended},
    )
    return ended
