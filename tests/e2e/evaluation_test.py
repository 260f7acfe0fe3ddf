#!/usr/bin/env python3
"""`crescendo evaluate` on images, and its .npz, beside pytorch-fid, torch-fidelity and NumPy, with the same random
Inception-v3.

    evaluation_test.py CRESCENDO     runs under .deps/reference/bin/python (scripts/setup --reference)
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import pytorch_fid.fid_score
import pytorch_fid.inception
import torch
import torch_fidelity.feature_extractor_inceptionv3
from PIL import Image
from safetensors.torch import load_file, save_file
from torch_fidelity import calculate_metrics
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/parity/reference"))
from evaluation import random_state  # noqa: E402

TOKENIZER = ROOT / "tests/parity/fixtures/text_encoder/clip_published"
COUNT = 24


def make_images(folder, seed):
    """Smooth pictures of one size, which torch-fidelity wants."""
    folder.mkdir()
    random = np.random.default_rng(seed)
    for i in range(COUNT):
        coarse = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((40, 32), Image.BICUBIC).save(folder / f"{i:02}.png")


class EvaluationTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.first, cls.second = cls.folder / "first", cls.folder / "second"
        make_images(cls.first, 1)
        make_images(cls.second, 2)
        state = random_state()
        save_file(state, cls.folder / "inception.safetensors")
        for module in (pytorch_fid.inception, torch_fidelity.feature_extractor_inceptionv3):
            module.load_state_dict_from_url = lambda *_, **__: state

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def evaluate(self, *flags):
        report = self.folder / "report.json"
        subprocess.run([BINARY, "--quiet", "evaluate", "--device", "cpu", "--features",
                        self.folder / "inception.safetensors", "-o", report, *map(str, flags)],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return {name: metric["value"] for name, metric in json.loads(report.read_text())["metrics"].items()}

    def test_fid_of_pytorch_fid_and_its_statistics(self):
        model = pytorch_fid.inception.InceptionV3([3]).eval()
        moments = []
        for folder in (self.first, self.second):
            paths = sorted(folder.glob("*.png"))
            moments.append(pytorch_fid.fid_score.calculate_activation_statistics(
                paths, model, batch_size=8, num_workers=0))
        expected = pytorch_fid.fid_score.calculate_frechet_distance(*moments[0], *moments[1])
        for save in (np.savez, np.savez_compressed):  # stored and deflated
            save(self.folder / "theirs.npz", mu=moments[1][0], sigma=moments[1][1])
            found = self.evaluate("--images", self.first, "--reference", self.folder / "theirs.npz", "--resize",
                                  "bilinear")["fid"]
            self.assertLess(abs(found - expected), 1e-3 * expected)

        self.evaluate("--reference", self.second, "--resize", "bilinear", "--save-statistics",
                      self.folder / "ours.npz")
        mu, sigma = pytorch_fid.fid_score.compute_statistics_of_path(
            str(self.folder / "ours.npz"), model, 8, 2048, "cpu")
        np.testing.assert_allclose(mu, moments[1][0], atol=1e-4 * np.abs(moments[1][0]).max())
        np.testing.assert_allclose(sigma, moments[1][1], atol=1e-4 * np.abs(moments[1][1]).max())

    def test_all_metrics_of_torch_fidelity(self):
        expected = calculate_metrics(
            input1=str(self.first), input2=str(self.second), cuda=False, fid=True, kid=True, isc=True, prc=True,
            kid_subsets=5, kid_subset_size=12, cache=False, verbose=False, batch_size=8,
            feature_extractor="inception-v3-compat", feature_layer_prc="2048", save_cpu_ram=True)
        found = self.evaluate("--images", self.first, "--reference", self.second, "--resize", "legacy-tf",
                              "--metrics", "fid,kid,precision,recall,is", "--kid-subsets", 5,
                              "--kid-subset-size", 12)
        self.assertLess(abs(found["fid"] - expected["frechet_inception_distance"]), 1e-3 * found["fid"])
        self.assertAlmostEqual(found["is"], expected["inception_score_mean"], delta=1e-4)
        self.assertAlmostEqual(found["precision"], expected["precision"], delta=1e-6)
        self.assertAlmostEqual(found["recall"], expected["recall"], delta=1e-6)
        # A difference of means of numbers above 1, each of which float32 knows to some 1e-6.
        self.assertAlmostEqual(found["kid"], expected["kernel_inception_distance_mean"], delta=5e-6)

    def make_clip(self):
        folder = self.folder / "clip"
        if folder.exists():
            return folder
        torch.manual_seed(0)
        vision = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=32,
                      patch_size=8)
        tokenizer = CLIPTokenizer.from_pretrained(TOKENIZER)
        text = dict(bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
                    vocab_size=json.loads((TOKENIZER / "config.json").read_text())["vocab_size"], hidden_size=24,
                    intermediate_size=40, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=20)
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    def test_clip_score_of_transformers(self):
        folder = self.make_clip()
        model, tokenizer = CLIPModel.from_pretrained(folder).eval(), CLIPTokenizer.from_pretrained(folder)
        processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32)
        captions = [f"a picture of number {i}" if i % 3 else "cat" for i in range(COUNT)]
        captioned = self.folder / "captioned"
        make_images(captioned, 3)
        for i, caption in enumerate(captions):
            (captioned / f"{i:02}.txt").write_text(caption)
        images = [Image.open(captioned / f"{i:02}.png") for i in range(COUNT)]
        with torch.no_grad():
            seen = model(**tokenizer(captions, return_tensors="pt", padding="max_length", max_length=20, truncation=True),
                         **processor(images, return_tensors="pt"))
        expected = (100 * (seen.image_embeds * seen.text_embeds).sum(1)).clamp(min=0).mean().item()
        found = self.evaluate("--images", captioned, "--metrics", "clip", "--clip", folder)
        self.assertAlmostEqual(found["clip"], expected, delta=1e-3)

        features = model.visual_projection(model.vision_model(**processor(images, return_tensors="pt")).pooler_output)
        command = [BINARY, "-q", "evaluate", "--device", "cpu", "--features", folder, "--reference", captioned,
                   "--save-statistics", self.folder / "clip.npz"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        mu = np.load(self.folder / "clip.npz")["mu"]
        expected = features.detach().double().mean(0).numpy()
        np.testing.assert_allclose(mu, expected, atol=1e-4 * np.abs(expected).max())

    def test_convert_reads_what_torch_saves(self):
        shared = torch.arange(12.0)
        state = {"float": torch.randn(3, 4, dtype=torch.float64), "transposed": torch.randn(5, 2).t(),
                 "view": shared[2:6], "other view": shared[6:].view(2, 3), "count": torch.tensor(7),
                 "half": torch.randn(3).half(), "empty": torch.empty(0, 3), "bool": torch.tensor([True, False])}
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        parameters = {name: torch.nn.Parameter(t) for name, t in network.named_parameters()}
        for number, (saved, expected) in enumerate([
                (state, state), (network.state_dict(), network.state_dict()), (parameters, parameters),
                ({"state_dict": network.state_dict(), "epoch": 3, "note": "x"}, network.state_dict())]):
            for zipped in (True, False):
                source, target = (self.folder / f"{number}{zipped}.{end}" for end in ("pth", "safetensors"))
                torch.save(saved, source, _use_new_zipfile_serialization=zipped)
                subprocess.run([BINARY, "convert", source, target], check=True, stdout=subprocess.DEVNULL)
                found = load_file(target)
                self.assertEqual(found.keys(), expected.keys())
                for name, tensor in expected.items():
                    self.assertEqual(found[name].dtype, tensor.dtype, name)
                    self.assertTrue(torch.equal(found[name], tensor), name)

    def test_convert_refuses_objects(self):
        for zipped in (True, False):
            torch.save(torch.nn.Linear(2, 2), self.folder / "object.pth", _use_new_zipfile_serialization=zipped)
            outcome = subprocess.run([BINARY, "convert", self.folder / "object.pth", self.folder / "o.safetensors"],
                                     capture_output=True, text=True)
            self.assertEqual(outcome.returncode, 2)
            self.assertIn("object.pth: expected a dict of tensors", outcome.stderr)


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main()
