"""The page of a run, read by a parser and shown by a real browser.

    run_page_test.py WRITE_PAGE [SCREENSHOT.png]

WRITE_PAGE is tests/pipelines/monitoring/write_page.cpp, built. The browser is Chromium or Chrome, without which those tests are
skipped; no network is used. The screenshot, of the run of the first browser test, is for looking at.
"""
import base64
import html.parser
import json
import math
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

from browser import CHROMIUM, Browser

VOID = {"meta", "img", "input", "br", "hr", "link"}
OPTIONAL_END = {"td", "th", "tr"}
CLUSTERS = ["000-249", "250-499", "500-749", "750-999"]


def png(shade):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    rows = b"".join(b"\0" + bytes([shade, x * 4, 255 - shade] * 1) * 64 for x in range(64))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def metrics_of(step, draw):
    stage = min(4, 1 + step // 300)
    loss = math.exp(draw.gauss(0, 0.2)) * (0.05 + 0.5 * math.exp(-step / 200))
    yield {"step": step, "loss": loss, "lr": 1e-4 * min(1, step / 100), "grad_norm": loss * 3, "stage": stage,
           "images": 16, "seconds": 0.5 + 0.1 * draw.random(), "data_seconds": 0.02 * draw.random(), "memory": 4 << 30}
    if step % 50 == 0:
        yield {"step": step, "event": "clusters",
               "losses": {name: 0.3 / (i + 1) for i, name in enumerate(CLUSTERS) if i >= 4 - stage}}
    if step % 100 == 0:
        yield {"step": step, "event": "held_out", "loss": 0.3 / (1 + step / 300), "set": "a1",
               "losses": {name: 0.5 / (i + 1 + step / 300) for i, name in enumerate(CLUSTERS)}}
    if step in (299, 599, 899):
        yield {"step": step, "event": "stage", "from": stage, "to": stage + 1, "reason": "patience",
               "steps_in_stage": 300, "best_loss": 0.05}


class PageCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.run_folder = pathlib.Path(folder.name) / "my <run>"
        (self.run_folder / "samples").mkdir(parents=True)
        (self.run_folder / "config.toml").write_text('[sample]\nprompts = ["a <b>bold</b> </script> & prompt"]\n')

    def write(self, steps, state="running", interval=1000):
        draw = random.Random(0)
        lines = [line for step in range(1, steps + 1) for line in metrics_of(step, draw)]
        (self.run_folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        for step in range(200, steps + 1, 200):
            (self.run_folder / f"samples/step-{step:08}.png").write_bytes(png(step // 10 % 256))
        subprocess.run([BINARY, self.run_folder, state, "2000", "4", str(interval)], check=True)
        return self.run_folder / "index.html"


class Checker(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.links, self.text, self.ids = [], [], "", []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.links += [attributes[name] for name in ("src", "href") if name in attributes]
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in VOID | OPTIONAL_END:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open.pop() != tag:
            raise AssertionError(f"</{tag}> at {self.getpos()} closes another element")

    def handle_data(self, data):
        self.text += data


class RunPageTest(PageCase):
    def test_it_is_well_formed_and_needs_nothing_else(self):
        page = Checker()
        page.feed(self.write(1000).read_text())
        page.close()
        self.assertEqual(page.open, [])
        self.assertEqual(len(page.ids), len(set(page.ids)))
        self.assertIn("my <run>", page.text)
        self.assertIn('prompts = ["a <b>bold</b> </script> & prompt"]', page.text)
        pictures = [link for link in page.links if link.startswith("data:image/jpeg;base64,")]
        self.assertEqual(len(pictures), 5)
        for link in pictures:
            self.assertTrue(base64.b64decode(link.split(",")[1], validate=True).startswith(b"\xff\xd8\xff"))
        for link in page.links:
            self.assertTrue(link.startswith("data:") or (self.run_folder / link).exists() or
                            link in ("log.txt",), link[:80])


@unittest.skipUnless(CHROMIUM, "no browser")
class BrowserTest(PageCase):
    def setUp(self):
        super().setUp()
        profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.addCleanup(profile.cleanup)
        self.browser = Browser(profile.name)
        self.addCleanup(self.browser.close)

    def show(self, page):
        self.browser.open(page.as_uri(), "charts.every(chart => chart.cross)")

    def test_it_draws_every_curve(self):
        browser = self.browser
        self.show(self.write(1000))
        titles = browser.evaluate("[...document.querySelectorAll('.card h2')].map(e => e.textContent)")
        self.assertEqual(titles, ["loss", "loss by timesteps", "held-out loss", "held-out loss by timesteps", "samples", "learning rate", "gradient norm", "images/s",
                                  "waiting for data", "memory"])
        self.assertEqual(browser.evaluate("document.querySelectorAll('path.curve').length"), 7 + 2 * len(CLUSTERS))
        broken = "[...document.querySelectorAll('path')].filter(p => !/^M[-0-9.]/.test(p.getAttribute('d')) || " \
                 "/NaN|Infinity/.test(p.getAttribute('d'))).length"
        self.assertEqual(browser.evaluate(broken), 0)
        self.assertEqual(browser.evaluate("charts[0].svg.querySelectorAll('line.stage').length"), 3)
        self.assertEqual(browser.evaluate("[...document.querySelectorAll('svg .number')].map(e => e.textContent)"),
                         ["2/4", "3/4", "4/4"])
        self.assertEqual(browser.errors, [])
        if SCREENSHOT:
            browser.screenshot(SCREENSHOT, 1280, 1900)

    def test_the_pointer_reads_all_curves_at_its_step(self):
        browser = self.browser
        self.show(self.write(1000))
        self.assertEqual(browser.evaluate("charts[0].read.textContent"), "")
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=700, y=350)
        browser.wait_until("charts[0].read.textContent.startsWith('step ')")
        every_step = "c => c.curves.length === 1 && c.curves[0].step.length > 100"
        reads = browser.evaluate(f"charts.filter({every_step}).map(c => c.read.textContent.split(':')[0])")
        self.assertEqual(len(set(reads)), 1, reads)
        self.assertEqual(len(reads), 6)
        step = int(reads[0].removeprefix("step ").replace(",", ""))
        self.assertTrue(400 < step < 700, reads)

    def test_the_slider_goes_through_the_samples(self):
        browser = self.browser
        self.show(self.write(1000))
        shown = "document.getElementById('shown').textContent"
        self.assertEqual(browser.evaluate(shown), "step 1,000")
        browser.evaluate("slider = document.querySelector('#view input'); slider.value = 1; slider.oninput()")
        self.assertEqual(browser.evaluate(shown), "step 400")
        self.assertTrue(browser.evaluate("document.querySelector('#view a').href").endswith("step-00000400.png"))

    def test_it_follows_the_run_and_keeps_what_was_chosen(self):
        browser = self.browser
        self.show(self.write(500, interval=1))
        browser.evaluate("box = document.querySelector('.card input'); box.checked = false; box.onchange()")
        self.write(700, interval=1)
        browser.wait_until("data.step === 700 && charts.length > 0 && charts[0].cross")
        self.assertFalse(browser.evaluate("charts[0].log"))
        self.write(800, "finished")
        browser.wait_until("data.state === 'finished'")
        self.assertEqual(browser.errors, [])

    def test_a_run_that_has_just_begun_is_no_error(self):
        browser = self.browser
        for steps in (0, 1, 2):
            self.show(self.write(steps))
            self.assertEqual(browser.evaluate("data.step"), steps)
        self.assertEqual(browser.evaluate("document.getElementById('samples')"), None)
        self.assertEqual(browser.errors, [])


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    SCREENSHOT = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1].endswith(".png") else None
    if not CHROMIUM:
        print("SKIPS the tests in a browser: neither Chromium nor Chrome is installed", file=sys.stderr)
    unittest.main()
