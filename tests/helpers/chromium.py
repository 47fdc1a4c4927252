"""A headless Chromium that opens pages as a user's browser does, and says what came of it."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_NARROWEST_WINDOW = 500  # Chromium makes no narrower one; narrower pages stand in a frame


@dataclass(frozen=True)
class Opened:
    """A page after it was loaded: its document as HTML, and the lines of its console."""

    dom: str
    console: list[str]


class Chromium:
    """Each call is a process of its own, with a profile below `folder` and no host but 127.0.0.1."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder

    def open(self, url: str) -> Opened:
        """Opens a page."""
        run = self._run(url, "--enable-logging=stderr", "--dump-dom")
        return Opened(run.stdout, [line for line in run.stderr.splitlines() if ":CONSOLE:" in line])

    def screenshot(self, page: Path, png: Path, width: int, height: int, *, dark: bool = False) -> None:
        """The page's upper part at a width, in the light or the dark theme."""
        url, window = page.as_uri(), max(width, _NARROWEST_WINDOW)
        if width < _NARROWEST_WINDOW:
            url = self._wrapper(_frame(page, width, height)).as_uri()
        theme = ["--blink-settings=preferredColorScheme=0"] if dark else []
        self._run(url, "--hide-scrollbars", f"--window-size={window},{height}", f"--screenshot={png}", *theme)

    def measure(self, page: Path, width: int, script: str) -> Any:
        """What a JavaScript expression over the page's `document` yields, at a width."""
        return self._evaluate(
            _frame(page, width, 2000),
            f"((document) => {script})(window.document.querySelector('iframe').contentDocument)",
        )

    def colours(self, png: Path) -> dict[str, int]:
        """The colours of a picture ("r,g,b") with their pixels, the most frequent first, at most 1,000."""
        return self._evaluate(
            f'<img src="{png.as_uri()}">',
            """(() => {
              const image = document.querySelector("img"), canvas = document.createElement("canvas"), counts = {};
              canvas.width = image.naturalWidth, canvas.height = image.naturalHeight;
              const context = canvas.getContext("2d");
              context.drawImage(image, 0, 0);
              const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
              for (let i = 0; i < data.length; i += 4) {
                const colour = `${data[i]},${data[i + 1]},${data[i + 2]}`;
                counts[colour] = (counts[colour] ?? 0) + 1;
              }
              return Object.fromEntries(Object.entries(counts).sort((a, b) => b[1] - a[1]).slice(0, 1000));
            })()""",
        )

    def _evaluate(self, body: str, script: str) -> Any:
        wrapper = self._wrapper(
            f'{body}<p id="answer"></p><script>'
            f'addEventListener("load", () => {{ document.getElementById("answer").textContent = '
            f"JSON.stringify({script}) }})</script>"
        )
        # Files count as one origin here only: the wrapper reads what it shows.
        opened = self._run(wrapper.as_uri(), "--allow-file-access-from-files", "--dump-dom").stdout
        answer = re.search(r'<p id="answer">(.*?)</p>', opened, re.DOTALL)
        assert answer is not None, opened[-500:]
        return json.loads(unescape(answer.group(1)))

    def _wrapper(self, body: str) -> Path:
        path = self._folder / "wrapper.html"
        path.write_text(f'<!doctype html><meta charset="utf-8"><body style="margin:0">{body}', "utf-8")
        return path

    def _run(self, url: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                self._program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                "--host-resolver-rules=MAP * 127.0.0.1",
                f"--user-data-dir={self._folder / 'profile'}",
                *options,
                url,
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )


def find() -> str | None:
    """The path of an installed Chromium or Chrome."""
    return next((path for program in PROGRAMS if (path := shutil.which(program))), None)


def _frame(page: Path, width: int, height: int) -> str:
    return f'<iframe src="{page.as_uri()}" style="border:0;width:{width}px;height:{height}px"></iframe>'
