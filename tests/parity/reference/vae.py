"""Small random AutoencoderKL models of diffusers, with inputs, outputs and gradients."""
import json

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

LEVELS = {
    "block_out_channels": [8, 16],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "norm_num_groups": 4,
}
CONFIGS = {
    "quant_attention": {**LEVELS, "layers_per_block": 2, "sample_size": 16},
    "plain": {
        **LEVELS,
        "latent_channels": 3,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
        "mid_block_add_attention": False,
        "scaling_factor": 0.5,
        "shift_factor": 0.1,
        "force_upcast": False,
    },
}


def randomise(model):
    """The usual initialisation leaves norms at 1 and 0, where a mistake would not show."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.normal_(1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.2)


def generate(folder, seed):
    for offset, (name, config) in enumerate(CONFIGS.items()):
        torch.manual_seed(seed + offset)
        model = AutoencoderKL(**config)
        randomise(model)
        model.save_pretrained(folder / name)
        image = torch.randn(2, 3, 16, 24, requires_grad=True)
        posterior = model.encode(image).latent_dist
        noise = torch.randn_like(posterior.mean)
        latents = posterior.mean + posterior.std * noise
        decoded = model.decode(latents).sample
        weight = torch.randn_like(decoded)
        ((decoded * weight).sum() * 0.01 + posterior.kl().mean() * 0.01).backward()
        tensors = {
            "image": image, "noise": noise, "weight": weight, "mean": posterior.mean, "logvar": posterior.logvar,
            "kl": posterior.kl(), "latents": latents, "decoded": decoded, "grad.image": image.grad,
        }
        tensors |= {f"grad.{key}": value.grad for key, value in model.named_parameters()}
        save_file({key: value.detach().contiguous() for key, value in tensors.items()}, folder / name / "io.safetensors")


def golden(folder):
    """Writes the names and shapes of each model's state dict, beside its config, for tests/vae/golden."""
    for name, config in CONFIGS.items():
        (folder / f"{name}.json").write_text(json.dumps(config, indent=2) + "\n")
        state = sorted(AutoencoderKL(**config).state_dict().items())
        (folder / f"{name}.txt").write_text("".join(f"{key} {list(value.shape)}\n" for key, value in state))


def verify(folder):
    """Fails unless diffusers opens `folder`, as save_autoencoder_kl writes it."""
    model, info = AutoencoderKL.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    return model
