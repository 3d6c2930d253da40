"""Takes the pictures of the README: opens the pages on a home, photographs them in headless Chromium, closes them.

Run it as `.venv/bin/python docs/make_pictures.py [--home DIR] [--out docs/pictures]`.
"""

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRAWING_MS = 20_000  # of the page's own clock: the graph is laid out by a worker of the browser
LARGEST_BYTES = 250_000
COLOURS = 128

ROOT = Path(__file__).resolve().parents[1]
CARD = "cards/turbofan_remaining_useful_life.html"  # of a home: no page of Dagster's, but the file that the asset wrote

#: Name of a picture: path of the page, width and height in pixels.
PICTURES = {
    "lineage": ("/asset-groups", 2500, 1150),  # the stages, collapsed: the whole pipeline
    "evaluation": ("/assets/turbofan/evaluation", 1700, 1780),
    "graphs": ("/assets/turbofan/served_graph", 1500, 1000),
    "checks": ("/assets/WEST/turbofan/validated_telemetry?view=checks", 1400, 900),
}


def main() -> None:
    """Takes every picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="default: the home last run")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pictures")
    args = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"no browser (looked for {', '.join(BROWSERS)}); install chromium")
    args.out.mkdir(parents=True, exist_ok=True)
    with pages(args.home) as root:
        for name, (path, width, height) in PICTURES.items():
            print(take(browser, root + path, args.out / f"{name}.png", width=width, height=height))
    card = (args.home or ROOT / ".sinet" / "current").resolve() / CARD
    print(take(browser, card.as_uri(), args.out / "card.png", width=1000, height=1500))


@contextmanager
def pages(home: Path | None) -> Iterator[str]:
    """Dagster's pages on the home, on free ports, while inside; their address."""
    port, mlflow_port = free_ports(2)
    command = [Path(sys.executable).with_name("sinet"), "ui", "--port", str(port), "--mlflow-port", str(mlflow_port)]
    process = subprocess.Popen([*command, *(["--home", str(home)] if home else [])], stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if "http" not in line:
            sys.exit("the pages did not open; see the output of `sinet ui` above")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def take(browser: str, address: str, target: Path, *, width: int, height: int) -> str:
    """Photographs a page; what was taken, in a line."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser,
                *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                f"--virtual-time-budget={DRAWING_MS}",
                f"--screenshot={target.resolve()}",
                address,
            ],
            check=True,
            capture_output=True,
            timeout=300,  # a busy machine draws slowly
        )
    with Image.open(target) as picture:
        picture.quantize(COLOURS).save(target, optimize=True)  # pages are flat: a third of the bytes, nothing is lost
    size = target.stat().st_size
    if size > LARGEST_BYTES:
        sys.exit(f"{target} has {size} bytes (allowed: {LARGEST_BYTES}); take it smaller")
    return f"{target}: {size // 1000} kB"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


if __name__ == "__main__":
    main()
