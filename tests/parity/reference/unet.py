"""Small random UNet2DConditionModel models of diffusers, with inputs, outputs, gradients and ten steps of training."""
import json

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from safetensors.torch import save_file

from reference._training import train
from reference.vae import randomise

COMMON = {"block_out_channels": [8, 12], "norm_num_groups": 2, "layers_per_block": 1}
STABLE_DIFFUSION = {
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "layers_per_block": 2,
}
CONFIGS = {
    # Convolutions around the transformers, one number of heads.
    "stable_diffusion_1": {
        **STABLE_DIFFUSION,
        "sample_size": 8,
        "block_out_channels": [8, 8, 16, 16],
        "norm_num_groups": 4,
        "attention_head_dim": 8,
        "cross_attention_dim": 12,
    },
    # Linear projections, heads per level, trained on velocities.
    "stable_diffusion_2": {
        **STABLE_DIFFUSION,
        "sample_size": 8,
        "block_out_channels": [8, 8, 12, 12],
        "norm_num_groups": 2,
        "attention_head_dim": [1, 2, 4, 4],
        "cross_attention_dim": 16,
        "use_linear_projection": True,
        "upcast_attention": True,
        "only_cross_attention": False,
        "dual_cross_attention": False,
    },
    "text_mask": {
        **COMMON,
        "sample_size": 8,
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "attention_head_dim": 2,
        "cross_attention_dim": 12,
    },
    # Values off their defaults, and a channel of the sample that is not noised, as for inpainting.
    "text_linear": {
        "block_out_channels": [8, 12],
        "norm_num_groups": 2,
        "in_channels": 5,
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        "layers_per_block": [2, 1],
        "transformer_layers_per_block": [1, 2],
        "attention_head_dim": [2, 4],
        "cross_attention_dim": [6, 6],
        "use_linear_projection": True,
        "upcast_attention": True,
        "mid_block_scale_factor": 1.5,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
        "norm_eps": 1e-3,
        "conv_in_kernel": 5,
        "conv_out_kernel": 1,
    },
    # As guided diffusion on ImageNet.
    "class_scale_shift": {
        **COMMON,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "mid_block_type": "UNetMidBlock2D",
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "attention_head_dim": 4,
        "resnet_time_scale_shift": "scale_shift",
        "num_class_embeds": 5,
        "center_input_sample": True,
        "downsample_padding": 0,
        "out_channels": 3,
    },
    # As latent diffusion on ImageNet: the class is a sequence of one token.
    "class_token": {
        **COMMON,
        "in_channels": 3,
        "out_channels": 3,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
        "attention_head_dim": 1,
        "cross_attention_dim": 12,
    },
    "unconditional": {
        **COMMON,
        "down_block_types": ["AttnDownBlock2D", "AttnDownBlock2D"],
        "mid_block_type": None,
        "up_block_types": ["AttnUpBlock2D", "AttnUpBlock2D"],
        "attention_head_dim": [2, 4],
        "norm_eps": 1e-3,
    },
}


SCHEDULES = {
    "stable_diffusion_2": {"prediction_type": "v_prediction"},
}
TRAINING = {
    "stable_diffusion_1": {"max_grad_norm": 0.05},
}


def condition_of(name, config):
    """What the model is conditioned on, under the names of forward's arguments."""
    condition = {}
    if config.get("mid_block_type", "CrossAttn") not in (None, "UNetMidBlock2D"):
        width = config["cross_attention_dim"]
        length = 1 if name == "class_token" else 5
        condition["encoder_hidden_states"] = torch.randn(2, length, width if isinstance(width, int) else width[0])
    if name == "text_mask":
        # No row keeps nothing: its scores beside -10000 are multiples of 0.001, so round-off takes such steps.
        condition["encoder_attention_mask"] = torch.tensor([[True, True, False, True, False], [False] * 4 + [True]])
    if "num_class_embeds" in config:
        condition["class_labels"] = torch.tensor([4, 0])
    return condition


def predict(model, sample, timestep, condition):
    return model(sample, timestep, **{"encoder_hidden_states": None, **condition}).sample


def write_gradients(folder, model, name, config):
    condition = condition_of(name, config)
    sample = torch.randn(2, model.config.in_channels, 8, 16)
    timestep = torch.tensor([0.25, 731.5]) if name == "text_linear" else torch.tensor([3, 977])
    differentiable = {"sample": sample}
    differentiable |= {key: value for key, value in condition.items() if value.is_floating_point()}
    for value in differentiable.values():
        value.requires_grad_()
    output = predict(model, sample, timestep, condition)
    weight = torch.randn_like(output)
    ((output * weight).sum() * 0.1).backward()
    tensors = {"sample": sample, "timestep": timestep, **condition, "output": output, "weight": weight}
    tensors |= {f"grad.{key}": value.grad for key, value in differentiable.items()}
    tensors |= {f"grad.{key}": value.grad for key, value in model.named_parameters()}
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, folder / "io.safetensors")


def write_training(folder, model, name, config):
    """The channels that the sample has beyond the prediction's are not noised."""
    scheduler = DDPMScheduler(**{"beta_schedule": "scaled_linear", "clip_sample": False, **SCHEDULES.get(name, {})})
    scheduler.save_pretrained(folder)
    channels, more = model.config.out_channels, model.config.in_channels - model.config.out_channels

    def batch_of():
        clean = {"x0": torch.randn(2, channels, 8, 8), "noise": torch.randn(2, channels, 8, 8)}
        return {**clean, "more": torch.randn(2, more, 8, 8), "timestep": torch.randint(1000, (2,)), **condition_of(name, config)}

    def loss_of(batch):
        condition = {key: value for key, value in batch.items() if key not in ("x0", "noise", "more", "timestep")}
        x0, noise, timestep = batch["x0"], batch["noise"], batch["timestep"]
        sample = torch.cat([scheduler.add_noise(x0, noise, timestep), batch["more"]], 1)
        is_velocity = scheduler.config.prediction_type == "v_prediction"
        target = scheduler.get_velocity(x0, noise, timestep) if is_velocity else noise
        return torch.nn.functional.mse_loss(predict(model, sample, timestep, condition), target)

    train(folder, model, batch_of, loss_of, **TRAINING.get(name, {}))


def generate(folder, seed):
    for offset, (name, config) in enumerate(CONFIGS.items()):
        torch.manual_seed(seed + offset)
        model = UNet2DConditionModel(**config)
        randomise(model)
        model.save_pretrained(folder / name)
        write_gradients(folder / name, model, name, config)
        write_training(folder / name, model, name, config)


def golden(folder):
    """Writes the names and shapes of each model's state dict, beside its config, for tests/unet/golden."""
    for name, config in CONFIGS.items():
        (folder / f"{name}.json").write_text(json.dumps(config, indent=2) + "\n")
        state = sorted(UNet2DConditionModel(**config).state_dict().items())
        (folder / f"{name}.txt").write_text("".join(f"{key} {list(value.shape)}\n" for key, value in state))


def verify(folder):
    """Fails unless diffusers opens `folder`, as save_unet writes it."""
    model, info = UNet2DConditionModel.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    return model
