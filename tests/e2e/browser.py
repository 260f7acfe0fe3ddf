"""A headless Chromium or Chrome, for the tests of pages; CHROMIUM is None where there is neither."""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import time

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)


class Browser:
    """A headless browser, spoken to by the DevTools protocol over a pipe."""

    def __init__(self, folder):
        to_browser, self.write = os.pipe()
        self.read, from_browser = os.pipe()
        command = [CHROMIUM, "--headless=new", "--disable-gpu", "--no-first-run", "--window-size=1280,1000", "--hide-scrollbars",
                   "--remote-debugging-pipe", f"--user-data-dir={folder}"]
        command += ["--no-sandbox"] if os.getuid() == 0 else []
        self.process = subprocess.Popen(["bash", "-c", f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}', *command],
                                        pass_fds=[to_browser, from_browser], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.buffer, self.number, self.errors, self.session = b"", 0, [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.bringToFront")  # a hidden page does not load itself anew
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")

    def close(self):
        os.close(self.write)
        os.close(self.read)
        self.process.terminate()
        self.process.wait()

    def message(self):
        while b"\0" not in self.buffer:
            data = os.read(self.read, 1 << 20)
            if not data:
                raise RuntimeError("the browser has ended")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(answer["params"])
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return answer["result"]

    def evaluate(self, script):
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    def wait_until(self, script):
        for _ in range(600):
            if self.evaluate(f"!!({script})"):
                return
            time.sleep(0.05)
        raise AssertionError(f"does not come true: {script}; {self.errors}")

    def open(self, url, loaded):
        """Shows an address and waits until the script `loaded` is true in it."""
        self.call("Page.navigate", url=url)
        self.wait_until(f"document.readyState === 'complete' && {loaded}")

    def screenshot(self, file, width, height):
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True,
                            clip={"x": 0, "y": 0, "width": width, "height": height, "scale": 1})
        pathlib.Path(file).write_bytes(base64.b64decode(picture["data"]))
