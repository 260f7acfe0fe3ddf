"""`crescendo serve`, as its clients use it: with the bodies that they send, over HTTP, with a tiny model.

    serve_test.py CRESCENDO
"""
import base64
import http.client
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import zlib

TEXT_ENCODER = pathlib.Path(__file__).resolve().parents[1] / "parity/fixtures/text_encoder/bert_uncased"

# What the Python client webuiapi sends for txt2img(prompt=...), but for the size and the steps.
WEBUIAPI_TXT2IMG = {
    "enable_hr": False, "hr_scale": 2, "hr_upscaler": "Latent", "hr_second_pass_steps": 0, "hr_resize_x": 0,
    "hr_resize_y": 0, "denoising_strength": 0.7, "firstphase_width": 0, "firstphase_height": 0, "prompt": "cups number 1",
    "styles": [], "seed": -1, "subseed": -1, "subseed_strength": 0.0, "seed_resize_from_h": 0, "seed_resize_from_w": 0,
    "sampler_name": "Euler a", "batch_size": 1, "n_iter": 1, "steps": 6, "cfg_scale": 7.0, "width": 16, "height": 16,
    "restore_faces": False, "tiling": False, "do_not_save_samples": False, "do_not_save_grid": False,
    "negative_prompt": "stars", "eta": 1.0, "s_churn": 0, "s_tmax": 0, "s_tmin": 0, "s_noise": 1, "override_settings": {},
    "override_settings_restore_afterwards": True, "script_args": [], "script_name": None, "send_images": True,
    "save_images": False, "alwayson_scripts": {}}
WEBUIAPI_IMG2IMG = {
    "init_images": [], "resize_mode": 0, "denoising_strength": 0.75, "image_cfg_scale": 1.5, "mask_blur": 4,
    "inpainting_fill": 0, "inpaint_full_res": True, "inpaint_full_res_padding": 0, "inpainting_mask_invert": 0,
    "initial_noise_multiplier": 1, "prompt": "stars", "styles": [], "seed": 3, "subseed": -1, "subseed_strength": 0,
    "seed_resize_from_h": 0, "seed_resize_from_w": 0, "sampler_name": "DDIM", "batch_size": 1, "n_iter": 1, "steps": 8,
    "cfg_scale": 7.0, "width": 16, "height": 16, "restore_faces": False, "tiling": False, "do_not_save_samples": False,
    "do_not_save_grid": False, "negative_prompt": "", "eta": 1.0, "s_churn": 0, "s_tmax": 0, "s_tmin": 0, "s_noise": 1,
    "override_settings": {}, "override_settings_restore_afterwards": True, "script_args": [], "include_init_images": False,
    "script_name": None, "send_images": True, "save_images": False, "alwayson_scripts": {}}
# What SillyTavern sends.
SILLYTAVERN = {
    "prompt": "birds", "negative_prompt": "", "sampler_name": "DPM++ 2M Karras", "scheduler": "Automatic", "steps": 4,
    "cfg_scale": 7, "width": 16, "height": 16, "restore_faces": False, "enable_hr": False, "hr_upscaler": "Latent",
    "hr_scale": 2, "hr_second_pass_steps": 0, "denoising_strength": 0.7, "seed": 9, "clip_skip": 1,
    "override_settings": {"CLIP_stop_at_last_layers": 1}, "override_settings_restore_afterwards": True,
    "save_images": True, "send_images": True, "do_not_save_grid": False, "do_not_save_samples": False}


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(side, pixel):
    rows = b"".join(b"\0" + bytes(v for x in range(side) for v in pixel(x, y)) for y in range(side))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def chunks(data):
    at = 8
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        yield kind, data[at + 8:at + 8 + size]
        at += size + 12


def pixels(data):
    return zlib.decompress(b"".join(body for kind, body in chunks(data) if kind == b"IDAT"))


def text_of(data, keyword):
    for kind, body in chunks(data):
        if kind in (b"iTXt", b"tEXt") and body.startswith(keyword.encode() + b"\0"):
            return body.rsplit(b"\0", 1)[1].decode()
    return None


