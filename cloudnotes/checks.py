"""System checks: settings with which CloudNotes refuses to start, each with an id and a hint."""

import os
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.db import connections

from cloudnotes import environment
from cloudnotes.db.tables import is_migrated
from cloudnotes.db.triggers import get_missing

MINIMUM_KEY_LENGTH = 32
ALGORITHMS = ("HS256", "HS384", "HS512")  # what one secret can sign (RFC 7518, 3.2)
WELL_KNOWN_KEYS = {
    "secret",
    "changeme",
    "change-me",
    "your-secret-key",
    "your_secret_key",
    "supersecretkey",
    # The key in FastAPI's security tutorial, copied into countless services.
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
}


def check_deployment(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for every wrong combination of settings."""
    errors: list[CheckMessage] = []

    def refuse(number: int, message: str, hint: str) -> None:
        errors.append(Error(message, hint=hint, id=f"cloudnotes.E{number:03}"))

    if settings.ENVIRONMENT not in ("development", "production"):
        refuse(1, "ENVIRONMENT is unknown.", "Set it to development or production.")
    if settings.BUCKET_NAME and bool(settings.AWS_ACCESS_KEY_ID) != bool(
        settings.AWS_SECRET_ACCESS_KEY
    ):
        refuse(
            2,
            "S3 is half configured.",
            "Set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither to use the "
            "machine's role.",
        )
    if not settings.BUCKET_NAME and settings.AWS_ENDPOINT_URL:
        refuse(3, "AWS_ENDPOINT_URL is set without BUCKET_NAME.", "Set BUCKET_NAME too.")
    if settings.SIMPLE_JWT["ALGORITHM"] not in ALGORITHMS:
        refuse(
            15,
            f"ALGORITHM is not {', '.join(ALGORITHMS[:-1])} or {ALGORITHMS[-1]}.",
            "Unset it for HS256: tokens are signed and checked here alone, with JWT_SECRET.",
        )
    if settings.EMAIL_VERIFICATION not in ("optional", "required"):
        refuse(10, "EMAIL_VERIFICATION is unknown.", "Set it to optional or required.")
    if settings.STAFF_TWO_FACTOR not in ("optional", "required"):
        refuse(13, "STAFF_TWO_FACTOR is unknown.", "Set it to optional or required.")
    if not settings.IN_PRODUCTION:
        return errors
    if settings.EMAIL_URL.startswith("consolemail"):
        refuse(
            11,
            "EMAIL_URL prints mails, and the links in them, into the log.",
            "Set it to smtp+tls://user:password@host:587, or unset it to send none.",
        )
    if settings.EMAIL_VERIFICATION == "required" and not settings.EMAIL_IS_ON:
        refuse(
            12,
            "EMAIL_VERIFICATION is required and there is no EMAIL_URL.",
            "Set EMAIL_URL to smtp+tls://user:password@host:587.",
        )
    if not settings.BUCKET_NAME and settings.AWS_ACCESS_KEY_ID:
        refuse(9, "AWS_ACCESS_KEY_ID is set without BUCKET_NAME.", "Set BUCKET_NAME, or neither.")
    if settings.DEBUG:
        refuse(4, "DEBUG is on in production.", "Unset DEBUG: it shows secrets to strangers.")
    for name in ("SECRET_KEY", "JWT_SECRET"):
        key = getattr(settings, name)
        if len(key) < MINIMUM_KEY_LENGTH or key.lower() in WELL_KNOWN_KEYS or len(set(key)) < 8:
            refuse(
                5,
                f"{name} is missing, short or well known.",
                "Set it to the output of: python3 -c "
                "'import secrets; print(secrets.token_urlsafe(64))'",
            )
    if "*" in settings.ALLOWED_HOSTS or not settings.ALLOWED_HOSTS:
        refuse(6, "ALLOWED_HOSTS is empty or '*'.", "Name the hosts that clients use.")
    is_embedded = settings.DATABASE["ENGINE"] == "cloudnotes.db.sqlite"
    if (
        settings.ON_RAILWAY
        and not settings.RAILWAY_VOLUME
        and (is_embedded or not settings.BUCKET_NAME)
    ):
        missing = "notes" if is_embedded else "files"
        refuse(
            8,
            f"The {missing} would lie on a disk that the next deploy throws away.",
            "Set DATABASE_URL to ${{Postgres.DATABASE_URL}} and BUCKET_NAME with its keys, or "
            "attach a volume.",
        )
    if not settings.PUBLIC_BASE_URL:
        refuse(
            7,
            "PUBLIC_BASE_URL is not set.",
            "Set it to the address that people use, such as https://notes.example.org.",
        )
    return errors


def check_names(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return a warning for each name in the environment that is not read and may be misspelt.

    A warning, as the name may be that of another program. It never has a value of a variable.
    """
    warnings: list[CheckMessage] = [
        CheckWarning(
            f"{name} is not a setting of CloudNotes, and is ignored.",
            hint=f"Perhaps {meant} is meant.",
            id="cloudnotes.W016",
        )
        for name, meant in environment.near_names(os.environ, settings.SETTING_NAMES).items()
    ]
    for alias, name in environment.contradictions(os.environ).items():
        warnings.append(
            CheckWarning(
                f"{alias} and {name} are set to different values, and {name} is used.",
                hint=f"Unset {alias}, which is another name of {name}.",
                id="cloudnotes.W017",
            )
        )
    return warnings


def check_triggers(
    app_configs: Sequence[Any] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Return an error for a migrated database that does not have each trigger of its models."""
    missing: set[str] = set()
    for alias in databases or ():
        if is_migrated(connections[alias]):
            missing.update(get_missing(connections[alias]))
    if not missing:
        return []
    return [
        Error(
            f"The database does not have the triggers {', '.join(sorted(missing))}.",
            hint="Create them: python manage.py make_triggers.",
            id="cloudnotes.E014",
        )
    ]


def first_refusal() -> str | None:
    """Return one line with the first error and its hint, None if there is no error."""
    for message in check_deployment(None):
        return f"CloudNotes cannot start: {message.msg} {message.hint}"
    return None
