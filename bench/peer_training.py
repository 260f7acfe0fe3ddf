"""diffusers' UNet2DConditionModel in a training step beside build/bench/bench_training: the same architecture,
batch and threads; forward, backward, clipped gradients, fused AdamW, an average of the weights. The first step,
which compiles, allocates and chooses kernels, belongs to nobody's figure."""
import pathlib
import resource
import tempfile
import time

import turns

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


def write_config(architecture, folder):
    """Writes it as config.json and tells its parameters."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(**architecture)
    unet.save_config(folder)
    return sum(parameter.numel() for parameter in unet.parameters())


class PeerStep:
    """A step as diffusers' train_text_to_image.py has it, on random latents."""

    def __init__(self, architecture, batch, kind, device, mixed_precision="no"):
        import torch
        from diffusers import UNet2DConditionModel
        from diffusers.training_utils import EMAModel

        self.torch, self.batch, self.architecture, self.device = torch, batch, architecture, device
        self.mixed_precision = mixed_precision
        self.format = torch.channels_last if kind == "channels-last" else torch.contiguous_format
        self.unet = UNet2DConditionModel(**architecture).to(device, memory_format=self.format)
        self.ema = EMAModel(self.unet.parameters(), model_cls=UNet2DConditionModel, model_config=self.unet.config,
                            foreach=True)
        self.optimizer = torch.optim.AdamW(self.unet.parameters(), lr=1e-4, weight_decay=1e-2, fused=True)
        self.forward = torch.compile(self.unet) if kind == "torch.compile" else self.unet

    def loss(self):
        torch, side = self.torch, self.architecture["sample_size"]
        latents = torch.randn(self.batch, 4, side, side, device=self.device).contiguous(memory_format=self.format)
        noise = torch.randn_like(latents)
        timesteps = torch.randint(1000, (self.batch,), device=self.device)
        tokens = torch.randn(self.batch, TOKENS, self.architecture["cross_attention_dim"], device=self.device)
        with torch.autocast("cuda" if self.device == "cuda" else "cpu", torch.bfloat16,
                            enabled=self.mixed_precision == "bf16"):
            predicted = self.forward(latents + noise, timesteps, tokens).sample
        return (predicted.float() - noise).square().mean()

    def __call__(self):
        loss = self.loss()
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0, foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.step(self.unet.parameters())
        return loss.item()


def their_seconds_and_cpu(architecture, batch, kind, steps, device, mixed_precision):
    def cpu():
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    step = PeerStep(architecture, batch, kind, device, mixed_precision)
    step()
    began, began_cpu = time.perf_counter(), cpu()
    for _ in range(steps):
        step()
    return (time.perf_counter() - began) / steps, (cpu() - began_cpu) / steps


def their_turn(architecture, batch, kind, arguments):
    (wall, cpu), peak = turns.call(their_seconds_and_cpu, architecture, batch, kind, arguments.steps, arguments.device,
                                   arguments.mixed_precision, threads=arguments.threads)
    return wall, cpu, peak


def run_ours(root, config, architecture, batch, steps, arguments, *flags):
    """What bench_training tells, and its peak."""
    return turns.run_json(root / "build/bench/bench_training", config, "--side", architecture["sample_size"],
                          "--tokens", TOKENS, "--batch", batch, "--steps", steps, "--device", arguments.device,
                          "--ema", *flags, threads=arguments.threads)


def our_turn(root, config, architecture, batch, arguments):
    result, peak = run_ours(root, config, architecture, batch, arguments.steps, arguments, "--mixed-precision",
                            arguments.mixed_precision)
    return result["seconds_a_step"], result["cpu_seconds_a_step"], peak


def measure(arguments, root):
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (architecture, batch) in MODELS.items():
            parameters, _ = turns.call(write_config, architecture, folder, threads=1)
            config = pathlib.Path(folder) / "config.json"
            results = {kind: [] for kind in ("ours", *PEERS)}
            for _ in range(arguments.rounds):
                results["ours"].append(our_turn(root, config, architecture, batch, arguments))
                for kind in PEERS:
                    results[kind].append(their_turn(architecture, batch, kind, arguments))
                print(f"{name}:", ", ".join(f"{kind} {last[0]:.3f} s a step ({last[1]:.3f} of CPU)"
                                            for kind, (*_, last) in results.items()))
            speeds = {kind: [(1 / wall, peak) for wall, _, peak in values] for kind, values in results.items()}
            precision = "float32" if arguments.mixed_precision == "no" else arguments.mixed_precision
            work = f"training step, {name} U-Net of {parameters / 1e6:.1f} M, batch {batch}, {precision}"
            rows += [turns.row(work, "steps/s", speeds["ours"], f"diffusers, {kind}", "diffusers", speeds[kind])
                     for kind in PEERS]
    return rows
