"""`crescendo generate` beside diffusers' StableDiffusionPipeline: the same folder of random weights, prompt, steps of
DDIM, guidance and threads. Each turn is a whole process: one step, from the command to the PNG, is the cold start;
what more steps take longer, shared out over them, is the time of a step."""
import importlib.metadata
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

STEPS = 6
SIDE = 256
PROMPT = "a red boat on a quiet lake"
DIFFUSERS = """
import sys, torch
torch.set_num_threads(int(sys.argv[4]))
from diffusers import StableDiffusionPipeline
pipeline = StableDiffusionPipeline.from_pretrained(sys.argv[1])
pipeline.set_progress_bar_config(disable=True)
image = pipeline(sys.argv[5], height=int(sys.argv[6]), width=int(sys.argv[6]), num_inference_steps=int(sys.argv[2]),
                 guidance_scale=7.5, generator=torch.Generator().manual_seed(0)).images[0]
image.save(sys.argv[3])
"""


def make_model(root, folder):
    """Stable Diffusion's shape at a third of its width, random weights, CLIP's real vocabulary."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(root / "configs/stable-diffusion-v1-5/tokenizer")
    text = CLIPTextModel(CLIPTextConfig(
        hidden_size=256, intermediate_size=1024, num_hidden_layers=6, num_attention_heads=4,
        vocab_size=len(tokenizer), bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id))
    unet = UNet2DConditionModel(
        sample_size=SIDE // 8, block_out_channels=(96, 192, 384), layers_per_block=2, cross_attention_dim=256,
        attention_head_dim=8, down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"))
    vae = AutoencoderKL(
        block_out_channels=(32, 64, 128, 128), layers_per_block=1, latent_channels=4, sample_size=SIDE,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False,
                              timestep_spacing="trailing")
    StableDiffusionPipeline(vae, text, tokenizer, unet, scheduler, None, None, requires_safety_checker=False
                            ).save_pretrained(folder)
    return sum(p.numel() for model in (text, unet, vae) for p in model.parameters()) / 1e6


def seconds_of(command, picture, threads):
    picture.unlink(missing_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    began = time.perf_counter()
    subprocess.run(list(map(str, command)), check=True, env=environment, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    assert picture.stat().st_size > 1000, picture
    return seconds


def measure(arguments, root):
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        return measure_in(folder, arguments, root)
    finally:
        shutil.rmtree(folder)


def measure_in(folder, arguments, root):
    parameters = make_model(root, folder / "model")
    picture, threads = folder / "picture.png", arguments.threads

    def ours(steps):
        return seconds_of([root / "build/crescendo", "generate", "-m", folder / "model", "-p", PROMPT, "-W", SIDE, "-H",
                           SIDE, "--steps", steps, "--device", "cpu", "-o", picture], picture, threads)

    def theirs(steps):
        return seconds_of([sys.executable, "-c", DIFFUSERS, folder / "model", steps, picture, threads, PROMPT, SIDE],
                          picture, threads)

    sides = {"ours": ours, "theirs": theirs}
    for draw in sides.values():
        draw(1)  # both find the files in memory
    cold = {side: [] for side in sides}
    step = {side: [] for side in sides}
    for _ in range(arguments.rounds):
        for side, draw in sides.items():
            cold[side].append(draw(1))
            step[side].append((draw(STEPS) - cold[side][-1]) / (STEPS - 1))
            print(f"{side}: {cold[side][-1]:.2f} s to the picture of one step, {step[side][-1]:.3f} s a further step")
    what = f"{parameters:.0f} M parameters, {SIDE}x{SIDE}, guided, {threads} threads"
    rows = []
    for work, times in (("cold start to a PNG of one step", cold), ("a step", step)):
        median = {side: statistics.median(values) for side, values in times.items()}
        rows.append({"work": f"generation: {work} ({what})", "unit": "s", "ours": median["ours"], "peer": "diffusers",
                     "version": importlib.metadata.version("diffusers"), "theirs": median["theirs"],
                     "ratio": median["theirs"] / median["ours"]})
    return rows
