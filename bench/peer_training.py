"""diffusers' UNet2DConditionModel in a training step beside build/bench/bench_training: the same architecture,
batch and threads; forward, backward, clipped gradients, fused AdamW, an average of the weights. The first step,
which compiles, allocates and chooses kernels, belongs to nobody's figure."""
import importlib.metadata
import json
import os
import pathlib
import resource
import statistics
import subprocess
import tempfile
import time

SMALL = dict(block_out_channels=(64, 128, 256), layers_per_block=2, cross_attention_dim=384, sample_size=16,
             down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
             up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"))
DEMO = dict(block_out_channels=(48, 96, 144), layers_per_block=1, cross_attention_dim=384, sample_size=16,
            attention_head_dim=4, norm_num_groups=16,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"))
MODELS = {"small": (SMALL, 32), "demo": (DEMO, 48)}  # with the samples of a step
TOKENS = 16
PEERS = ("eager", "channels-last", "torch.compile")


class PeerStep:
    """A step as diffusers' train_text_to_image.py has it, on random latents."""

    def __init__(self, architecture, batch, kind):
        import torch
        from diffusers import UNet2DConditionModel
        from diffusers.training_utils import EMAModel

        self.torch, self.batch, self.architecture = torch, batch, architecture
        self.unet = UNet2DConditionModel(**architecture)
        if kind == "channels-last":
            self.unet = self.unet.to(memory_format=torch.channels_last)
        self.format = torch.channels_last if kind == "channels-last" else torch.contiguous_format
        self.ema = EMAModel(self.unet.parameters(), foreach=True)
        self.optimizer = torch.optim.AdamW(self.unet.parameters(), lr=1e-4, weight_decay=1e-2, fused=True)
        self.forward = torch.compile(self.unet) if kind == "torch.compile" else self.unet
        self()

    def __call__(self):
        torch, side = self.torch, self.architecture["sample_size"]
        latents = torch.randn(self.batch, 4, side, side).contiguous(memory_format=self.format)
        noise = torch.randn_like(latents)
        timesteps = torch.randint(1000, (self.batch,))
        tokens = torch.randn(self.batch, TOKENS, self.architecture["cross_attention_dim"])
        loss = (self.forward(latents + noise, timesteps, tokens).sample - noise).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0, foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.step(self.unet.parameters())
        return loss.item()


def seconds_and_cpu(step, steps):
    def cpu():
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    began, began_cpu = time.perf_counter(), cpu()
    for _ in range(steps):
        step()
    return (time.perf_counter() - began) / steps, (cpu() - began_cpu) / steps


def our_seconds_and_cpu(root, config, architecture, batch, steps):
    command = [root / "build/bench/bench_training", config, "--side", architecture["sample_size"], "--tokens", TOKENS,
               "--batch", batch, "--steps", steps, "--ema"]
    result = json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True).stdout)
    return result["seconds_a_step"], result["cpu_seconds_a_step"]


def measure(arguments, root):
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    # The processes that torch.compile keeps for compiling would take time from whatever comes after.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    import torch
    from diffusers import UNet2DConditionModel

    torch.set_num_threads(arguments.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (architecture, batch) in MODELS.items():
            unet = UNet2DConditionModel(**architecture)
            unet.save_config(folder)
            config = pathlib.Path(folder) / "config.json"
            millions = sum(parameter.numel() for parameter in unet.parameters()) / 1e6
            peers = {kind: PeerStep(architecture, batch, kind) for kind in PEERS}
            times = {kind: [] for kind in ("ours", *PEERS)}
            for _ in range(arguments.rounds):
                times["ours"].append(our_seconds_and_cpu(root, config, architecture, batch, arguments.steps))
                for kind, step in peers.items():
                    times[kind].append(seconds_and_cpu(step, arguments.steps))
                print(f"{name}:", ", ".join(f"{kind} {values[-1][0]:.3f} s a step ({values[-1][1]:.3f} of CPU)"
                                            for kind, values in times.items()))
            median = {kind: statistics.median(wall for wall, _ in values) for kind, values in times.items()}
            rows += [{"work": f"training step, {name} U-Net of {millions:.1f} M, batch {batch}", "unit": "steps/s",
                      "ours": 1 / median["ours"], "peer": f"diffusers, {kind}",
                      "version": importlib.metadata.version("diffusers"), "theirs": 1 / median[kind],
                      "ratio": median[kind] / median["ours"]} for kind in PEERS]
    return rows
