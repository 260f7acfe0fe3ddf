"""A checkpoint of a training (weights, their average, AdamW's moments) as `crescendo train` writes and resumes it, in
build/bench/bench_training, beside accelerate's save_state() and load_state() with the hooks of diffusers'
train_text_to_image.py.

Ours is copied, whereupon training goes on; then it is written, flushed to disk and read again for its checksums, with
which all of it is compared before a resume. Accelerate's is on its way to the disk when training goes on, and flushed
by nobody: its save is timed up to there, beside our copy, and with a flush of every file, beside our save. Both are in
$TMPDIR, which chooses the disk."""
import os
import pathlib
import shutil
import tempfile
import time

import turns
from peer_training import SMALL, PeerStep, run_ours, write_config

UNET = SMALL | dict(block_out_channels=(96, 192, 384))
BATCH = 1


def flush(folder):
    for path in [folder, *pathlib.Path(folder).rglob("*")]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def make_accelerator(step, device):
    """With the hooks for the U-Net and its average that the script registers."""
    from accelerate import Accelerator
    from diffusers import UNet2DConditionModel
    from diffusers.training_utils import EMAModel

    accelerator = Accelerator(cpu=device == "cpu")
    (unet, _), ema = accelerator.prepare(step.unet, step.optimizer), step.ema

    def save(models, weights, folder):
        ema.save_pretrained(f"{folder}/unet_ema")
        unet.save_pretrained(f"{folder}/unet")
        weights.pop()

    def load(models, folder):
        average = EMAModel.from_pretrained(f"{folder}/unet_ema", UNet2DConditionModel, foreach=True)
        ema.load_state_dict(average.state_dict())
        ema.to(device)
        models.pop().load_state_dict(UNet2DConditionModel.from_pretrained(folder, subfolder="unet").state_dict())

    accelerator.register_save_state_pre_hook(save)
    accelerator.register_load_state_pre_hook(load)
    return accelerator


def their_seconds(folder, device):
    step = PeerStep(UNET, BATCH, "eager", device)
    step()
    accelerator = make_accelerator(step, device)
    seconds = {}
    began = time.perf_counter()
    accelerator.save_state(folder)
    seconds["copy"] = time.perf_counter() - began
    flush(folder)
    seconds["save"] = time.perf_counter() - began
    began = time.perf_counter()
    accelerator.load_state(folder)
    seconds["resume"] = time.perf_counter() - began
    return seconds


def measure(arguments, root):
    results = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory() as folder:
        parameters, _ = turns.call(write_config, UNET, folder, threads=1)
        ours, theirs = f"{folder}/ours", f"{folder}/theirs"
        for _ in range(arguments.rounds):
            result, peak = run_ours(root, f"{folder}/config.json", UNET, BATCH, 1, arguments, "--checkpoint", ours)
            results["ours"].append((result["checkpoint"], peak))
            results["theirs"].append(turns.call(their_seconds, theirs, arguments.device, threads=arguments.threads))
            for side, values in results.items():
                print(f"{side}:", ", ".join(f"{work} {seconds:.2f} s" for work, seconds in values[-1][0].items()))
            shutil.rmtree(ours)
            shutil.rmtree(theirs)
    works = {"copy": "training stands still", "save": "saved and flushed", "resume": "resumed"}
    return [turns.row(f"checkpoint of a {parameters / 1e6:.0f} M U-Net, {name}", "s",
                      [(seconds[work], peak) for seconds, peak in results["ours"]], "accelerate", "accelerate",
                      [(seconds[work], peak) for seconds, peak in results["theirs"]]) for work, name in works.items()]
