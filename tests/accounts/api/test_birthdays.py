import calendar
import datetime as dt

import pytest
from django.utils import timezone

from accounts.actions import contacts as actions
from accounts.address_book import read_month_day
from tests.conftest import make_user

pytestmark = pytest.mark.django_db
BIRTHDAYS = "/api/v1/contacts/birthdays"


@pytest.fixture
def born(alice):
    def born(day, owner=alice):
        fields = {"first_name": day, "birthday": dt.date.fromisoformat(day)}
        return actions.create_contact(owner=owner, fields=fields, now=timezone.now())

    return born


def days_of(client, today, days=7):
    response = client.get(f"{BIRTHDAYS}?today={today}&days={days}&limit=200")
    assert response.status_code == 200
    return [
        (each["first_name"], each["next_birthday"], each["age"])
        for each in response.json()["results"]
    ]


def test_the_answer_is_the_contact_with_the_day_and_the_age(as_alice, born):
    contact = born("1985-04-12")
    whole = as_alice.get(f"/api/v1/contacts/{contact.pk}").json()
    assert as_alice.get(f"{BIRTHDAYS}?today=2026-04-10").json() == {
        "results": [{**whole, "next_birthday": "2026-04-12", "age": 41}],
        "next": None,
    }


def test_today_and_the_last_day_are_in_and_the_days_beside_them_are_not(as_alice, born, carol):
    for day in ("1990-04-09", "1990-04-10", "1990-04-17", "1990-04-18"):
        born(day)
    born("1990-04-10", owner=carol)
    assert days_of(as_alice, "2026-04-10") == [
        ("1990-04-10", "2026-04-10", 36),
        ("1990-04-17", "2026-04-17", 36),
    ]
    assert len(days_of(as_alice, "2026-04-10", 8)) == 3
    assert len(days_of(as_alice, "2026-04-10", 1)) == 1


def test_over_new_year(as_alice, born):
    for day in ("1990-01-02", "1980-12-31", "1970-01-01", "1960-12-30", "1950-01-06"):
        born(day)
    assert days_of(as_alice, "2026-12-30") == [
        ("1960-12-30", "2026-12-30", 66),
        ("1980-12-31", "2026-12-31", 46),
        ("1970-01-01", "2027-01-01", 57),
        ("1990-01-02", "2027-01-02", 37),
        ("1950-01-06", "2027-01-06", 77),
    ]


@pytest.mark.parametrize(
    ("today", "days", "kept_on"),
    [
        ("2028-02-22", 7, "2028-02-29"),
        ("2028-02-29", 1, "2028-02-29"),
        ("2028-02-28", 1, "2028-02-29"),
        ("2028-03-01", 365, "2029-02-28"),
        ("2027-02-21", 7, "2027-02-28"),
        ("2027-02-28", 1, "2027-02-28"),
        ("2027-03-01", 365, "2028-02-29"),
        ("2027-12-31", 60, "2028-02-29"),
        ("2026-12-31", 59, "2027-02-28"),
        ("2028-02-21", 7, None),
        ("2027-02-20", 7, None),
        ("2027-03-01", 364, None),
        ("2028-03-01", 363, None),
    ],
)
def test_29_february(as_alice, born, today, days, kept_on):
    born("2000-02-29")
    expected = [("2000-02-29", kept_on, int(kept_on[:4]) - 2000)] if kept_on else []
    assert days_of(as_alice, today, days) == expected


def test_birthdays_without_a_year(as_alice, alice):
    for text in ("--04-12", "--04-09", "--02-29"):
        fields = {"first_name": text, "birthday": None, "birthday_key": read_month_day(text)}
        actions.create_contact(owner=alice, fields=fields, now=timezone.now())
    assert days_of(as_alice, "2026-04-10") == [("--04-12", "2026-04-12", None)]
    assert days_of(as_alice, "2026-04-10", 364) == [
        ("--04-12", "2026-04-12", None),
        ("--02-29", "2027-02-28", None),
        ("--04-09", "2027-04-09", None),
    ]
    (found, *_) = as_alice.get(f"{BIRTHDAYS}?today=2028-02-29").json()["results"]
    assert (found["birthday"], found["next_birthday"]) == ("--02-29", "2028-02-29")


def test_29_february_stands_with_the_28th_in_common_years(as_alice, born):
    for day in ("2000-02-29", "2000-02-28", "2000-03-01", "2001-02-28"):
        born(day)
    ordered = [name for name, _, _ in days_of(as_alice, "2027-02-27")]
    assert ordered == ["2000-02-29", "2000-02-28", "2001-02-28", "2000-03-01"]
    ordered = [name for name, _, _ in days_of(as_alice, "2028-02-27")]
    assert ordered == ["2000-02-28", "2001-02-28", "2000-02-29", "2000-03-01"]


