"""Two-factor log-in: for users by the API, for staff in the admin."""

import collections
import datetime as dt
import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import pyotp
import pytest
import requests
from django.core import serializers
from django.urls import reverse
from django.utils import timezone

from accounts.actions import second_factors
from accounts.models import Attempts, SecondFactor
from tests.clients import new_account
from tests.conftest import PASSWORD, client_of, make_user

TWO, LOGIN = "/api/v1/auth/2fa", "/api/v1/auth/login"


def enable(user):
    """Return the user's app and recovery codes; the code of now is left unused."""
    now = timezone.now()
    factor = second_factors.begin(user=user, password=PASSWORD, now=now)
    app = pyotp.TOTP(second_factors.secret_of(factor))
    codes = second_factors.confirm(user=user, code=app.at(now, counter_offset=-1), now=now)
    return app, codes


def log_in(anonymous, **fields):
    body = {"username": "alice", "password": PASSWORD, **fields}
    answer = anonymous.post(LOGIN, body, format="json")
    return answer.status_code, answer.json().get("code", "")


@pytest.mark.django_db
class TestUsers:
    def test_from_beginning_to_end(self, as_alice, anonymous, mailbox):
        assert as_alice.get(TWO).json() == {"enabled": False, "recovery_codes_left": 0}
        setup = as_alice.post(TWO, {"password": PASSWORD}, format="json").json()
        assert setup["otpauth_url"].startswith("otpauth://totp/CloudNotes:alice%40example.org?")
        assert setup["qr_code"].startswith("data:image/svg+xml")
        assert log_in(anonymous)[0] == 200  # not before it is confirmed
        app = pyotp.parse_uri(setup["otpauth_url"])
        assert app.secret == setup["secret"]
        answer = as_alice.post(f"{TWO}/confirm", {"code": app.now()}, format="json")
        codes = answer.json()["recovery_codes"]
        assert len(set(codes)) == 10
        assert as_alice.get(TWO).json() == {"enabled": True, "recovery_codes_left": 10}
        assert log_in(anonymous) == (401, "second_factor_required")
        assert log_in(anonymous, code=app.at(time.time(), counter_offset=1))[0] == 200
        assert log_in(anonymous, code=codes[0].upper().replace("-", " "))[0] == 200
        assert log_in(anonymous, code=codes[0]) == (403, "wrong_code")
        off = {"password": PASSWORD, "code": codes[1]}
        assert as_alice.delete(TWO, off, format="json").status_code == 204
        assert log_in(anonymous)[0] == 200
        subjects = mailbox.fetch().subjects
        assert subjects.count("Your two-factor log-in was changed") == 2

    def test_the_form_takes_a_code_too(self, alice, anonymous):
        app, _ = enable(alice)
        form = f"username=alice&password={PASSWORD.replace(' ', '+')}&code={app.now()}"
        answer = anonymous.post(LOGIN, form, content_type="application/x-www-form-urlencoded")
        assert answer.status_code == 200

    def test_a_code_is_good_once(self, alice, anonymous):
        app, _ = enable(alice)
        code = app.now()
        assert log_in(anonymous, code=code)[0] == 200
        assert log_in(anonymous, code=code) == (403, "wrong_code")

    def test_clocks_may_differ_by_a_step_and_no_more(self, alice, anonymous):
        app, _ = enable(alice)
        now = time.time()
        for step, status in ((-3, 403), (3, 403), (1, 200), (0, 403)):  # 0 is older than 1 now
            assert log_in(anonymous, code=app.at(now, counter_offset=step))[0] == status, step

    @pytest.mark.parametrize("code", ["0000000", "é" * 6, "abc", " ", "1" * 40])
    def test_wrong_codes(self, alice, anonymous, code):
        enable(alice)
        assert log_in(anonymous, code=code)[0] in (401, 403, 400)

    def test_a_wrong_password_is_told_first(self, alice, anonymous):
        app, _ = enable(alice)
        assert log_in(anonymous, password="wrong", code=app.now()) == (401, "wrong_credentials")

    def test_who_has_none_may_send_a_code(self, alice, anonymous):
        assert log_in(anonymous, code="123456")[0] == 200

    def test_beginning_again_makes_another_secret(self, as_alice):
        first, second = (
            as_alice.post(TWO, {"password": PASSWORD}, format="json").json()["secret"]
            for _ in range(2)
        )
        assert first != second
        old = pyotp.TOTP(first).now()
        answer = as_alice.post(f"{TWO}/confirm", {"code": old}, format="json")
        assert answer.status_code == 403

    def test_all_of_it_asks_for_password_and_code(self, alice, as_alice):
        app, _ = enable(alice)
        right = {"password": PASSWORD, "code": app.now()}
        for wrong in ({"password": "wrong"}, {"code": "0000000"}):
            for call, path in ((as_alice.delete, TWO), (as_alice.post, f"{TWO}/recovery-codes")):
                assert call(path, {**right, **wrong}, format="json").status_code == 403
        assert as_alice.post(TWO, {"password": "wrong"}, format="json").status_code == 403
        answer = as_alice.post(TWO, {"password": PASSWORD}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "two_factor_enabled")

    def test_new_recovery_codes_replace_the_old(self, alice, as_alice, anonymous):
        app, old = enable(alice)
        body = {"password": PASSWORD, "code": app.now()}
        new = as_alice.post(f"{TWO}/recovery-codes", body, format="json").json()["recovery_codes"]
        assert log_in(anonymous, code=old[0])[0] == 403
        assert log_in(anonymous, code=new[0])[0] == 200

    def test_the_database_cannot_make_a_code(self, alice):
        app, codes = enable(alice)
        dump = serializers.serialize("json", SecondFactor.objects.all())
        for secret in (app.secret, *codes, *(code.replace("-", "") for code in codes)):
            assert secret not in dump

    def test_it_outlives_a_change_of_the_key(self, alice, anonymous, settings):
        app, _ = enable(alice)
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = secrets.token_hex(32)
        assert log_in(anonymous, code=app.now())[0] == 200

    def test_ten_codes_an_hour_and_fifty_a_day_from_wherever(self, alice, anonymous, settings):
        settings.RATE_LIMITS = True
        app, _ = enable(alice)
        body = {"username": "alice", "password": PASSWORD, "code": "0000000"}
        statuses = collections.Counter(
            anonymous.post(LOGIN, body, format="json", REMOTE_ADDR=f"203.0.{n // 9}.1").status_code
            for n in range(52)
        )
        assert statuses == {403: 50, 429: 2}
        Attempts.objects.all().delete()
        statuses = [anonymous.post(LOGIN, body, format="json").status_code for _ in range(10)]
        assert statuses == [403] * 10
        body["code"] = app.now()  # another network is not locked out
        assert anonymous.post(LOGIN, body, format="json").status_code == 429
        elsewhere = anonymous.post(LOGIN, body, format="json", REMOTE_ADDR="203.0.113.1")
        assert elsewhere.status_code == 200


