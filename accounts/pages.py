"""The pages that links in mails open, and the one that sets up two-factor log-in.

A link's token stands behind the ``#`` of the address, where no server or log sees it; a script
hands it to the API when the person presses the button, so a mail scanner that opens links uses up
nothing.
"""

from django.conf import settings
from django.views.generic import TemplateView


class VerifyEmailPage(TemplateView):
    """Confirm an address."""

    template_name = "account/verify_email.html"
    extra_context = {
        "asks_for_password": settings.EMAIL_VERIFICATION == "required",
    }


class ResetPasswordPage(TemplateView):
    """Choose a new password."""

    template_name = "account/reset_password.html"


class TwoFactorPage(TemplateView):
    """Set up two-factor log-in, for those who have no other client: staff above all."""

    template_name = "account/two_factor.html"