@pytest.mark.parametrize(
    "today", ["2026-01-01", "2026-12-31", "2027-02-28", "2027-03-01", "2028-02-29", "2028-03-01"]
)
def test_366_days_hold_every_birthday_once(as_alice, born, today):
    """Each day of a leap year, compared with the first day on which it comes round."""
    start = dt.date(2000, 1, 1)
    days = [start + dt.timedelta(days=number) for number in range(0, 366, 3)]
    for day in [*days, dt.date(2000, 2, 29)]:
        born(day.isoformat())
    first = dt.date.fromisoformat(today)

    def comes(day):
        for ahead in range(367):
            then = first + dt.timedelta(days=ahead)
            kept = day
            if (day.month, day.day) == (2, 29) and not calendar.isleap(then.year):
                kept = day.replace(day=28)
            if (then.month, then.day) == (kept.month, kept.day):
                return then.isoformat()
        raise AssertionError(day)

    found = days_of(as_alice, today, 366)
    assert len(found) == len(days) + 1
    assert [then for _, then, _ in found] == sorted(then for _, then, _ in found)
    assert all(then == comes(dt.date.fromisoformat(name)) for name, then, _ in found)


def test_nobody_has_a_birthday_before_being_born(as_alice, born):
    born("2027-01-03")
    assert days_of(as_alice, "2025-12-30") == []
    assert days_of(as_alice, "2026-12-30") == [("2027-01-03", "2027-01-03", 0)]
    assert days_of(as_alice, "2026-12-30", 366) == [("2027-01-03", "2027-01-03", 0)]


def test_without_today_it_is_today_in_utc(as_alice, born):
    day = timezone.now().date()
    born(day.replace(year=2000).isoformat())
    (found,) = as_alice.get(BIRTHDAYS).json()["results"]
    assert found["next_birthday"] >= day.isoformat()


def test_pages_over_new_year_with_equal_days(as_alice, born):
    made = [born(day) for day in ("1990-01-01", "1980-12-31", "1970-12-31", "1960-01-01")]
    url = f"{BIRTHDAYS}?today=2026-12-30&limit=1&count=true"
    seen, cursor = [], ""
    while cursor is not None:
        page = as_alice.get(f"{url}&cursor={cursor}").json()
        assert page["count"] == 4
        seen += [contact["id"] for contact in page["results"]]
        cursor = page["next"]
    assert seen == [made[1].pk, made[2].pk, made[0].pk, made[3].pk]


def test_a_cursor_is_good_for_its_today_and_its_list_only(as_alice, born):
    for day in ("1990-01-01", "1980-12-31", "1970-12-31"):
        born(day)
    url = f"{BIRTHDAYS}?limit=1&today="
    cursor = as_alice.get(f"{url}2026-12-30").json()["next"]
    assert as_alice.get(f"{url}2026-12-30&cursor={cursor}").status_code == 200
    for other in (
        f"{url}2026-12-31",
        f"{url}2025-12-30",
        "/api/v1/contacts?limit=1",
        "/api/v1/notes?limit=1",
    ):
        response = as_alice.get(f"{other}&cursor={cursor}")
        assert response.status_code == 400, other
        assert response.json()["errors"][0]["code"] == "invalid_cursor"
    listed = as_alice.get("/api/v1/contacts?limit=1").json()["next"]
    assert as_alice.get(f"/api/v1/contacts?cursor={listed}").status_code == 200
    for other in (f"{url}2026-12-30", "/api/v1/notes?limit=1"):
        assert as_alice.get(f"{other}&cursor={listed}").status_code == 400, other


@pytest.mark.parametrize(
    "query",
    [
        *("days=0", "days=-1", "days=367", "days=x", "days=", "days=1.5", "days=1" + "0" * 30),
        *("today=", "today=x", "today=2027-02-29", "today=0001-01-01", "today=9999-12-31"),
        *("today=2026-01-01T00:00:00Z", "today=%ff", "days=7&limit=0"),
    ],
)
def test_bad_queries_are_400(as_alice, query):
    response = as_alice.get(f"{BIRTHDAYS}?{query}")
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["errors"]


def test_queries(as_alice, born, django_assert_num_queries):
    for day in ("1990-01-01", "1980-12-31"):
        born(day)
    with django_assert_num_queries(2):  # session JOIN user; contacts
        as_alice.get(f"{BIRTHDAYS}?today=2026-12-30")
    with django_assert_num_queries(3):  # session JOIN user; count; contacts
        as_alice.get(f"{BIRTHDAYS}?today=2026-12-30&count=true")


def test_others_see_none_of_it(as_alice, as_carol, born):
    born("1990-01-01", owner=make_user("dan"))
    for client in (as_alice, as_carol):
        assert days_of(client, "2026-01-01", 366) == []
