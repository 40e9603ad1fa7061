"""Accounts: users and their credentials."""

import logging
from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_login_failed

PASSED = "second_factor_passed"  # in the admin session of a user who has passed one

security_log = logging.getLogger("cloudnotes.security")


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Connect to the signals of admin log-ins, which Django does without an action of ours."""
        user_logged_in.connect(_logged_in, dispatch_uid="accounts.logged_in")
        user_login_failed.connect(_login_failed, dispatch_uid="accounts.login_failed")


def _logged_in(request: Any, user: Any, **context: Any) -> None:
    # Only after the log-in: it may replace the session of another user.
    if getattr(request, "second_factor_passed", False):
        request.session[PASSED] = True
    security_log.info("admin login", extra={"event": "admin_login", "user": user.pk})


def _login_failed(**context: Any) -> None:
    security_log.warning("admin login refused", extra={"event": "admin_login_refused"})
