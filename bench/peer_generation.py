"""`crescendo generate` beside diffusers' StableDiffusionPipeline: the same folder of random weights, prompt, steps of
DDIM, guidance and threads. Each turn is a whole process: one step, from the command to the PNG, is the cold start;
what more steps take longer, shared out over them, is the time of a step."""
import pathlib
import sys
import tempfile

import turns
from random_model import write_model

STEPS = 6
SIDE = 256
UNET = (96, 192, 384)  # a third of Stable Diffusion's width
VAE = (32, 64, 128, 128)
PROMPT = "a red boat on a quiet lake"
DIFFUSERS = """
import sys, torch
torch.set_num_threads(int(sys.argv[4]))
from diffusers import StableDiffusionPipeline
pipeline = StableDiffusionPipeline.from_pretrained(sys.argv[1]).to(sys.argv[7])
pipeline.set_progress_bar_config(disable=True)
image = pipeline(sys.argv[5], height=int(sys.argv[6]), width=int(sys.argv[6]), num_inference_steps=int(sys.argv[2]),
                 guidance_scale=7.5, generator=torch.Generator().manual_seed(0)).images[0]
image.save(sys.argv[3])
"""


def turn(command, picture, threads):
    """Of a whole process: its seconds, and its peak."""
    picture.unlink(missing_ok=True)
    done = turns.run(*command, threads=threads)
    assert picture.stat().st_size > 1000, picture
    return done.seconds, done.peak_mb


def measure(arguments, root):
    with tempfile.TemporaryDirectory() as folder:
        return measure_in(pathlib.Path(folder), arguments, root)


def measure_in(folder, arguments, root):
    model, picture, threads = folder / "model", folder / "picture.png", arguments.threads
    parameters, _ = turns.call(write_model, model, root / "configs/stable-diffusion-v1-5/tokenizer", SIDE, UNET, VAE,
                               threads=threads)

    def ours(steps):
        return turn([root / "build/crescendo", "generate", "-m", model, "-p", PROMPT, "-W", SIDE, "-H", SIDE, "--steps",
                     steps, "--device", arguments.device, "-o", picture], picture, threads)

    def theirs(steps):
        return turn([sys.executable, "-c", DIFFUSERS, model, steps, picture, threads, PROMPT, SIDE, arguments.device],
                    picture, threads)

    sides = {"ours": ours, "theirs": theirs}
    for draw in sides.values():
        draw(1)  # both find the files in memory
    cold = {side: [] for side in sides}
    step = {side: [] for side in sides}
    for _ in range(arguments.rounds):
        for side, draw in sides.items():
            cold[side].append(draw(1))
            seconds, peak = draw(STEPS)
            step[side].append(((seconds - cold[side][-1][0]) / (STEPS - 1), peak))
            print(f"{side}: {cold[side][-1][0]:.2f} s to the picture of one step, {step[side][-1][0]:.3f} s a further")
    what = f"{parameters / 1e6:.0f} M parameters, {SIDE}x{SIDE}, guided"
    return [turns.row(f"generation: {work} ({what})", "s", results["ours"], "diffusers", "diffusers", results["theirs"])
            for work, results in (("cold start to a PNG of one step", cold), ("a step", step))]
