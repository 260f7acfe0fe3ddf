"""Small random autoencoders of diffusers, with inputs, outputs, gradients, ten optimizer steps and tiled outputs."""
import copy
import json

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import save_file

LEVELS = {
    "block_out_channels": [8, 16],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "norm_num_groups": 4,
}
MODELS = {
    "quant_attention": (AutoencoderKL, {**LEVELS, "layers_per_block": 2, "sample_size": 16}),
    "plain": (AutoencoderKL, {
        **LEVELS,
        "latent_channels": 3,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
        "mid_block_add_attention": False,
        "scaling_factor": 0.5,
        "shift_factor": 0.1,
        "force_upcast": False,
    }),
    "tiny": (AutoencoderTiny, {
        "encoder_block_out_channels": [6, 6],
        "decoder_block_out_channels": [8, 8],
        "num_encoder_blocks": [1, 2],
        "num_decoder_blocks": [2, 1],
        "scaling_factor": 0.8,
        "shift_factor": 0.1,
    }),
}
OPTIMIZER_STEPS = 10
EPSILON = 1e-4  # well above the round-off of gradients, of which some are all: the softmax does not see to_k.bias


def randomise(model):
    """The usual initialisation leaves norms at 1 and 0, where a mistake would not show."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.normal_(1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.2)


def run(model, image, noise, weight):
    """Outputs and the loss of them."""
    encoded = model.encode(image)
    if isinstance(model, AutoencoderTiny):
        latents = encoded.latents
        outputs = {"mean": latents}
        divergence = 0
    else:
        posterior = encoded.latent_dist
        latents = posterior.mean + posterior.std * noise
        outputs = {"mean": posterior.mean, "logvar": posterior.logvar, "kl": posterior.kl()}
        divergence = posterior.kl().mean()
    decoded = model.decode(latents).sample
    loss = (decoded * weight).sum() * 0.01 + divergence * 0.01
    return outputs | {"latents": latents, "decoded": decoded}, loss


def moved(model, *inputs):
    """How far AdamW moves each weight: at most 0.01, which half precision holds to 5e-6.

    A model of ReLUs in float64: in float32 an activation may be round-off from the kink, and a gradient is another.
    """
    if isinstance(model, AutoencoderTiny):
        model, inputs = copy.deepcopy(model).double(), [value.double() for value in inputs]
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, eps=EPSILON)
    for _ in range(OPTIMIZER_STEPS):
        optimizer.zero_grad()
        run(model, *inputs)[1].backward()
        optimizer.step()
    return {f"moved.{name}": (value - before[name]).half() for name, value in model.named_parameters()}


def tiled(model):
    """An image of several tiles a side, the last ones narrow."""
    if isinstance(model, AutoencoderTiny):
        # The default takes four levels for granted, whatever the model has.
        model.spatial_scale_factor = 2
        model.tile_sample_min_size = 32
        model.tile_latent_min_size = 16
    model.enable_tiling()
    image = torch.randn(1, 3, 34, 38)
    latents = torch.randn(1, model.config.latent_channels, 17, 19)
    with torch.no_grad():
        encoded = model.encode(image)
        mean = encoded.latents if isinstance(model, AutoencoderTiny) else encoded.latent_dist.mean
        decoded = model.decode(latents).sample
    return {"tiled.size": torch.tensor(model.tile_sample_min_size), "tiled.image": image, "tiled.mean": mean,
            "tiled.latents": latents, "tiled.decoded": decoded}


def generate(folder, seed):
    for offset, (name, (cls, config)) in enumerate(MODELS.items()):
        torch.manual_seed(seed + offset)
        model = cls(**config)
        randomise(model)
        model.save_pretrained(folder / name)
        image = torch.randn(2, 3, 16, 24, requires_grad=True)
        noise = torch.randn(2, model.config.latent_channels, 8, 12)
        weight = torch.randn_like(image)
        outputs, loss = run(model, image, noise, weight)
        loss.backward()
        tensors = {"image": image, "noise": noise, "weight": weight, "grad.image": image.grad} | outputs
        tensors |= {f"grad.{key}": value.grad for key, value in model.named_parameters()}
        tensors |= tiled(model)
        model.disable_tiling()
        tensors |= moved(model, image.detach(), noise, weight)
        save_file({key: value.detach().clone().contiguous() for key, value in tensors.items()},
                  folder / name / "io.safetensors")


def golden(folder):
    """Writes the names and shapes of each model's state dict, beside its config, for tests/vae/golden."""
    for name, (cls, config) in MODELS.items():
        config = {"_class_name": cls.__name__, **config}
        (folder / f"{name}.json").write_text(json.dumps(config, indent=2) + "\n")
        state = sorted(cls(**MODELS[name][1]).state_dict().items())
        (folder / f"{name}.txt").write_text("".join(f"{key} {list(value.shape)}\n" for key, value in state))


def verify(folder):
    """Fails unless diffusers opens `folder`, as save_autoencoder writes it."""
    cls = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}[
        json.loads((folder / "config.json").read_text())["_class_name"]]
    model, info = cls.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    return model
