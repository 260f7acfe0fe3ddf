"""Small random UNet2DConditionModel models of diffusers, with inputs, outputs and gradients."""
import json

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

from reference.vae import randomise

COMMON = {"block_out_channels": [8, 16], "norm_num_groups": 4, "layers_per_block": 1}
CONFIGS = {
    # As Stable Diffusion 1: convolutions around the transformers, one number of heads.
    "text_mask": {
        **COMMON,
        "sample_size": 8,
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "attention_head_dim": 2,
        "cross_attention_dim": 12,
    },
    # As Stable Diffusion 2: linear projections, heads per level; other values off their defaults.
    "text_linear": {
        "block_out_channels": [4, 8],
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
    "class_scale_shift": {
        **COMMON,
        "down_block_types": ["DownBlock2D", "DownBlock2D"],
        "mid_block_type": "UNetMidBlock2D",
        "up_block_types": ["UpBlock2D", "UpBlock2D"],
        "resnet_time_scale_shift": "scale_shift",
        "num_class_embeds": 5,
        "center_input_sample": True,
        "downsample_padding": 0,
        "out_channels": 3,
    },
    "unconditional": {
        **COMMON,
        "down_block_types": ["AttnDownBlock2D", "AttnDownBlock2D"],
        "mid_block_type": None,
        "up_block_types": ["AttnUpBlock2D", "AttnUpBlock2D"],
        "attention_head_dim": [2, 8],
        "norm_eps": 1e-3,
    },
}


def inputs_of(name, config):
    """What forward takes, under the names of its arguments."""
    inputs = {"sample": torch.randn(2, config.get("in_channels", 4), 8, 12), "timestep": torch.tensor([3, 977])}
    if name.startswith("text"):
        width = config["cross_attention_dim"]
        inputs["encoder_hidden_states"] = torch.randn(2, 5, width if isinstance(width, int) else width[0])
    if name == "text_mask":
        # The second row keeps nothing.
        inputs["encoder_attention_mask"] = torch.tensor([[True, True, False, True, False], [False] * 5])
    if name == "text_linear":
        inputs["timestep"] = torch.tensor([0.25, 731.5])
    if name.startswith("class"):
        inputs["class_labels"] = torch.tensor([4, 0])
    return inputs


def generate(folder, seed):
    for offset, (name, config) in enumerate(CONFIGS.items()):
        torch.manual_seed(seed + offset)
        model = UNet2DConditionModel(**config)
        randomise(model)
        model.save_pretrained(folder / name)
        inputs = inputs_of(name, config)
        differentiable = {key: value.requires_grad_() for key, value in inputs.items()
                          if key in ("sample", "encoder_hidden_states")}
        output = model(**{"encoder_hidden_states": None, **inputs}).sample
        weight = torch.randn_like(output)
        ((output * weight).sum() * 0.1).backward()
        tensors = {**inputs, "output": output, "weight": weight}
        tensors |= {f"grad.{key}": value.grad for key, value in differentiable.items()}
        tensors |= {f"grad.{key}": value.grad for key, value in model.named_parameters()}
        save_file({key: value.detach().contiguous() for key, value in tensors.items()}, folder / name / "io.safetensors")


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