def crescendo(*arguments):
    subprocess.run([BINARY, "-q", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def make_models(folder):
    """Runs folder/text and folder/class of a few steps on pictures of three classes."""
    for number in range(12):
        group = ["birds", "cups", "stars"][number % 3]
        file = folder / "pictures" / group / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(20, lambda x, y: (x * 12, y * 12, number * 20)))
        file.with_suffix(".txt").write_text(f"{group} number {number}\n")
    crescendo("pack", folder / "pictures", "--out", folder / "shards")
    run = f'[run]\ndevice = "cpu"\n[data]\nshards = ["{folder}/shards/*.tar"]\nresolution = 16\n'
    (folder / "vae.toml").write_text(run + """
[vae]
block_out_channels = [8, 16]
down_block_types = ["DownEncoderBlock2D", "DownEncoderBlock2D"]
up_block_types = ["UpDecoderBlock2D", "UpDecoderBlock2D"]
norm_num_groups = 4
mid_block_add_attention = false
[train]
train_batch_size = 4
max_train_steps = 3
""")
    crescendo("train-vae", folder / "vae.toml", "--set", f"run.output_dir={folder}/vae")
    blocks = {"text": 'down_block_types = ["CrossAttnDownBlock2D", "DownBlock2D"]\n'
                      'up_block_types = ["UpBlock2D", "CrossAttnUpBlock2D"]\ncross_attention_dim = 16\n',
              "class": 'down_block_types = ["AttnDownBlock2D", "DownBlock2D"]\n'
                       'up_block_types = ["UpBlock2D", "AttnUpBlock2D"]\nmid_block_type = "UNetMidBlock2D"\n'}
    for kind, types in blocks.items():
        data = run + ('class_names = ["birds", "cups", "stars"]\n' if kind == "class" else "")
        text = f'[text_encoder]\npath = "{TEXT_ENCODER}"\nmax_length = 12\n' if kind == "text" else ""
        (folder / f"{kind}.toml").write_text(f"""{data}
[vae]
path = "{folder}/vae/model"
[unet]
block_out_channels = [8, 16]
layers_per_block = 1
attention_head_dim = 2
norm_num_groups = 4
{types}[train]
conditioning = "{kind}"
train_batch_size = 4
max_train_steps = 4
[sample]
every = 0
{text}""")
        crescendo("train", folder / f"{kind}.toml", "--set", f"run.output_dir={folder}/{kind}")


class Server:
    """`crescendo serve` on a free port."""

    def __init__(self, model, *arguments, environment=None):
        self.process = subprocess.Popen(
            [BINARY, "serve", "-m", str(model), "--device", "cpu", "--port", "0", *map(str, arguments)], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})})
        self.url = self.process.stdout.readline().strip()
        self.port = int(self.url.rsplit(":", 1)[1].rstrip("/"))

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        headers = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if answer.getheader("Content-Type") == "application/json" else text

    def draw(self, body, route="txt2img"):
        status, answer = self.ask("POST", "/sdapi/v1/" + route, body)
        if status != 200:
            raise AssertionError(f"{status} {answer}")
        return [base64.b64decode(image) for image in answer["images"]], json.loads(answer["info"])

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        _, errors = self.process.communicate(timeout=120)
        return self.process.returncode, errors


def failing(*arguments):
    outcome = subprocess.run([BINARY, "serve", *map(str, arguments)], capture_output=True, text=True, timeout=120)
    return outcome.returncode, outcome.stderr


class ServeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        make_models(cls.folder)
        cls.server = Server(cls.folder / "text", "--save", cls.folder / "kept")
        cls.addClassCleanup(cls.server.process.wait)
        cls.addClassCleanup(cls.server.process.kill)
        cls.addClassCleanup(cls.server.process.stdout.close)
        cls.addClassCleanup(cls.server.process.stderr.close)

    def test_a_clients_txt2img_is_the_picture_of_generate(self):
        (picture,), info = self.server.draw(WEBUIAPI_TXT2IMG)
        self.assertEqual(info["warnings"], [])
        self.assertIn(f"Seed: {info['seed']}, Size: 16x16", text_of(picture, "parameters"))
        self.assertEqual(info["infotexts"][0], text_of(picture, "parameters"))
        crescendo("generate", "-m", self.folder / "text", "-p", "cups number 1", "-n", "stars", "--steps", 6, "--seed",
                  info["seed"], "--cfg-scale", 7, "--sampler", "euler_a", "-o", self.folder / "same.png")
        self.assertEqual(pixels(picture), pixels((self.folder / "same.png").read_bytes()))
        (self.folder / "served.png").write_bytes(picture)
        crescendo("generate", "--from-image", self.folder / "served.png", "-o", self.folder / "again.png")
        self.assertEqual((self.folder / "again.png").read_bytes(), picture)

    def test_a_batch_counts_its_seeds(self):
        pictures, info = self.server.draw({**WEBUIAPI_TXT2IMG, "seed": 5, "batch_size": 2, "n_iter": 2})
        self.assertEqual(info["all_seeds"], [5, 6, 7, 8])
        (alone,), _ = self.server.draw({**WEBUIAPI_TXT2IMG, "seed": 8})
        difference = max(abs(a - b) for a, b in zip(pixels(pictures[3]), pixels(alone)))
        self.assertLessEqual(difference, 1)  # sums of a batch may round otherwise

    def test_img2img_begins_from_the_picture(self):
        start = png(16, lambda x, y: (x * 16, 255 - y * 16, 90))
        body = {**WEBUIAPI_IMG2IMG, "init_images": [base64.b64encode(start).decode()]}
        (near,), info = self.server.draw({**body, "denoising_strength": 0.2}, "img2img")
        self.assertEqual(info["warnings"], [])
        (far,), _ = self.server.draw({**body, "denoising_strength": 1}, "img2img")
        self.assertNotEqual(pixels(near), pixels(far))
        self.assertIn("Denoising strength: 0.2", text_of(near, "parameters"))
        self.assertIsNone(text_of(near, "crescendo"))
        mask = base64.b64encode(png(16, lambda x, y: (255,) * 3 if x < 8 else (0,) * 3)).decode()
        _, info = self.server.draw({**body, "mask": "data:image/png;base64," + mask}, "img2img")
        self.assertEqual(len(info["warnings"]), 3)  # mask_blur, inpainting_fill, inpaint_full_res

    def test_another_client_and_what_is_kept(self):
        (picture,), info = self.server.draw(SILLYTAVERN)
        self.assertEqual((info["sampler_name"], info["scheduler"]), ("DPM++ 2M", "Karras"))
        kept = [file.read_bytes() for file in (self.folder / "kept").glob("*-9.png")]
        self.assertIn(picture, kept)

    def test_bad_requests_are_told_what_is_wrong(self):
        for change, expected in [({"sampler_name": "PLMS"}, "unknown sampler"), ({"width": 18}, "multiple of 4"),
                                 ({"steps": 0}, "1 to 1000"), ({"enable_hr": True}, "not supported"),
                                 ({"width": 16000, "height": 16000}, "pixels")]:
            status, answer = self.server.ask("POST", "/sdapi/v1/txt2img", {**WEBUIAPI_TXT2IMG, **change})
            self.assertEqual(status, 422, change)
            self.assertIn(expected, json.dumps(answer))
        self.assertEqual(self.server.ask("GET", "/", headers={"Host": "evil.example"})[0], 403)

    def test_the_lists_of_the_api(self):
        self.assertEqual(self.server.ask("GET", "/sdapi/v1/sd-models")[1][0]["title"], "text")
        self.assertEqual(self.server.ask("GET", "/sdapi/v1/progress")[1]["progress"], 0)
        self.assertIn(b"<title>Crescendo</title>", self.server.ask("GET", "/")[1])

    def test_a_class_model_takes_a_class(self):
        server = Server(self.folder / "class")
        model = server.ask("GET", "/crescendo/v1/model")[1]
        self.assertEqual((model["conditioning"], model["class_names"]), ("class", ["birds", "cups", "stars"]))
        (by_name,), _ = server.draw({"label": "cups", "seed": 1, "steps": 2})
        (by_prompt,), _ = server.draw({"prompt": "1", "seed": 1, "steps": 2})
        self.assertEqual(pixels(by_name), pixels(by_prompt))
        status, answer = server.ask("POST", "/sdapi/v1/txt2img", {"label": "dragons"})
        self.assertEqual(status, 422)
        self.assertIn("dragons", answer["detail"])
        self.assertEqual(server.stop()[0], 0)

    def test_a_token_from_the_environment(self):
        server = Server(self.folder / "text", "--listen", "0.0.0.0", environment={"CRESCENDO_TOKEN": "secret"})
        self.assertEqual(server.ask("GET", "/sdapi/v1/samplers")[0], 401)
        self.assertEqual(server.ask("GET", "/sdapi/v1/samplers", headers={"Authorization": "Bearer secret"})[0], 200)
        self.assertEqual(server.stop(signal.SIGINT)[0], 0)

    def test_sigterm_ends_what_is_under_way(self):
        server = Server(self.folder / "text")
        answers = []
        client = threading.Thread(target=lambda: answers.append(
            server.ask("POST", "/sdapi/v1/txt2img", {"prompt": "cups", "steps": 999, "n_iter": 16})))
        client.start()
        while server.ask("GET", "/sdapi/v1/progress")[1]["state"]["sampling_step"] == 0:
            pass
        code, errors = server.stop()
        client.join()
        self.assertEqual(code, 0, errors)
        self.assertEqual(answers, [(503, {"detail": "the server is ending"})])

    def test_bad_flags_end_before_the_model_is_loaded(self):
        code, errors = failing("-m", "nowhere", "--port", self.server.port)
        self.assertEqual(code, 2)
        self.assertIn("Address already in use", errors)
        code, errors = failing("-m", "nowhere", "--listen", "0.0.0.0")
        self.assertEqual(code, 2)
        self.assertIn("expected a --token (or CRESCENDO_TOKEN)", errors)
        code, errors = failing("-m", "nowhere", "--port", 0)
        self.assertEqual(code, 2)
        self.assertIn("nowhere", errors)


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main()
