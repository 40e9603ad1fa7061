"""Contacts of before are found by their full names, without accents, and by the digits of numbers."""

from django.db import migrations, transaction

from accounts import address_book

BATCH_SIZE = 500


def fill(apps, schema_editor):
    contacts = apps.get_model("accounts", "Contact").objects.using(schema_editor.connection.alias)
    columns = ("pk", "search_text", "first_name", "last_name", "email", "phone")
    last = 0
    while rows := contacts.filter(pk__gt=last).order_by("pk").values_list(*columns)[:BATCH_SIZE]:
        with transaction.atomic(using=schema_editor.connection.alias):
            for last, old, first_name, last_name, email, phone in rows:
                new = address_book.search_text((first_name, last_name, email), (phone,))
                if new != old:
                    # The condition: the release before this one may change the contact meanwhile.
                    contacts.filter(pk=last, search_text=old).update(search_text=new)


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('accounts', '0012_contact_fields'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
    ]