def test_of_eight_parallel_log_ins_with_one_code_one_wins(server):
    account, tokens = new_account(server)
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    base = f"{server.api}/auth/2fa"
    setup = requests.post(base, json={"password": PASSWORD}, headers=header, timeout=60).json()
    app, now = pyotp.TOTP(setup["secret"]), dt.datetime.now(dt.UTC)
    confirm = {"code": app.at(now)}
    assert requests.post(f"{base}/confirm", json=confirm, headers=header, timeout=60).ok
    body = {**account, "code": app.at(now, counter_offset=1)}
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda _: requests.post(f"{server.api}/auth/login", json=body, timeout=60), range(8)
        )
        statuses = collections.Counter(answer.status_code for answer in answers)
    assert statuses == {200: 1, 403: 7}


@pytest.mark.django_db
class TestStaff:
    url = reverse("admin:login")

    @pytest.fixture
    def sam(self):
        return make_user("sam", is_staff=True, is_superuser=True)

    def log_in(self, client, **fields):
        form = {"username": "sam@example.org", "password": PASSWORD, **fields}
        return client.post(self.url, form)

    def test_whoever_has_one_needs_it(self, client, sam):
        app, _ = enable(sam)
        assert "Enter the code" in self.log_in(client).content.decode()
        assert "not right" in self.log_in(client, code="0000000").content.decode()
        assert client.get(reverse("admin:index")).status_code == 302
        assert self.log_in(client, code=app.now()).status_code == 302
        assert client.get(reverse("admin:index")).status_code == 200

    def test_where_it_is_required_nobody_is_in_without(self, client, sam, settings):
        assert self.log_in(client).status_code == 302
        settings.STAFF_TWO_FACTOR = "required"
        assert client.get(reverse("admin:index")).status_code == 302  # a session of before
        page = self.log_in(client).content.decode()
        assert "http://127.0.0.1:8000/account/two-factor" in page
        app, _ = enable(sam)
        assert self.log_in(client, code=app.now()).status_code == 302
        assert client.get(reverse("admin:index")).status_code == 200

    def test_the_limit_of_codes_holds_in_the_admin_too(self, client, sam, settings):
        settings.RATE_LIMITS = True
        enable(sam)
        settings.LIMITS = {**settings.LIMITS, "admin_login": [("network", 1000, 300)]}
        statuses = [self.log_in(client, code="0000000").status_code for _ in range(11)]
        assert statuses == [200] * 10 + [429]

    def test_staff_can_take_away_a_lost_one(self, client, sam, alice, anonymous, mailbox):
        enable(alice)
        client.force_login(sam)
        body = {"action": "take_second_factor", "_selected_action": [alice.pk]}
        client.post(reverse("admin:accounts_user_changelist"), body)
        assert log_in(anonymous)[0] == 200
        assert mailbox.fetch().last()["X-Recipient"] == "alice@example.org"

    def test_the_log_in_page(self, client):
        page = client.get(self.url).content.decode()
        assert 'name="code"' in page
        assert reverse("two-factor-page") in page
        assert client.get(reverse("two-factor-page")).status_code == 200


@pytest.mark.django_db
def test_the_second_factor_dies_with_the_account(alice):
    enable(alice)
    client_of(alice).delete("/api/v1/auth/me", {"password": PASSWORD}, format="json")
    assert not SecondFactor.objects.exists()
