"""Model cards and data docs open on the address of Dagster's pages, and nothing else of the home does."""

import asyncio

import pytest

from sinet_pipelines.cli.card_pages import CardPages


async def inner(scope, receive, send):
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"of Dagster"})


@pytest.fixture
def get(tmp_path):
    """One GET: status, headers and body."""
    (tmp_path / "cards" / "life").mkdir(parents=True)
    (tmp_path / "cards" / "life" / "v1.html").write_text("<h1>card</h1>")
    for folder, text in (("data_docs/rows", "<h1>check</h1>"), ("rows", "secret")):
        (tmp_path / "EAST/raw/life" / folder).mkdir(parents=True)
        (tmp_path / "EAST/raw/life" / folder / "2026-03-01.html").write_text(text)
    (tmp_path / "mlflow.db").write_text("secret")
    application = CardPages(inner, tmp_path)

    def ask(path, method="GET"):
        scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"", "root_path": ""}
        sent = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        asyncio.run(application(scope, receive, send))
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}, body

    return ask


def test_a_card_opens_in_a_browser_and_may_run_nothing(get):
    status, headers, body = get("/cards/life/v1.html")
    assert (status, body) == (200, b"<h1>card</h1>")
    assert headers["content-type"].startswith("text/html")
    assert headers["content-security-policy"].startswith("default-src 'none'")


def test_data_docs_of_a_region_open_in_the_same_way(get):
    status, headers, body = get("/data_docs/EAST/life/rows/2026-03-01.html")
    assert (status, body) == (200, b"<h1>check</h1>")
    assert headers["content-security-policy"].startswith("default-src 'none'")


def test_a_page_that_is_gone_is_answered_with_the_way_to_make_it(get):
    status, _, body = get("/data_docs/EAST/life/rows/2026-02-01.html")
    assert status == 404
    assert b"materialise the validated rows of the day" in body


@pytest.mark.parametrize(
    "path",
    [
        "/data_docs/EAST/life/../rows/2026-03-01.html",
        "/data_docs/EAST/life//etc/passwd",
        "/data_docs/NORTH/life/x.html",
        "/data_docs/EAST/kiln/x.html",
    ],
)
def test_nothing_but_the_pages_of_a_region_is_served(get, path):
    status, _, body = get(path)
    assert status == 404
    assert b"secret" not in body


@pytest.mark.parametrize(
    "path", ["/cards/../mlflow.db", "/cards/life/../../mlflow.db", "/cards//etc/passwd", "/cards/x"]
)
def test_nothing_but_cards_is_given_out(get, path):
    status, _, body = get(path)
    assert status == 404
    assert b"secret" not in body


def test_a_card_is_only_read(get):
    assert get("/cards/life/v1.html", method="POST")[0] == 405


@pytest.mark.parametrize("path", ["/", "/cards", "/graphql", "/runs/cards/x"])
def test_everything_else_is_dagsters(get, path):
    assert get(path)[0] == 299
