"""`crescendo train` beside a loop like diffusers' train_text_to_image.py with webdataset: the same model folder,
shards, resolution, batch, workers and threads; from the JPEG to the optimizer's step and the average of the weights.
Once more with latents and text embeddings made before, by `crescendo cache` on our side; only the steps count. Ours
reads its cache from disk, theirs is in memory.

Both are timed within their run from the fifth step on, so that neither start-up nor what was decoded in it counts, nor
the last checkpoint: ours by `seconds` of metrics.jsonl (what lies between its steps is a thousandth), theirs by the
clock. The difference of a long and a short run would tell the same, with the noise of two starts."""
import json
import pathlib
import tempfile
import time

import turns
from peer_loader import shards_of, workers_mb
from random_model import write_model

SIDE = 64
UNET = (32, 64, 128)
VAE = (32, 64, 64)  # latents of 16 x 16
BATCH = 16
WARM_UP = 4
CACHED = 200  # samples of the peer's cache, which come again and again
CONFIG = """
[run]
output_dir = "{run}"
device = "{device}"
report_to = "none"
[data]
shards = {shards}
resolution = {side}
center_crop = true
random_flip = false
shuffle_buffer = 100
workers = {workers}
[vae]
path = "{model}"
[text_encoder]
path = "{model}"
[unet]
path = "{model}"
[diffusion]
beta_schedule = "scaled_linear"
beta_start = 0.00085
beta_end = 0.012
[curriculum]
enabled = false
[train]
proportion_empty_prompts = 0.0
train_batch_size = {batch}
max_train_steps = {steps}
"""


