#!/usr/bin/env python3
"""LoRAs of peft, in diffusers' and kohya's layouts, draw with the binary what they draw in StableDiffusionPipeline, and
LoRAs that the binary trained draw there what they draw here.

    lora_test.py CRESCENDO     runs under .deps/reference/bin/python (scripts/setup --reference)
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_kohya
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "tests/parity/fixtures/text_encoder/clip_published"
STEPS = 6
UNET_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "ff.net.0.proj", "conv1"]
# With out_proj, without which diffusers 0.42 does not recognise the layout of a text encoder's keys.
TEXT_TARGETS = ["q_proj", "v_proj", "out_proj", "fc1"]

CONFIG = """
[data]
resolution = 16
[text_encoder]
max_length = 16
[train]
conditioning = "text"
train_batch_size = 4
max_train_steps = 4
learning_rate = 0.02
[lora]
rank = 3
alpha = 9
target_modules = ["to_q", "to_k", "to_v", "to_out.0", "proj_out", "conv2", "time_emb_proj"]
"""


def crescendo(*arguments):
    subprocess.run([BINARY, "-q", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def tiny_pipeline():
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 16), norm_num_groups=4, cross_attention_dim=12, layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2)
    vae = AutoencoderKL(
        block_out_channels=(4, 8), norm_num_groups=4, layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2)
    text_encoder = CLIPTextModel(CLIPTextConfig(
        vocab_size=724, hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20,
        max_position_embeddings=16, bos_token_id=722, eos_token_id=723))
    tokenizer = CLIPTokenizer.from_pretrained(TOKENIZER, model_max_length=16)
    scheduler = DDIMScheduler(clip_sample=False, beta_schedule="scaled_linear")
    return StableDiffusionPipeline(vae, text_encoder, tokenizer, unet, scheduler, None, None)


def random_lora(model, config):
    model.add_adapter(config)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_" in name:
                value.normal_(0, 0.2)
    return get_peft_model_state_dict(model, adapter_name="default")


class LoraTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.work = pathlib.Path(cls.folder.name)
        tiny_pipeline().save_pretrained(cls.work / "model")
        cls.latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(1))
        save_file({"latents": cls.latents}, cls.work / "latents.safetensors")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def ours(self, *arguments):
        crescendo("generate", "-m", self.work / "model", "-p", "a cat", "--steps", STEPS, "--cfg-scale", 3,
                  "--latents", self.work / "latents.safetensors", *arguments, "-o", self.work / "ours.png")
        return np.asarray(Image.open(self.work / "ours.png"), dtype=np.int64)

    def theirs(self, lora=None, weight=1.0):
        pipeline = StableDiffusionPipeline.from_pretrained(self.work / "model")
        pipeline.set_progress_bar_config(disable=True)
        if lora:
            pipeline.load_lora_weights(str(lora.parent), weight_name=lora.name, adapter_name="lora")
            pipeline.set_adapters("lora", weight)
        images = pipeline("a cat", num_inference_steps=STEPS, guidance_scale=3, latents=self.latents).images
        return np.asarray(images[0], dtype=np.int64)

    def assert_same(self, lora, weight):
        plain, changed = self.theirs(), self.theirs(lora, weight)
        self.assertGreater(np.abs(plain - changed).max(), 10)
        self.assertLessEqual(np.abs(self.ours() - plain).max(), 2)
        self.assertLessEqual(np.abs(self.ours("--lora", f"{lora}:{weight}") - changed).max(), 2)

    def test_loras_of_peft(self):
        pipeline = tiny_pipeline()
        unet_config = LoraConfig(r=4, lora_alpha=6, target_modules=UNET_TARGETS)
        text_config = LoraConfig(r=2, lora_alpha=3, target_modules=TEXT_TARGETS)
        unet = random_lora(pipeline.unet, unet_config)
        text = random_lora(pipeline.text_encoder, text_config)
        StableDiffusionPipeline.save_lora_weights(
            self.work / "peft", unet_lora_layers=unet, text_encoder_lora_layers=text,
            unet_lora_adapter_metadata=unet_config.to_dict(), text_encoder_lora_adapter_metadata=text_config.to_dict())
        self.assert_same(self.work / "peft/pytorch_lora_weights.safetensors", 0.7)

        state = {"unet." + name: value for name, value in unet.items()}
        state |= {"text_encoder.text_model." + name: value for name, value in text.items()}
        kohya = {name.replace("lora_te1_", "lora_te_"): value for name, value in convert_state_dict_to_kohya(state).items()}
        alphas = {name: torch.tensor(6.0 if "unet" in name else 3.0) for name in kohya if name.endswith(".alpha")}
        save_file(kohya | alphas, self.work / "kohya.safetensors")
        self.assert_same(self.work / "kohya.safetensors", 0.7)

    def test_loras_that_the_binary_trained(self):
        random = np.random.default_rng(0)
        (self.work / "pictures").mkdir()
        for i in range(8):
            path = self.work / "pictures" / f"{i}.png"
            Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(path)
            path.with_suffix(".txt").write_text(f"picture {i}")
        crescendo("pack", self.work / "pictures", "--out", self.work / "shards")
        (self.work / "c.toml").write_text(CONFIG)
        for layout in ("diffusers", "kohya"):
            with self.subTest(layout):
                settings = [f"lora.format={layout}", f'data.shards=["{self.work}/shards/*.tar"]',
                            f"run.output_dir={self.work / layout}"]
                settings += [f"{part}.path={self.work / 'model'}" for part in ("unet", "vae", "text_encoder")]
                crescendo("train", self.work / "c.toml", *(word for text in settings for word in ("--set", text)))
                self.assert_same(self.work / layout / "model/pytorch_lora_weights.safetensors", 1.0)


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main()
