"""The page of `crescendo serve` in a real browser.

    serve_page_test.py SERVE_TEST_PAINTER [SCREENSHOT.png]

SERVE_TEST_PAINTER is tests/pipelines/serving/serve_test_painter.cpp, built: all of the server but a model. Skipped without
Chromium or Chrome; no network is used but this machine's own. The screenshot, of a drawing under way with a gallery, is
for looking at; a second one, SCREENSHOT.dark.png, is in dark colours.
"""
import subprocess
import sys
import tempfile
import unittest

from browser import CHROMIUM, Browser

PICTURES = "document.querySelectorAll('#gallery img').length"
ERROR = "document.getElementById('error').textContent"


@unittest.skipUnless(CHROMIUM, "no browser")
class ServePageTest(unittest.TestCase):
    def show(self, conditioning="text", token=""):
        server = subprocess.Popen([BINARY, conditioning, token], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.wait)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.stdin.close)
        self.server = server
        profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.addCleanup(profile.cleanup)
        self.browser = browser = Browser(profile.name)
        self.addCleanup(browser.close)
        url = server.stdout.readline().strip()
        url = url.replace("://", f"://anyone:{token}@") if token else url
        browser.open(url, "typeof model !== 'undefined' && model")
        return browser

    def set(self, **values):
        for name, value in values.items():
            self.browser.evaluate(f"document.getElementById('{name}').value = {value!r}")

    def press(self, key, modifiers=0):
        for kind in ("keyDown", "keyUp"):
            self.browser.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, modifiers=modifiers)

    def test_a_prompt_becomes_pictures_with_previews_on_the_way(self):
        browser = self.show()
        self.assertTrue(browser.evaluate("document.getElementById('for-class').hidden"))
        self.set(prompt="a cat", count=2, seed=40, steps=12)
        self.press("Enter", modifiers=2)  # Ctrl
        browser.wait_until("running && running.previews > 0")
        self.assertEqual(browser.evaluate("document.getElementById('go').textContent"), "Stop")
        self.assertIn("step ", browser.evaluate("document.getElementById('status').textContent"))
        self.assertEqual(browser.evaluate("document.querySelector('#stage img').className"), "preview")
        browser.wait_until("!running")
        self.assertEqual(browser.evaluate(PICTURES), 2)
        self.assertEqual(browser.evaluate("gallery.map(p => p.body.seed).join()"), "41,40")
        self.assertEqual(browser.evaluate("document.getElementById('about').textContent"), "a cat\nSteps: 12")
        self.assertEqual(browser.evaluate("document.querySelector('#stage img').naturalWidth"), 64)
        self.assertEqual(browser.evaluate("document.getElementById('save').download"), "41.png")
        self.assertEqual(browser.evaluate(ERROR), "")
        self.assertEqual(browser.errors, [])

    def test_the_gallery_shows_reuses_and_removes(self):
        browser = self.show()
        for seed in (1, 2):
            self.set(prompt=f"number {seed}", seed=seed)
            browser.evaluate("document.getElementById('go').click()")
            browser.wait_until(f"!running && {PICTURES} === {seed}")
        browser.evaluate("document.querySelectorAll('#gallery button')[1].click()")
        self.assertTrue(browser.evaluate("document.getElementById('about').textContent").startswith("number 1"))
        browser.evaluate("document.getElementById('again').click()")
        self.assertEqual(browser.evaluate("document.getElementById('prompt').value"), "number 1")
        self.assertEqual(browser.evaluate("document.getElementById('seed').value"), "1")
        browser.evaluate("document.getElementById('drop').click()")
        self.assertEqual(browser.evaluate(PICTURES), 1)
        browser.evaluate("document.getElementById('begin').click()")
        browser.evaluate("document.getElementById('go').click()")
        browser.wait_until(f"!running && {PICTURES} === 2")
        self.assertEqual(browser.evaluate("gallery[0].body.denoising_strength"), 0.75)
        self.assertEqual(browser.errors, [])

    def test_escape_stops(self):
        browser = self.show()
        self.set(prompt="slow", steps=1000)
        browser.evaluate("document.getElementById('go').click()")
        browser.wait_until("running && running.previews > 0")
        self.press("Escape")
        browser.wait_until("!running")
        self.assertEqual(browser.evaluate("document.getElementById('status').textContent"), "stopped")
        self.set(prompt="next", steps=2)  # is drawn only once the server has noticed
        browser.evaluate("document.getElementById('go').click()")
        browser.wait_until(f"!running && {PICTURES} === 1")
        self.assertEqual(browser.errors, [])

    def test_a_class_is_picked(self):
        browser = self.show("class")
        self.assertTrue(browser.evaluate("document.getElementById('for-prompt').hidden"))
        self.assertEqual(browser.evaluate("[...document.querySelectorAll('#classes option')].map(o => o.value).join()"),
                         "birds,cups")
        self.set(**{"class": "cups"})
        browser.evaluate("document.getElementById('go').click()")
        browser.wait_until(f"!running && {PICTURES} === 1")
        self.assertEqual(browser.evaluate("gallery[0].body.label"), "cups")
        self.assertEqual(browser.errors, [])

    def test_a_token_is_the_password(self):
        browser = self.show(token="secret")
        self.set(prompt="a cat", steps=2)
        browser.evaluate("document.getElementById('go').click()")
        browser.wait_until(f"!running && {PICTURES} === 1")
        self.assertEqual(browser.errors, [])

    def test_errors_are_shown(self):
        browser = self.show()
        self.set(prompt="impossible")
        browser.evaluate("document.getElementById('go').click()")
        browser.wait_until(f"!running && {ERROR} !== ''")
        self.assertEqual(browser.evaluate(ERROR), "prompt: impossible")
        browser.evaluate("document.getElementById('width').removeAttribute('step')")
        self.set(prompt="x", width="100")
        browser.evaluate("document.getElementById('go').click()")
        browser.wait_until(f"!running && {ERROR}.startsWith('width')")
        self.assertEqual(browser.evaluate(ERROR), "width: expected a multiple of 8, as 96 or 104, found 100")
        self.server.stdin.close()
        self.server.wait()
        self.set(width="64")
        browser.evaluate("document.getElementById('go').click()")
        browser.wait_until(f"!running && {ERROR} === 'the server cannot be reached'")

    @unittest.skipUnless(len(sys.argv) > 2, "no screenshot is asked for")
    def test_picture_of_the_page(self):
        browser = self.show()
        self.set(prompt="a red heart on a white table, soft light", negative_prompt="blurry", count=4, seed=60, steps=3)
        browser.evaluate("document.getElementById('go').click()")
        browser.wait_until(f"!running && {PICTURES} === 4")
        self.set(steps=40, seed=130)
        browser.evaluate("document.getElementById('go').click()")
        browser.wait_until("running && running.previews > 1")
        browser.screenshot(SCREENSHOT, 1280, 1000)
        self.press("Escape")
        browser.wait_until("!running")
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        browser.screenshot(SCREENSHOT + ".dark.png", 1280, 1000)
        browser.call("Emulation.setDeviceMetricsOverride", width=390, height=1200, deviceScaleFactor=1, mobile=True)
        browser.screenshot(SCREENSHOT + ".narrow.png", 390, 1600)


if __name__ == "__main__":
    BINARY = sys.argv[1]
    SCREENSHOT = sys.argv[2] if len(sys.argv) > 2 else None
    if not CHROMIUM:
        print("SKIPS everything: neither Chromium nor Chrome is installed", file=sys.stderr)
    unittest.main(argv=sys.argv[:1])
