"""Users."""

from typing import Any, ClassVar

from django.contrib.auth.hashers import make_password, verify_password
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.utils import timezone

from accounts.identifiers import fold, fold_address, to_canonical_address

FOLDED_LENGTH = 320
EMAIL_TAKEN = (
    "There is an account with this e-mail address already. "
    "Log in, or register with another address."
)


class UserManager(BaseUserManager["User"]):
    """Finds users by folded identifiers and creates users, for Django's commands too."""

    def get_by_natural_key(self, email: str | None) -> "User":
        """Return the user with this e-mail address however it is written. Raises DoesNotExist."""
        return self.get(email_folded=fold_address(email or ""))

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create and return a user. Raises IntegrityError if the address or username is taken."""
        user = self.model(**fields)
        user.set_identifiers(email=email, username=fields.get("username"))
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create and return a superuser (``make admin``)."""
        fields = {"email_verified_at": timezone.now(), **fields}  # the console proves it
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person with an account. Owns notes and sessions, which die with the row.

    ``email`` is stored in its canonical form (``accounts.identifiers``), to which mail goes, and
    ``username`` as typed; the ``_folded`` columns are used for comparison. ``set_identifiers`` sets
    both.
    """

    class Language(models.TextChoices):
        """A language whose word forms search knows; ``simple`` finds words only as written."""

        SIMPLE = "simple"
        ENGLISH = "english"
        GERMAN = "german"
        FRENCH = "french"
        RUSSIAN = "russian"

    email = models.EmailField(max_length=254)
    email_folded = models.CharField(max_length=FOLDED_LENGTH, editable=False)
    username = models.CharField(max_length=60, null=True, blank=True)  # noqa: DJ001 - NULL is not unique
    username_folded = models.CharField(  # noqa: DJ001 - same
        max_length=FOLDED_LENGTH, null=True, blank=True, editable=False
    )
    email_verified_at = models.DateTimeField(null=True, blank=True)
    full_name = models.CharField(max_length=200, blank=True, default="", db_default="")
    # Random id in the URL of the picture; it stays the same when the picture changes.
    avatar_id = models.CharField(  # noqa: DJ001 - NULL is not unique
        max_length=32, null=True, blank=True, editable=False
    )
    # Whether a write to a note must name the version that it replaces (428, RFC 6585).
    require_if_match = models.BooleanField(default=False, db_default=False)
    # Whose word forms searches know (Language).
    language = models.CharField(
        max_length=10, choices=Language.choices, default=Language.SIMPLE, db_default=Language.SIMPLE
    )
    is_active = models.BooleanField(default=True, db_default=True)
    is_staff = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        constraints = [
            # Implied by the next one; it shows Django's commands that USERNAME_FIELD is unique.
            models.UniqueConstraint(
                fields=["email"],
                name="one_account_per_written_email",
                violation_error_code="email_taken",
                violation_error_message=EMAIL_TAKEN,
            ),
            models.UniqueConstraint(
                fields=["email_folded"],
                name="one_account_per_email",
                violation_error_code="email_taken",
                violation_error_message=EMAIL_TAKEN,
            ),
            models.UniqueConstraint(
                fields=["username_folded"],
                name="one_account_per_username",
                violation_error_code="username_taken",
                violation_error_message="This username is taken. Choose another one.",
            ),
            models.UniqueConstraint(fields=["avatar_id"], name="one_user_per_avatar_id"),
            models.CheckConstraint(
                condition=~models.Q(username_folded__contains="@"),
                name="username_is_no_email",
                violation_error_code="invalid_username",
                violation_error_message="A username cannot hold an @: it could be mistaken for "
                "somebody's e-mail address.",
            ),
        ]

    def __str__(self) -> str:
        return self.email

    def set_identifiers(self, *, email: str, username: str | None) -> None:
        """Set both identifiers with their folded copies; an empty username means none."""
        self.email = to_canonical_address(email)
        self.email_folded = fold(self.email)
        self.username = username or None
        self.username_folded = fold(username) if username else None

    def check_password(self, raw_password: str) -> bool:
        """Return whether this is the password; an old hash of it is replaced by a current one.

        It is replaced only if it is still the hash that was checked, unlike in Django's own method:
        a parallel change of the password must not be undone.
        """
        old_hash = self.password
        is_right, is_old = verify_password(raw_password, old_hash)
        if not is_right and is_old and not old_hash.startswith("bcrypt"):
            make_password(raw_password)  # or a fast old hash would reveal that the account exists
        if is_right and is_old:
            self.set_password(raw_password)
            unchanged = User.objects.filter(pk=self.pk, password=old_hash)
            if not unchanged.update(password=self.password):
                self.refresh_from_db(fields=["password"])
                is_right, _ = verify_password(raw_password, self.password)
        return is_right

    @property
    def email_verified(self) -> bool:
        """Whether the address is verified."""
        return self.email_verified_at is not None

    def get_short_name(self) -> str:
        """Return the name in the admin's greeting."""
        return self.full_name or self.email
