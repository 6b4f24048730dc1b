"""Page of recordings: filtered by queries, sorted, with thumbnails, and tagged over REST."""

import re
from html import unescape

import pytest

from kinemill.search.tags import current_tags
from kinemill_dagster.pipelines.server.web_console.catalog_page import (
    CatalogRequest,
    CatalogRows,
    catalog_page,
    read_request,
)


def page(client, query="", **values):
    response = client.get("/kinemill/console/recordings/tiny", params={"query": query, **values})
    assert response.status_code == 200, response.text
    return response


def names(text):
    return re.findall(r'href="/kinemill/console/recordings/tiny/[0-9a-f]{64}">(.*?)</a>', text)


def test_recordings_are_filtered_sorted_linked_drawn_and_tagged(client, copy):
    text = page(client).text
    every = names(text)
    assert len(every) > 2
    assert text.count('<svg class="thumbnail"') > 2
    assert "form-action 'self'" in page(client).headers["Content-Security-Policy"]
    accepted = page(client, "status = 'accepted' and rows > 1").text
    assert 0 < len(names(accepted)) <= len(every)
    assert names(page(client, sort="name", order="down").text) == every[::-1]
    # a link to a recording shows its channels, in a sandbox
    address = re.search(r'href="(/kinemill/console/recordings/tiny/[0-9a-f]{64})"', accepted)[1]
    shown = client.get(address)
    assert shown.status_code == 200
    assert shown.headers["Content-Security-Policy"].startswith("sandbox")
    # a tag is set and removed by the user
    body = {"recording": address.rpartition("/")[2], "tag": "slip <b>"}
    made = client.post("/api/v1/tasks/tiny/tags", json=body)
    assert (made.status_code, made.json()["who"]) == (200, "otto")
    assert len(names(page(client, "array_contains(tag, 'slip <b>')").text)) == 1
    assert "slip &lt;b&gt; ×" in page(client).text
    removed = {"recording": body["recording"], "remove": "slip <b>"}
    assert client.post("/api/v1/tasks/tiny/tags", json=removed).status_code == 200
    assert not current_tags(copy.home, "tiny")
    for wrong in (
        {**body, "remove": "x"},
        {"recording": body["recording"]},
        {**body, "recording": "?"},
    ):
        assert client.post("/api/v1/tasks/tiny/tags", json=wrong).status_code == 400


def test_invalid_query_is_explained_on_the_page(client):
    text = unescape(page(client, "statusx = 1").text)
    assert "did you mean 'status'?" in text
    assert 'value="statusx = 1"' in text
    assert "<table" not in text
    assert "did you mean" in unescape(page(client, sort="secondsx").text)
    assert client.get("/kinemill/console/recordings/nothing").status_code == 404
    assert client.get("/kinemill/console/recordings/tiny/nothing").status_code == 404


def test_names_queries_and_tags_are_escaped():
    row = {"name": "<i>a</i>", "recording": "f" * 64, "status": "accepted", "tag": ['"><script>']}
    request = CatalogRequest('"><script>', "status")
    text = catalog_page("arm", request, CatalogRows(60, [row], {}))
    assert "<script>" not in text.replace("<script src", "")
    assert "<i>" not in text
    assert "1 to 1 of 60" in text


def test_catalog_pages_turn_and_headers_reverse_the_order():
    row = {"name": "a.csv", "recording": "f" * 64, "seconds": 1.23456, "tag": []}
    text = catalog_page(
        "arm", CatalogRequest("a = 'b'", "seconds", page=1), CatalogRows(90, [row] * 25)
    )
    assert "26 to 50 of 90" in text
    assert "page=2" in text
    assert "query=a+%3D+%27b%27&amp;sort=seconds&amp;order=down" in text
    assert "1.235" in text


@pytest.mark.parametrize("number", ["-1", "x", "1e3", "9" * 30, ""])
def test_invalid_page_number_shows_the_first_page(number):
    assert read_request({"page": number, "query": " accepted "}) == CatalogRequest("accepted")
