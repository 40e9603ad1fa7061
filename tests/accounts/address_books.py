"""Helpers of the tests of contacts: a whole one, a card, and what clients do with them."""

CONTACTS = "/api/v1/contacts"
WHOLE = {
    "first_name": "Zoë",
    "last_name": "O'Neil",
    "email": "Zoe@Example.org",
    "phone": "+1 (555) 010-00/1 ext. 2",
    "birthday": "1985-04-12",
    "company": "ACME; Söhne, Inc.",
    "job_title": "Head of Tea",
    "url": "https://example.org/zoe?a=1,2;3",
    "other_emails": [
        {"label": "home", "value": "z@example.org"},
        {"label": "", "value": "y@x.org"},
    ],
    "other_phones": [{"label": "Büro 2", "value": "1-800-FLOWERS"}],
    "addresses": [{"label": "work", "value": "5, Main St.; back door\nSpringfield IL 62701"}],
    "notes": " likes tea \r\n\tand\x01 cake\n",
}
CARD = """BEGIN:VCARD
VERSION:4.0
UID:urn:uuid:4fbe8971-0bc3-424c-9c26-36c3e1eff6b1
FN:Mary Doe
N:Doe;Mary;;;
EMAIL:mary@example.org
BDAY:19850412
NOTE:Tea
END:VCARD
"""


def create(client, **fields):
    response = client.post(CONTACTS, fields, format="json")
    assert response.status_code == 201, response.json()
    return response.json()


def send(client, text, content_type="text/vcard", **headers):
    body = text if isinstance(text, bytes) else text.encode()
    return client.generic("POST", f"{CONTACTS}/import", body, content_type=content_type, **headers)


def counts(response):
    assert response.status_code == 200, response.json()
    body = response.json()
    return body["created"], body["updated"], body["unchanged"], len(body["skipped"])


def exported(client):
    response = client.get(f"{CONTACTS}/export")
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()


def names(client, query):
    return {each["first_name"] for each in client.get(f"{CONTACTS}?{query}").json()["results"]}
