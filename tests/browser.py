"""A page of loopback in headless Chromium: what it shows after it drew itself."""

import shutil
import subprocess
import tempfile
from html.parser import HTMLParser

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRAWING_MS = 30_000  # of the page's own clock
LIMIT_S = 300
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1600,1400"),
)


def browser():
    """The path of the browser; skips the test where this machine has none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser (looked for {', '.join(BROWSERS)}); install the Debian package chromium")
    return found


class Page(HTMLParser):
    """What a page holds after its scripts ran: the text, and what is active."""

    def __init__(self, source):
        super().__init__()
        self.text, self.scripts, self.images, self.links, self.handlers = "", [], [], [], []
        self._inside = None
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self._inside = tag if tag in ("script", "style") else None
        self.scripts += [found.get("src") or ""] if tag == "script" else []
        self.images += [found.get("src") or ""] if tag in ("img", "iframe", "object", "embed") else []
        self.links += [found.get("href") or ""] if tag == "a" else []
        self.handlers += [name for name in found if name.startswith("on")]

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        self.text += "" if self._inside else data


def open_page(address):
    """The page of an address of loopback, as Chromium draws it."""
    found = [browser(), *OPTIONS, f"--virtual-time-budget={DRAWING_MS}"]
    with tempfile.TemporaryDirectory() as profile:
        command = [*found, f"--user-data-dir={profile}", "--dump-dom", address]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, errors="replace")
    assert ended.returncode == 0, ended.stderr[-2000:]
    return Page(ended.stdout)
