"""Logging in, staying in and getting out."""

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
from accounts.identifiers import fold
from accounts.models import Mail, Session, User
from cloudnotes.api.client_network import network
from cloudnotes.api.errors import DomainError

DEVICES_REMEMBERED = 200
REPLAY_WINDOW = dt.timedelta(seconds=10)

security_log = logging.getLogger("cloudnotes.security")


class WrongCredentials(DomainError):
    """No active account has this identifier with this password."""

    status = 401
    code = "wrong_credentials"
    detail = "No account has this e-mail address or username with this password."


class SecondFactorRequired(DomainError):
    """The password is right, and the account needs a code too."""

    status = 401
    code = "second_factor_required"
    detail = "This account uses two-factor log-in. Send the code of your authenticator app too."
    field = "code"


class EmailNotVerified(DomainError):
    """The password is right, but this service lets in verified addresses alone."""

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
    """Return whom an e-mail address or username belongs to."""
    folded = fold(identifier)
    return User.objects.filter(Q(email_folded=folded) | Q(username_folded=folded)).first()


def authenticate(*, user: User | None, password: str, address: str) -> User:
    """Return the user whom :func:`find` has found, who is active and has this password.

    Raises :class:`WrongCredentials`, after one run of the hasher, whether the account does not
    exist, is disabled or has another password, and :class:`EmailNotVerified`, which only somebody
    who has the password hears. An old hash is replaced by a current one.
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
    """Return a new session of a user whom :func:`authenticate` has just returned.

    ``code`` is that of the second factor, if the account has one. A log-in from a device that the
    account has not seen is told by mail. Raises :class:`WrongCredentials` when the account has
    changed meanwhile, :class:`SecondFactorRequired` without a code that is needed, and
    :class:`accounts.actions.second_factors.WrongCode`.
    """
    with transaction.atomic():
        # Hashing takes its time: what was true before it must still be.
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
    """Return a new session of a user who has just proved who they are."""
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

    The first of many parallel callers rotates; the others, and a client that lost the answer, get
    the same successor for 10 s. Any other replay means that the token was copied: the session is
    revoked, and that is committed before :class:`RefreshRefused` is raised.
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
        revoke(session=session, reason=Session.Reason.REFRESH_REUSED, now=now)
    raise RefreshRefused


def _device(user_agent: str, address: str | None) -> tuple[str, str]:
    """Return what makes two log-ins one device's: program and network, whatever the version."""
    return re.sub(r"[\d.]+", "", user_agent), network(address or "")


def _get_devices(user: User) -> set[tuple[str, str]]:
    recent = user.sessions.order_by("-pk").values_list("user_agent", "address")
    return {_device(user_agent, address) for user_agent, address in recent[:DEVICES_REMEMBERED]}


def _rotate(session: Session, now: dt.datetime) -> None:
    session.previous_refresh_id = session.refresh_id
    session.refresh_id = uuid.uuid4()
    session.rotated_at = session.last_seen_at = now
    session.save(update_fields=["previous_refresh_id", "refresh_id", "rotated_at", "last_seen_at"])


def revoke(*, session: Session, reason: Session.Reason, now: dt.datetime) -> None:
    """End one session; none of its tokens is good for anything from the next request on."""
    _revoke_all(Session.objects.filter(pk=session.pk), reason, now, user_id=session.user_id)


def revoke_credentials(*, user: User, reason: Session.Reason, now: dt.datetime) -> None:
    """End all that lets anybody in as this user: sessions, access tokens, links in mails.

    For a password that was changed by whatever way, and for an account that was disabled.
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
        for session in AdminSession.objects.iterator():
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
