from django.db import migrations

from accounts.identifiers import InvalidAddress, canonical_address, fold


def rewrite(apps, schema_editor):
    """Keep addresses in their one form, where no other account has it.

    ``check_addresses`` names the others. An address that mail did not go to before has to be
    confirmed again.
    """
    User = apps.get_model("accounts", "User")
    for user in User.objects.order_by("pk").only("email", "email_folded").iterator():
        if user.email.isascii() and "xn--" not in user.email.lower():
            continue
        try:
            address = canonical_address(user.email)
        except InvalidAddress:
            continue
        folded = fold(address)
        if (user.email, user.email_folded) == (address, folded):
            continue
        if User.objects.filter(email_folded=folded).exclude(pk=user.pk).exists():
            continue
        changes = {"email": address, "email_folded": folded}
        if not reached(user.email, address):
            changes["email_verified_at"] = None
        User.objects.filter(pk=user.pk).update(**changes)


def reached(before, address):
    """Return whether mail to the old spelling reached the new one: it was sent by IDNA 2003."""
    local, _, domain = before.rpartition("@")
    try:
        sent = f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return False
    return sent.casefold() == address.casefold() and local.isascii()


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0010_language"),
    ]

    operations = [
        migrations.RunPython(rewrite, migrations.RunPython.noop, elidable=False),
    ]