def streamed(model, shards, workers):
    """Batches of pixels and token ids without end."""
    import webdataset
    from torchvision import transforms
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(model, subfolder="tokenizer")
    to_pixels = transforms.Compose([
        transforms.Resize(SIDE, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(SIDE),
        transforms.ToTensor(), transforms.Normalize([0.5], [0.5])])

    def prepare(sample):
        image, caption = sample
        tokens = tokenizer(caption, max_length=tokenizer.model_max_length, padding="max_length", truncation=True,
                           return_tensors="pt")
        return to_pixels(image.convert("RGB")), tokens.input_ids[0]

    dataset = webdataset.WebDataset(shards, shardshuffle=False, resampled=True, nodesplitter=None, workersplitter=None)
    dataset = dataset.shuffle(100).decode("pil").to_tuple("jpg", "txt").map(prepare).batched(BATCH, partial=False)
    return webdataset.WebLoader(dataset, batch_size=None, num_workers=workers, prefetch_factor=2)


def frozen(model, device):
    from diffusers import AutoencoderKL
    from transformers import CLIPTextModel

    return (AutoencoderKL.from_pretrained(model, subfolder="vae").requires_grad_(False).to(device),
            CLIPTextModel.from_pretrained(model, subfolder="text_encoder").requires_grad_(False).to(device))


def encoded(model, shards, workers, device):
    """Latents and text embeddings of streamed(), as the script's step makes them."""
    vae, text_encoder = frozen(model, device)
    for pixels, tokens in streamed(model, shards, workers):
        latents = vae.encode(pixels.to(device)).latent_dist.sample()
        yield latents * vae.config.scaling_factor, text_encoder(tokens.to(device))[0]


def write_cache(model, shards, workers, file):
    import torch
    from safetensors.torch import save_file

    vae, text_encoder = frozen(model, "cpu")
    batches = []
    for pixels, tokens in streamed(model, shards, workers):
        batches.append((vae.encode(pixels).latent_dist.parameters, text_encoder(tokens)[0]))
        if len(batches) * BATCH >= CACHED:
            break
    moments, embeddings = (torch.cat(tensors).contiguous() for tensors in zip(*batches))
    save_file({"moments": moments, "embeddings": embeddings}, file)


def cached(model, file, device):
    """The same of what write_cache() wrote, shuffled."""
    import torch
    from diffusers import AutoencoderKL
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
    from safetensors.torch import load_file

    factor = AutoencoderKL.load_config(model, subfolder="vae")["scaling_factor"]
    tensors = load_file(file)
    samples = torch.utils.data.TensorDataset(tensors["moments"], tensors["embeddings"])
    while True:
        for moments, embeddings in torch.utils.data.DataLoader(samples, BATCH, shuffle=True, drop_last=True):
            yield DiagonalGaussianDistribution(moments.to(device)).sample() * factor, embeddings.to(device)


def their_seconds(model, source, steps, workers, device):
    """Of a step, and the memory of the loader's workers; the source is shards, or the file of a cache."""
    import torch
    from diffusers import DDPMScheduler, UNet2DConditionModel
    from diffusers.training_utils import EMAModel

    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet").to(device).train()
    ema = EMAModel(unet.parameters(), foreach=True)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-4, weight_decay=1e-2, fused=True)
    schedule = DDPMScheduler.from_pretrained(model, subfolder="scheduler")
    made_before = not isinstance(source, list)
    batches = cached(model, source, device) if made_before else encoded(model, source, workers, device)
    for number in range(WARM_UP + steps):
        if number == WARM_UP:
            began = time.perf_counter()
        latents, context = next(batches)
        noise = torch.randn_like(latents)
        timesteps = torch.randint(schedule.config.num_train_timesteps, (BATCH,), device=device)
        noisy = schedule.add_noise(latents, noise, timesteps)
        loss = torch.nn.functional.mse_loss(unet(noisy, timesteps, context).sample, noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad()
        ema.step(unet.parameters())
        loss.item()
    return (time.perf_counter() - began) / steps, workers_mb()


def measure(arguments, root):
    with tempfile.TemporaryDirectory() as folder:
        return measure_in(pathlib.Path(folder), arguments, root)


def measure_in(folder, arguments, root):
    model, threads, device, steps = folder / "model", arguments.threads, arguments.device, 4 * arguments.steps
    parameters, _ = turns.call(write_model, model, root / "configs/stable-diffusion-v1-5/tokenizer", SIDE, UNET, VAE,
                               threads=threads)
    shards = shards_of(arguments, folder)

    def write_config(name, source):
        file = folder / f"{name}.toml"
        file.write_text(CONFIG.format(
            run=folder / name, device=device, shards=json.dumps(source), side=SIDE, workers=arguments.workers,
            model=model, batch=BATCH, steps=WARM_UP + steps))
        return file

    def our_turn(name, source):
        done = turns.run(root / "build/crescendo", "-q", "train", write_config(name, source), threads=threads)
        lines = map(json.loads, (folder / name / "metrics.jsonl").read_text().splitlines())
        seconds = [line["seconds"] for line in lines if "seconds" in line][WARM_UP:]
        return BATCH * len(seconds) / sum(seconds), done.peak_mb

    def their_turn(source):
        # As ours sets it for itself. Without, torch's threads wait in circles for one whose core a worker of the
        # loader has, and a step takes many times as long where there are not more cores than threads.
        (seconds, workers), peak = turns.call(their_seconds, model, source, steps, arguments.workers, device,
                                              threads=threads, GOMP_SPINCOUNT="4000")
        return BATCH / seconds, peak + workers

    turns.run(root / "build/crescendo", "-q", "cache", write_config("source", shards), "--out", folder / "cache",
              threads=threads)
    turns.call(write_cache, model, shards, arguments.workers, folder / "cache.safetensors", threads=threads)
    sources = {"from JPEGs": (shards, shards),
               "from latents": ([f"{folder}/cache/*.tar"], folder / "cache.safetensors")}
    rows = []
    for source, (ours, theirs) in sources.items():
        results = {"ours": [], "theirs": []}
        for number in range(arguments.rounds):
            results["ours"].append(our_turn(f"{source} {number}", ours))
            results["theirs"].append(their_turn(theirs))
            print(f"end to end {source}:", ", ".join(f"{side} {turn[0]:.1f} images/s"
                                                     for side, (*_, turn) in results.items()))
        rows.append(turns.row(f"training {source}, {parameters / 1e6:.0f} M, side {SIDE}, batch {BATCH}", "images/s",
                              results["ours"], "diffusers with webdataset", "diffusers", results["theirs"]))
    return rows
