"""The report page in a real headless Chromium."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from helpers.sample_report import classification_report, many_labels_report, text_report
from honed.evaluate.page import render_page

REPORTS = {"classify": classification_report, "many labels": many_labels_report, "text": text_report}
# Elements that stick out of the page to the right, those in a part that scrolls by itself excepted; and its width.
OVERFLOW = """(() => {
  const root = document.documentElement, out = [];
  for (const element of document.body.querySelectorAll("*")) {
    const box = element.getBoundingClientRect();
    const hidden = element.closest(".scroll, .unseen, svg") && !element.matches(".scroll");
    if (!hidden && box.width && box.right > root.clientWidth + 1) out.push(element.outerHTML.slice(0, 120));
  }
  return {width: root.clientWidth, scroll: root.scrollWidth, out: out.slice(0, 5)};
})()"""


def hostile_report():
    """The text report with words that no line holds, tags, foreign scripts and a picture from another host."""
    report = text_report()
    texts = [
        "x" * 3000,
        "<b>" * 200,
        "שלום \u200f" * 50,
        "🙂" * 400,
        "<img src=http://tracker.invalid/p.gif onerror=alert(1)>",
    ]
    report["title"] = texts[0]
    for sample, text in zip(report["samples"], texts, strict=False):
        sample["prompt"] = text
        sample["answers"] = {f"{name} {text[:300]}": text for name in sample["answers"]}
    for subject in report["subjects"]:
        subject["name"] += "_" + "y" * 200
    return report


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Files of the sample reports by name."""
    folder = tmp_path_factory.mktemp("pages")
    files = {}
    for name, report in (REPORTS | {"hostile": hostile_report}).items():
        files[name] = folder / f"{name}.html"
        files[name].write_text(render_page(report()), "utf-8")
    return files


@contextmanager
def served(html):
    """Serves a page on 127.0.0.1; yields its address and the list of paths that were asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/report.html", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("name", [*REPORTS, "hostile"])
def test_a_report_opens_without_a_word_on_the_console(chromium, pages, name):
    opened = chromium.open(pages[name].as_uri())
    assert opened.console == []
    assert opened.dom.count("</section>") >= 6


def test_a_report_asks_for_nothing_but_itself(chromium):
    with served(render_page(hostile_report())) as (url, asked):
        chromium.open(url)
    assert asked == ["/report.html"]


def test_a_page_that_does_ask_for_more_would_be_noticed(chromium):
    with served('<img src="/picture.png"><script>console.log("hello")</script>') as (url, asked):
        opened = chromium.open(url)
    assert "/picture.png" in asked
    assert len(opened.console) == 1


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", [*REPORTS, "hostile"])
def test_nothing_sticks_out_of_the_page(chromium, pages, name, width):
    found = chromium.measure(pages[name], width, OVERFLOW)
    assert found["out"] == []
    assert found["scroll"] == found["width"] <= width


def test_what_does_stick_out_would_be_noticed(chromium, tmp_path):
    page = tmp_path / "wide.html"
    page.write_text('<!doctype html><body style="margin:0"><div style="width:800px">wide</div>', "utf-8")
    found = chromium.measure(page, 390, OVERFLOW)
    assert found["scroll"] == 800
    assert len(found["out"]) == 1


@pytest.mark.parametrize(("dark", "background"), [(False, "255,255,255"), (True, "20,24,28")], ids=["light", "dark"])
def test_the_page_is_drawn_in_the_readers_theme(chromium, pages, tmp_path, dark, background):
    png = tmp_path / "report.png"
    chromium.screenshot(pages["classify"], png, 1280, 900, dark=dark)
    colours = chromium.colours(png)
    assert next(iter(colours)) == background
    assert sum(colours.values()) - colours[background] > 20_000
    assert len(colours) > 100
