"""Dagster's pages in Chromium, through the guard: the run page lists its log, and words of a drop do nothing."""

import io
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.turbofan.keys import regional_key
from resources.keys import CONTRACT_CHECK
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP
from sinet_pipelines.escaping import for_markdown
from sinet_pipelines.ingestion.drops import encode_drop
from tests.browser import browser, open_page
from tests.conftest import CHECKOUT
from tests.inventory import EAST
from tests.loopback import await_port, free_port
from tests.sinet_pipelines.cli.test_guard import ask
from tests.zones import landing_zone

pytestmark = pytest.mark.slow

ROWS = [regional_key(EAST, name) for name in ("raw_telemetry", "validated_telemetry")]
LIMITS = "{ instance { concurrencyLimits { concurrencyKey } } }"
UNIT = "![K](/graphql?query=mutation{x})"


@pytest.fixture
def foreign():
    """A server of another origin; the paths that were asked of it."""
    requested = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requested.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", requested
        server.shutdown()


def plant(zone, day, foreign):
    """Words that would be markup in column names, in the file's name, in units and in values."""
    mutation = "/graphql?query=mutation{setConcurrencyLimit(concurrencyKey:%22planted%22,limit:7)}"
    columns = (f"![a]({mutation})", f"<img src={foreign}/img onerror=alert(1)>", f"[b]({foreign}/link) {foreign}/bare")
    rows = zone.read_day(EAST.name, day).rows.select(column.name for column in DROP.columns).head(40)
    bad = rows.head(1).with_columns(unit=pl.lit(f"<script src={foreign}/s></script>|`x`"), role=pl.lit("![c](/d)"))
    rows = pl.concat([rows, bad, bad.with_columns(role=pl.lit("**x** | y\n# z"))])
    table = rows.with_columns(recorded_at=pl.col("recorded_at") + pl.duration(seconds=1))
    path = zone.folder(EAST.name) / day.isoformat() / "<b>![x](y)|`z`.parquet"
    path.write_bytes(encode_drop(table, DROP))
    found = pq.read_table(pa.BufferReader(path.read_bytes()))
    for name in columns:
        found = found.append_column(name, pa.nulls(found.num_rows, pa.int8()))
    unit = pa.field("t2_degr", pa.float64(), metadata={"unit": UNIT})
    place = found.column_names.index("t2_degr")
    pq.write_table(found.set_column(place, unit, found["t2_degr"]), buffer := io.BytesIO())
    path.write_bytes(buffer.getvalue())
    (path.parent / f"<i onclick=x>[d]({foreign.replace('/', ':')}).csv").write_text("")
    return columns


@pytest.fixture
def pages(home, tmp_path):
    """Starts Dagster's webserver behind the guard on a home and an event log; its host and port."""
    started = []

    def start(instance_folder):
        port = free_port()
        command = [sys.executable, "-W", "ignore", "-m", "sinet_pipelines.cli.dagster_pages", "webserver"]
        environment = {**os.environ, "DAGSTER_HOME": str(instance_folder), "SINET_HOME": str(home)}
        log = tmp_path / "webserver.log"
        with log.open("wb") as file:
            arguments = ["-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
            process = subprocess.Popen([*command, *arguments], cwd=CHECKOUT, env=environment, stdout=file, stderr=file)
        started.append(process)
        await_port(port, process, log=log)
        return f"127.0.0.1:{port}"

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=300)


def assert_inactive(page, address):
    """Nothing of what was planted is a script, a picture, a link or a handler."""
    assert not [one for one in page.scripts if one and not one.startswith("/")]
    assert not [one for one in page.images if not one.startswith(("data:image/", "/", "blob:")) or "graphql" in one]
    assert not [one for one in page.links if address in one or "graphql?" in one]
    assert not page.handlers


def test_planted_words_do_nothing_and_the_run_page_lists_its_log(home, carry_out, foreign, pages, tmp_path):
    browser()
    address, requested = foreign
    zone = landing_zone(home, TELEMETRY)
    day = zone.days(EAST.name)[1]
    columns = plant(zone, day, address)
    folder = tmp_path / "instance"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        result = carry_out(instance, ROWS, (day, day))
        described = [event.description for event in result.get_asset_check_evaluations()]
        assert any(for_markdown(UNIT) in one for one in described if one)
    at = pages(folder)

    def shown(path):
        return open_page(f"http://{at}{path}")

    key = "/assets/EAST/turbofan"
    raw = shown(f"{key}/raw_telemetry?view=overview&partition={day}")
    events = shown(f"{key}/raw_telemetry?view=events&partition={day}")
    checks = shown(f"{key}/validated_telemetry?view=checks&checkDetail={CONTRACT_CHECK}")
    run = shown(f"/runs/{result.run_id}")
    for page in (raw, events, checks, run):
        assert_inactive(page, address)
    assert any(columns[0] in page.text for page in (raw, events)), raw.text[-4000:]
    assert "1 of 25 landed days fail" in checks.text
    assert "ASSET_MATERIALIZATION" in run.text
    assert "RUN_SUCCESS" in run.text or "RUN_FAILURE" in run.text
    assert "Loading run logs" not in run.text
    assert requested == []
    status, answer = ask(at, LIMITS)
    assert (status, answer["data"]["instance"]["concurrencyLimits"]) == (200, [])
