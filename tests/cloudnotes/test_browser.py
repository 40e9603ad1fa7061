"""/docs, /redoc and the admin in a real browser, which reaches nothing but this server."""

import re
import secrets

import pyotp
import pytest
import requests
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.conftest import PASSWORD, leg
from tests.mailserver import text


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = leg("chromium")
    for argument in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--window-size=1200,2000", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(leg("chromedriver")))
    yield driver
    driver.quit()


def patient(browser):
    """Wait for what a page shows, which may render anew while it is looked at."""
    return WebDriverWait(browser, 60, ignored_exceptions=[StaleElementReferenceException])


def seen(browser, selector):
    def look(driver):
        found = driver.find_elements(By.CSS_SELECTOR, selector)
        return next((each for each in found if each.is_displayed()), None)

    return patient(browser).until(look, selector)


def complaints(browser):
    """Return what the browser refused or could not load: CSP, network, scripts."""
    severe = [line["message"] for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    # ReDoc's own logo in its footer would come from its makers; that it is blocked is right.
    return [line for line in severe if "cdn.redoc.ly/redoc/logo" not in line]


def test_authorize_in_docs_logs_in_by_the_password_form(browser, disk_server):
    name = secrets.token_hex(6)
    account = {"email": f"{name}@example.org", "username": name, "password": PASSWORD}
    requests.post(f"{disk_server.api}/auth/register", json=account, timeout=60)
    browser.get(f"{disk_server.url}/docs")
    seen(browser, "button.authorize").click()
    seen(browser, "#oauth_username, input[name=username]").send_keys(name)
    seen(browser, "#oauth_password, input[name=password]").send_keys(PASSWORD)
    seen(browser, ".modal-ux button.authorize").click()
    patient(browser).until(
        lambda driver: any(
            button.text == "Logout"
            for button in driver.find_elements(By.CSS_SELECTOR, ".modal-ux button")
        )
    )
    seen(browser, ".modal-ux button.btn-done").click()
    seen(browser, "#operations-auth-auth_me_retrieve .opblock-summary-control").click()
    seen(browser, "#operations-auth-auth_me_retrieve .try-out__btn").click()
    seen(browser, "#operations-auth-auth_me_retrieve .execute").click()
    response = "#operations-auth-auth_me_retrieve .live-responses-table .response"
    patient(browser).until(lambda _: f'"{name}"' in seen(browser, response).text)
    assert "200" in seen(browser, response).text
    assert complaints(browser) == []


@pytest.fixture
def account(mailing_server):
    server, mail_server = mailing_server
    account = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD}
    requests.post(f"{server.api}/auth/register", json=account, timeout=60)
    mail_server.wait_for(account["email"])
    return account


def open_link(browser, mailing_server, account):
    """Open the page that the newest mail links to, on the port where the test's server is."""
    server, mail_server = mailing_server
    link = re.search(r"(/account/\S+#\S+)", text(mail_server.last(account["email"])))[1]
    browser.get(f"{server.url}{link}")
    return link.partition("#")[2]


def said(browser, words):
    patient(browser).until(lambda _: words in seen(browser, "#said").text)


def test_the_link_of_a_mail_confirms_the_address(browser, mailing_server, account):
    open_link(browser, mailing_server, account)
    seen(browser, "button").click()
    said(browser, "The address is confirmed")
    open_link(browser, mailing_server, account)
    browser.refresh()
    seen(browser, "button").click()
    said(browser, "was used before")
    assert [line for line in complaints(browser) if "400 (Bad Request)" not in line] == []


def test_the_link_of_a_mail_sets_a_new_password(browser, mailing_server, account):
    server, mail_server = mailing_server
    requests.post(
        f"{server.api}/auth/password/forgot", json={"email": account["email"]}, timeout=60
    )
    mail_server.wait_for(account["email"], 2)
    token = open_link(browser, mailing_server, account)
    seen(browser, "input[name=password]").send_keys("a whole new password")
    seen(browser, "button").click()
    said(browser, "The password is set")
    assert token not in browser.current_url
    new = {**account, "password": "a whole new password"}
    assert requests.post(f"{server.api}/auth/login", json=new, timeout=60).ok
    assert token not in server.log.read_text()
    assert complaints(browser) == []


def test_a_person_sets_up_two_factor_log_in(browser, mailing_server, account):
    server, _ = mailing_server
    browser.get(f"{server.url}/account/two-factor")
    seen(browser, "input[name=username]").send_keys(account["email"])
    seen(browser, "input[name=password]").send_keys(PASSWORD)
    seen(browser, "#begin button").click()
    secret = seen(browser, "#secret").text
    assert seen(browser, "#qr-code").get_property("naturalWidth") > 100
    seen(browser, "input[name=code]").send_keys(pyotp.TOTP(secret).now())
    seen(browser, "#confirm button").click()
    codes = seen(browser, "#recovery-codes").text.split()
    assert len(codes) == 10
    refused = requests.post(f"{server.api}/auth/login", json=account, timeout=60)
    assert refused.json()["code"] == "second_factor_required"
    body = {**account, "code": codes[0]}
    assert requests.post(f"{server.api}/auth/login", json=body, timeout=60).ok
    assert complaints(browser) == []


def test_redoc_shows_the_api_without_internet(browser, disk_server):
    browser.get(f"{disk_server.url}/redoc")
    assert "CloudNotes" in seen(browser, "h1").text
    assert seen(browser, "[data-section-id]")
    assert complaints(browser) == []


def test_staff_see_users_and_notes_in_the_admin(browser, disk_server):
    name = secrets.token_hex(6)
    account = {"email": f"{name}@example.org", "password": PASSWORD}
    tokens = requests.post(f"{disk_server.api}/auth/register", json=account, timeout=60).json()
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    note = {"title": f"Plans of {name}", "content": "a body that lists do not show"}
    requests.post(f"{disk_server.api}/notes", json=note, headers=header, timeout=60)
    staff = f"{secrets.token_hex(6)}@example.org"
    disk_server.manage(
        f"createsuperuser --no-input --email {staff}", DJANGO_SUPERUSER_PASSWORD=PASSWORD
    )
    browser.get(f"{disk_server.url}/admin/")
    seen(browser, "#id_username").send_keys(staff)
    seen(browser, "#id_password").send_keys(PASSWORD)
    seen(browser, "input[type=submit]").click()
    seen(browser, "#user-tools")
    browser.get(f"{disk_server.url}/admin/notes/note/?q={name}")
    assert f"Plans of {name}" in seen(browser, "#result_list").text
    assert note["content"] not in browser.page_source
    browser.find_element(By.LINK_TEXT, f"Plans of {name}").click()
    assert note["content"] in seen(browser, "#content").text
    browser.get(f"{disk_server.url}/admin/accounts/user/?q={name}")
    assert f"{name}@example.org" in seen(browser, "#result_list").text
    assert complaints(browser) == []
