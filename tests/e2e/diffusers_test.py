#!/usr/bin/env python3
"""A model folder that the binary wrote is opened by diffusers and draws the same picture there; a single file that it
wrote is the one that diffusers reads.

    diffusers_test.py CRESCENDO     runs under .deps/reference/bin/python (scripts/setup --reference)
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import torch
from diffusers import (
    AutoencoderKL, AutoencoderTiny, DDIMScheduler, DiffusionPipeline, StableDiffusionPipeline,
    UNet2DConditionModel)
from diffusers.loaders import single_file_utils
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT_ENCODERS = ROOT / "tests/parity/fixtures/text_encoder"
INITIAL_LATENTS = 9  # Purpose::kInitialLatents, core/random.h
SEED = 5
STEPS = 10

VAE_CONFIG = """
[data]
resolution = 32
[vae]
block_out_channels = [8, 16]
down_block_types = ["DownEncoderBlock2D", "DownEncoderBlock2D"]
up_block_types = ["UpDecoderBlock2D", "UpDecoderBlock2D"]
norm_num_groups = 4
[train]
train_batch_size = 4
max_train_steps = 3
"""

UNET_CONFIG = """
[data]
resolution = 32
[text_encoder]
max_length = 12
[unet]
block_out_channels = [16, 32]
down_block_types = [{down}]
mid_block_type = "{mid}"
up_block_types = [{up}]
layers_per_block = 1
norm_num_groups = 8
cross_attention_dim = 16
attention_head_dim = {heads}
[diffusion]
prediction_type = "v_prediction"
[train]
conditioning = "{conditioning}"
train_batch_size = 4
max_train_steps = 3
"""

TEXT_CONFIG = UNET_CONFIG.format(
    down='"DownBlock2D", "CrossAttnDownBlock2D"', mid="UNetMidBlock2DCrossAttn",
    up='"CrossAttnUpBlock2D", "UpBlock2D"', heads=4, conditioning="text")


def philox(counter, key):
    """Philox4x32-10 over arrays of counters, [4, n] uint64 holding 32-bit words."""
    mask = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    key = [np.uint64(word) for word in key]
    for _ in range(10):
        product0 = np.uint64(0xD2511F53) * counter[0]
        product1 = np.uint64(0xCD9E8D57) * counter[2]
        counter = [
            (product1 >> shift) ^ counter[1] ^ key[0],
            product1 & mask,
            (product0 >> shift) ^ counter[3] ^ key[1],
            product0 & mask,
        ]
        key = [(key[0] + np.uint64(0x9E3779B9)) & mask, (key[1] + np.uint64(0xBB67AE85)) & mask]
    return np.stack(counter)


def initial_latents(shape, seed):
    count = int(np.prod(shape))
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)
    zeros = np.zeros_like(blocks)
    words = philox([blocks, zeros + np.uint64(INITIAL_LATENTS), zeros, zeros], (seed, 0))
    words = words.T.reshape(-1).astype(np.float64)
    radius = np.sqrt(-2 * np.log((words[0::2] + 1) / 2**32))
    angle = 2 * np.pi * words[1::2] / 2**32
    normals = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)
    return torch.tensor(normals[:count].astype(np.float32)).reshape(1, *shape)


def crescendo(*arguments):
    subprocess.run([BINARY, "-q", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


class DiffusersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.work = pathlib.Path(cls.folder.name)
        random = np.random.default_rng(0)
        for group in ("a", "b"):
            (cls.work / "pictures" / group).mkdir(parents=True)
            for i in range(4):
                pixels = random.integers(0, 255, (32, 32, 3), dtype=np.uint8)
                path = cls.work / "pictures" / group / f"{i}.png"
                Image.fromarray(pixels).save(path)
                path.with_suffix(".txt").write_text(f"picture {i} of {group}")
        crescendo("pack", cls.work / "pictures", "--out", cls.work / "shards")
        cls.train("train-vae", "vae", VAE_CONFIG)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def train(cls, job, name, config, *settings):
        (cls.work / f"{name}.toml").write_text(config)
        settings = [*settings, f'data.shards=["{cls.work}/shards/*.tar"]', f"run.output_dir={cls.work / name}"]
        crescendo(job, cls.work / f"{name}.toml", *(word for text in settings for word in ("--set", text)))
        return cls.work / name / "model"

    def drawn(self, model, *arguments):
        crescendo("generate", "-m", model, "--steps", STEPS, "-s", SEED, *arguments, "-o", self.work / "ours.png")
        return np.asarray(Image.open(self.work / "ours.png"), dtype=np.int64)

    def assert_same_picture(self, ours, theirs):
        self.assertEqual(ours.shape, theirs.shape)
        self.assertGreater(ours.std(), 2)  # a flat picture would prove nothing
        self.assertLessEqual(np.abs(ours - theirs).max(), 2)

    def test_stable_diffusion_pipeline_draws_the_same_picture(self):
        for encoder in ("bert_uncased", "clip_published", "t5_v1_1"):
            with self.subTest(encoder):
                width = json.loads((TEXT_ENCODERS / encoder / "config.json").read_text())
                width = width.get("d_model", width.get("hidden_size"))
                model = self.train("train", encoder, TEXT_CONFIG, f"vae.path={self.work}/vae/model",
                                   f"text_encoder.path={TEXT_ENCODERS / encoder}", f"unet.cross_attention_dim={width}")
                self.compare_with_pipeline(model)

    def test_stable_diffusion_pipeline_takes_a_tiny_autoencoder(self):
        torch.manual_seed(0)
        tiny = AutoencoderTiny(encoder_block_out_channels=[8, 8], decoder_block_out_channels=[8, 8],
                               num_encoder_blocks=[1, 1], num_decoder_blocks=[1, 1])
        tiny.save_pretrained(self.work / "tiny")
        model = self.train("train", "text-tiny", TEXT_CONFIG, f"vae.path={self.work}/tiny",
                           f"text_encoder.path={TEXT_ENCODERS / 'bert_uncased'}")
        self.compare_with_pipeline(model)

    def compare_with_pipeline(self, model):
        pipeline = DiffusionPipeline.from_pretrained(model)
        pipeline.set_progress_bar_config(disable=True)
        self.assertEqual(type(pipeline).__name__, "StableDiffusionPipeline")
        ours = self.drawn(model, "-p", "picture 2 of b", "-n", "of a", "--cfg-scale", 3)
        theirs = pipeline("picture 2 of b", negative_prompt="of a", num_inference_steps=STEPS, guidance_scale=3,
                          latents=initial_latents((4, 16, 16), SEED)).images[0]
        self.assert_same_picture(ours, np.asarray(theirs, dtype=np.int64))

        latents = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(1))
        save_file({"latents": latents}, self.work / "latents.safetensors")
        ours = self.drawn(model, "-p", "picture 2 of b", "--cfg-scale", 3, "--latents", self.work / "latents.safetensors")
        theirs = pipeline("picture 2 of b", num_inference_steps=STEPS, guidance_scale=3, latents=latents).images[0]
        self.assert_same_picture(ours, np.asarray(theirs, dtype=np.int64))

    def test_class_conditional_components_draw_the_same_picture(self):
        config = UNET_CONFIG.format(
            down='"DownBlock2D", "AttnDownBlock2D"', mid="UNetMidBlock2D", up='"AttnUpBlock2D", "UpBlock2D"',
            heads=16, conditioning="class")
        model = self.train("train", "class", config, f"vae.path={self.work}/vae/model", "data.class_names=['a', 'b']")
        ours = self.drawn(model, "--label", "b", "--cfg-scale", 1)
        unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet")
        vae = AutoencoderKL.from_pretrained(model, subfolder="vae")
        scheduler = DDIMScheduler.from_pretrained(model, subfolder="scheduler")
        scheduler.set_timesteps(STEPS)
        latents = initial_latents((4, 16, 16), SEED)
        with torch.no_grad():
            for t in scheduler.timesteps:
                prediction = unet(latents, t, None, class_labels=torch.tensor([1])).sample
                latents = scheduler.step(prediction, t, latents).prev_sample
            image = vae.decode(latents / vae.config.scaling_factor).sample[0]
        theirs = ((image / 2 + 0.5).clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
        self.assert_same_picture(ours, theirs.astype(np.int64))


def tiny_stable_diffusion(generation):
    """A pipeline of the architecture of Stable Diffusion 1 or 2, with random weights."""
    torch.manual_seed(generation)
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16, 16), norm_num_groups=4, cross_attention_dim=12, layers_per_block=3 - generation,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2 if generation == 1 else (2, 4, 4), use_linear_projection=generation == 2)
    vae = AutoencoderKL(
        block_out_channels=(4, 8), norm_num_groups=4, layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2)
    text_encoder = CLIPTextModel(CLIPTextConfig(
        vocab_size=724, hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20,
        max_position_embeddings=16, hidden_act="quick_gelu" if generation == 1 else "gelu"))
    tokenizer = CLIPTokenizer.from_pretrained(TEXT_ENCODERS / "clip_published", model_max_length=16)
    scheduler = DDIMScheduler(clip_sample=False, beta_schedule="scaled_linear")
    return StableDiffusionPipeline(vae, text_encoder, tokenizer, unet, scheduler, None, None)


class SingleFileTest(unittest.TestCase):
    def assert_same_tensors(self, ours, theirs):
        self.assertEqual(set(ours), set(theirs))
        for name, tensor in theirs.items():
            self.assertTrue(torch.equal(ours[name], tensor), name)

    def assert_same_pipelines(self, ours, theirs):
        for component in ("unet", "vae", "text_encoder"):
            self.assert_same_tensors(getattr(ours, component).state_dict(), getattr(theirs, component).state_dict())

    def read_by_parts(self, checkpoint, pipeline):
        """Each component by diffusers' function for it, before from_single_file fills in what would be missing."""
        unet = single_file_utils.convert_ldm_unet_checkpoint(checkpoint, pipeline.unet.config)
        self.assert_same_tensors(unet, pipeline.unet.state_dict())
        vae = single_file_utils.convert_ldm_vae_checkpoint(checkpoint, pipeline.vae.config)
        self.assert_same_tensors(vae, pipeline.vae.state_dict())
        if single_file_utils.is_open_clip_model(checkpoint):
            text = single_file_utils.convert_open_clip_checkpoint(pipeline.text_encoder, checkpoint)
        else:
            text = single_file_utils.convert_ldm_clip_checkpoint(checkpoint)
        flat = {name.removeprefix("text_model."): tensor for name, tensor in text.items()}
        theirs = pipeline.text_encoder.state_dict()
        self.assert_same_tensors(flat, {name.removeprefix("text_model."): tensor for name, tensor in theirs.items()})

    def test_single_file_is_the_one_that_diffusers_reads(self):
        for generation in (1, 2):
            with self.subTest(generation), tempfile.TemporaryDirectory() as name:
                work = pathlib.Path(name)
                pipeline = tiny_stable_diffusion(generation)
                pipeline.save_pretrained(work / "theirs")
                crescendo("convert", work / "theirs", work / "model.safetensors")
                checkpoint = load_file(work / "model.safetensors")
                self.assertEqual(single_file_utils.is_open_clip_model(checkpoint), generation == 2)
                self.read_by_parts(checkpoint, pipeline)
                opened = StableDiffusionPipeline.from_single_file(
                    work / "model.safetensors", config=str(work / "theirs"), local_files_only=True)
                self.assert_same_pipelines(opened, pipeline)

                crescendo("convert", work / "model.safetensors", work / "ours", "--config", work / "theirs")
                self.assert_same_pipelines(StableDiffusionPipeline.from_pretrained(work / "ours"), pipeline)
                crescendo("convert", work / "ours", work / "half", "--save-precision", "fp16", "--variant", "fp16")
                half = StableDiffusionPipeline.from_pretrained(work / "half", variant="fp16", dtype=torch.float16)
                self.assert_same_pipelines(half, pipeline.to(dtype=torch.float16))


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main()
