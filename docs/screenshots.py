"""Pictures of reports and of the documentation site, drawn by a headless Chromium.

biomtl quickstart
biomtl train sample tasks="[bc5cdr-chem, ddi2013, hoc]" output=runs/first # as in the tutorial
make docs
python docs/screenshots.py runs/quickstart runs/first site
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).resolve().parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Name -> (what is left of the page, its address, width, height, dark).
PICTURES = {
    "report-scores": ("header, #scores", "", 1100, 760, False),
    "report-learning": ("#learning, #mixing", "", 1100, 1220, True),
    "report-errors": ("#errors", "#errors=bc5cdr-disease", 1100, 640, False),
}
TUTORIAL = {"pictures/report": ("header, #scores, #learning", "", 1100, 1520, False)}
PHONE = ("report-phone", 360, 700)
SITE = ("pictures/site", "how-it-works/", 1280, 900)  # name, page, width, height


def draw(
    browser: str, address: str, picture: Path, width: int, height: int, *, dark: bool = False, kept: int | None = None
) -> None:
    """Draw a page; of the picture, the first ``kept`` pixels of each line are kept."""
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        command += ["--no-sandbox"] if os.geteuid() == 0 else []
        command += ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []
        command += [f"--window-size={width},{height}", "--virtual-time-budget=4000", f"--screenshot={picture}", address]
        subprocess.run(command, check=True, capture_output=True)
    whole = Image.open(picture).convert("RGB").crop((0, 0, kept or width, height))
    few = whole.quantize(128, dither=Image.Dither.NONE)  # a third of the size
    few.save(picture, optimize=True)


def draw_parts(browser: str, page: Path, pictures: dict[str, tuple[str, str, int, int, bool]]) -> None:
    """Pictures of parts of a report."""
    with tempfile.TemporaryDirectory() as folder:
        cut = Path(folder) / "cut.html"
        for name, (left, part, width, height, dark) in pictures.items():
            style = f"header:not(.case header), section {{ display: none }} {left} {{ display: block !important }}"
            cut.write_text(
                page.read_text(encoding="utf-8").replace("</style>", f"{style}</style>", 1), encoding="utf-8"
            )
            draw(browser, cut.as_uri() + part, DOCS / f"{name}.png", width, height, dark=dark)


def draw_phone(browser: str, page: Path) -> None:
    """The top of a report on a phone: a window is at least 500 pixels wide, a frame isn't."""
    with tempfile.TemporaryDirectory() as folder:
        frame, (name, width, height) = Path(folder) / "frame.html", PHONE
        style = f"border:0;width:{width}px;height:{height}px"
        address = page.resolve().as_uri()
        frame.write_text(f'<body style="margin:0"><iframe src="{address}" style="{style}"></iframe>')
        draw(browser, frame.as_uri(), DOCS / f"{name}.png", 500, height, kept=width)


def draw_site(browser: str, site: Path) -> None:
    """A page of the built site, from a server of its own: its links need one."""
    name, page, width, height = SITE
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        draw(browser, f"http://127.0.0.1:{server.server_port}/{page}", DOCS / f"{name}.png", width, height)
        server.shutdown()


if __name__ == "__main__":
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None or len(sys.argv) != 4:
        sys.exit(f"usage: screenshots.py QUICKSTART FIRST SITE; needs one of {', '.join(BROWSERS)}")
    quickstart, first, site = map(Path, sys.argv[1:])
    draw_parts(found, quickstart / "report.html", PICTURES)
    draw_phone(found, quickstart / "report.html")
    draw_parts(found, first / "report.html", TUTORIAL)
    draw_site(found, site)
