"""A real SMTP server on loopback that can be stopped, started and told to misbehave."""

import email
import email.policy
import re
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from tests.ports import free_port
from tests.waiting import until


class MailServer:
    """Takes mail on a port of its own; what it took stays over a stop and a start."""

    def __init__(self) -> None:
        self.port = free_port()
        self.taken: list[EmailMessage] = []
        self.reply = ""  # an SMTP reply to give in place of taking a mail
        self.controller: Controller | None = None

    def start(self) -> None:
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, ready_timeout=60)
        self.controller.start()

    def stop(self) -> None:
        if self.controller:
            self.controller.stop()
            self.controller = None

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        if self.reply:
            return self.reply
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        message["X-Recipient"] = envelope.rcpt_tos[0]
        self.taken.append(message)
        return "250 OK"

    def wait_for(self, address: str, number: int = 1) -> None:
        """Wait until an address has got so many mails."""
        until(
            lambda: sum(message["X-Recipient"] == address for message in self.taken) >= number,
            f"{number} mails to {address}",
        )

    def wait_for_subject(self, address: str, subject: str) -> EmailMessage:
        """Wait until an address has got a mail whose subject begins so, and return it."""

        def newest() -> EmailMessage | None:
            for message in reversed(self.taken):
                if message["X-Recipient"] == address and message["Subject"].startswith(subject):
                    return message
            return None

        message = until(newest, f"a mail to {address}: {subject}")
        assert message
        return message

    @property
    def subjects(self) -> list[str]:
        return [message["Subject"].partition(" · ")[0] for message in self.taken]

    def last(self, address: str = "") -> EmailMessage:
        """Return the newest mail, to one address if it is given."""
        return next(
            message for message in reversed(self.taken) if address in ("", message["X-Recipient"])
        )


def text(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def token(message: EmailMessage) -> str:
    """Return the token of the link in a mail."""
    return re.search(r"/account/[a-z-]+#(\S+)", text(message))[1]  # type: ignore[index]


def code(message: EmailMessage) -> str:
    return re.search(r"code: (\d{8})\b", text(message))[1]  # type: ignore[index]
