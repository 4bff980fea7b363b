"""Pictures of a run's report for the docs, drawn by a headless Chromium.

biomtl train sample output=runs/sample num_train_epochs=3
python docs/screenshots.py runs/sample
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
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
PHONE = ("report-phone", 360, 700)


def draw(browser: str, address: str, picture: Path, width: int, height: int, *, dark: bool = False) -> None:
    """Draw a page."""
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        command += ["--no-sandbox"] if os.geteuid() == 0 else []
        command += ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []
        command += [f"--window-size={width},{height}", "--virtual-time-budget=4000", f"--screenshot={picture}", address]
        subprocess.run(command, check=True, capture_output=True)
    few = Image.open(picture).convert("RGB").quantize(128, dither=Image.Dither.NONE)  # a third of the size
    few.save(picture, optimize=True)


def main(run: Path) -> None:
    """Draw all pictures of a run's report."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"needs one of {', '.join(BROWSERS)}")
    page = run / "report.html"
    with tempfile.TemporaryDirectory() as folder:
        cut = Path(folder) / "cut.html"
        for name, (left, part, width, height, dark) in PICTURES.items():
            style = f"header:not(.case header), section {{ display: none }} {left} {{ display: block !important }}"
            cut.write_text(
                page.read_text(encoding="utf-8").replace("</style>", f"{style}</style>", 1), encoding="utf-8"
            )
            draw(browser, cut.as_uri() + part, DOCS / f"{name}.png", width, height, dark=dark)
        # A window is at least 500 pixels wide, a frame isn't.
        frame, (name, width, height) = Path(folder) / "frame.html", PHONE
        style = f"border:0;width:{width}px;height:{height}px"
        address = page.resolve().as_uri()
        frame.write_text(f'<body style="margin:0;background:#888"><iframe src="{address}" style="{style}"></iframe>')
        draw(browser, frame.as_uri(), DOCS / f"{name}.png", 500, height)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
