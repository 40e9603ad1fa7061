"""Second factors: set up, used, switched off."""

import base64
import datetime as dt
import hashlib
import hmac
import logging
import secrets

import pyotp
from django.conf import settings
from django.db import transaction

from accounts.actions import credentials, mails
from accounts.models import Mail, SecondFactor, User
from cloudnotes.api import key_derivation
from cloudnotes.api.errors import DomainError

STEP_SECONDS = 30
DRIFT_STEPS = 1  # clocks may differ by this many steps (RFC 6238, 5.2)
RECOVERY_CODES = 10
RECOVERY_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 that do not look alike

security_log = logging.getLogger("cloudnotes.security")


class AlreadyEnabled(DomainError):
    """A user who has a second factor tries to set up another one."""

    status = 409
    code = "two_factor_enabled"
    detail = "Two-factor log-in is on already. Switch it off first."


class NotEnabled(DomainError):
    """The user has no second factor."""

    status = 409
    code = "two_factor_not_enabled"
    detail = "Two-factor log-in is not on. Set it up first."


class WrongCode(DomainError):
    """The code is not the current one, was used before, or is no unused recovery code."""

    status = 403
    code = "wrong_code"
    detail = "The code is not right, or was used before. Wait for the next one and try again."
    field = "code"


def secret_of(factor: SecondFactor) -> str:
    """Return the secret for an authenticator app, in base 32."""
    return _secrets(factor)[0]


def provisioning_uri(factor: SecondFactor) -> str:
    """Return the ``otpauth:`` address that apps read from a QR code."""
    totp = pyotp.TOTP(secret_of(factor))
    return totp.provisioning_uri(name=factor.user.email, issuer_name="CloudNotes")


def get_enabled(user: User) -> SecondFactor | None:
    """Return the confirmed second factor of a user, None without one."""
    return SecondFactor.objects.filter(user=user, confirmed_at__isnull=False).first()


def begin(*, user: User, password: str, now: dt.datetime) -> SecondFactor:
    """Create and return a second factor to be confirmed; replace an unconfirmed one.

    Raises :class:`accounts.actions.credentials.WrongPassword` and :class:`AlreadyEnabled`.
    """
    credentials.check_password(user=user, password=password)
    with transaction.atomic():
        credentials.lock(user)
        if get_enabled(user):
            raise AlreadyEnabled
        SecondFactor.objects.filter(user=user).delete()
        return SecondFactor.objects.create(user=user, nonce=secrets.token_hex(32), created_at=now)


def confirm(*, user: User, code: str, now: dt.datetime) -> list[str]:
    """Switch two-factor log-in on and return the recovery codes, which cannot be shown again.

    Raises :class:`WrongCode`, :class:`AlreadyEnabled`, and :class:`NotEnabled` before
    :func:`begin`.
    """
    with transaction.atomic():
        credentials.lock(user)
        factor = SecondFactor.objects.select_for_update().filter(user=user).first()
        if factor is None:
            raise NotEnabled
        if factor.confirmed_at:
            raise AlreadyEnabled
        if not _use_one_time_password(factor, code, now):
            _log_refused(user)
            raise WrongCode
        factor.confirmed_at = now
        factor.save(update_fields=["confirmed_at"])
        codes = _renew_recovery_codes(factor)
        _tell(user, "on", now)
    return codes


def renew_recovery_codes(*, user: User, password: str, code: str, now: dt.datetime) -> list[str]:
    """Return new recovery codes; the old ones become invalid. Raises as :func:`disable`."""
    credentials.check_password(user=user, password=password)
    with transaction.atomic():
        credentials.lock(user)
        return _renew_recovery_codes(use(user=user, code=code, now=now))


def disable(*, user: User, password: str, code: str, now: dt.datetime) -> None:
    """Switch two-factor log-in off.

    Raises :class:`accounts.actions.credentials.WrongPassword`, :class:`WrongCode` and
    :class:`NotEnabled`.
    """
    credentials.check_password(user=user, password=password)
    with transaction.atomic():
        credentials.lock(user)
        use(user=user, code=code, now=now).delete()
        _tell(user, "off", now)


def reset(*, user: User, by: User, now: dt.datetime) -> None:
    """Remove a lost second factor, by staff; the user gets a mail and it is logged."""
    with transaction.atomic():
        credentials.lock(user)
        if SecondFactor.objects.filter(user=user).delete()[0]:
            _tell(user, "off", now, by=by)


def use(*, user: User, code: str, now: dt.datetime) -> SecondFactor:
    """Use a one-time password or a recovery code; return the second factor that accepted it.

    Each is accepted once. Call it in the transaction that needs it, with the user locked.
    Raises :class:`WrongCode` and :class:`NotEnabled`.
    """
    factor = (
        SecondFactor.objects.select_for_update()
        .filter(user=user, confirmed_at__isnull=False)
        .first()
    )
    if factor is None:
        raise NotEnabled
    if not (_use_one_time_password(factor, code, now) or _use_recovery_code(factor, code)):
        _log_refused(user)
        raise WrongCode
    return factor


def _log_refused(user: User) -> None:
    security_log.warning("code refused", extra={"event": "code_refused", "user": user.pk})


def _secrets(factor: SecondFactor) -> list[str]:
    derived = key_derivation.derive_all("totp", factor.user_id, factor.nonce)
    return [base64.b32encode(secret[:20]).decode() for secret in derived]


def _use_one_time_password(factor: SecondFactor, code: str, now: dt.datetime) -> bool:
    entered, current_step = code.replace(" ", ""), int(now.timestamp()) // STEP_SECONDS
    if not entered.isascii():
        return False
    for secret in _secrets(factor):
        totp = pyotp.TOTP(secret)
        for step in range(current_step - DRIFT_STEPS, current_step + DRIFT_STEPS + 1):
            expected = totp.generate_otp(step)
            if hmac.compare_digest(entered, expected) and step > factor.last_step:
                factor.last_step = step
                factor.save(update_fields=["last_step"])
                return True
    return False


def _use_recovery_code(factor: SecondFactor, code: str) -> bool:
    digest = _digest(code)
    if digest not in factor.recovery_digests:
        return False
    factor.recovery_digests = [stored for stored in factor.recovery_digests if stored != digest]
    factor.save(update_fields=["recovery_digests"])
    log_fields = {"event": "recovery_code_used", "user": factor.user_id}
    security_log.warning("recovery code used", extra=log_fields)
    return True


def _renew_recovery_codes(factor: SecondFactor) -> list[str]:
    codes = [
        "-".join("".join(secrets.choice(RECOVERY_ALPHABET) for _ in range(5)) for _ in range(4))
        for _ in range(RECOVERY_CODES)
    ]
    factor.recovery_digests = [_digest(code) for code in codes]
    factor.save(update_fields=["recovery_digests"])
    return codes


def _digest(code: str) -> str:
    letters = code.lower().replace("-", "").replace(" ", "")
    return hashlib.sha256(letters.encode()).hexdigest()


def _tell(user: User, state: str, now: dt.datetime, by: User | None = None) -> None:
    mails.enqueue(kind=Mail.Kind.TWO_FACTOR_CHANGED, user=user, details={"state": state}, now=now)
    event = f"two_factor_{state}"
    security_log.info(event, extra={"event": event, "user": user.pk, "by": (by or user).pk})


def is_needed_by_staff() -> bool:
    """Return whether the admin requires a second factor."""
    return bool(settings.STAFF_TWO_FACTOR == "required")
