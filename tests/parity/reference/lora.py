"""Random LoRAs of peft on small random U-Nets of diffusers, in the layouts that files have, with the U-Net's outputs and ten
steps of training."""
import types

import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_kohya
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from reference import unet
from reference._training import train
from reference.vae import randomise

UNET = {
    "sample_size": 8,
    "block_out_channels": [8, 12],
    "norm_num_groups": 2,
    "layers_per_block": 1,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "attention_head_dim": 2,
    "cross_attention_dim": 6,
}
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
# Also what kohya's scripts adapt, and convolutions.
EVERYTHING = ATTENTION + ["proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "conv1", "conv2", "conv_shortcut",
                          "time_emb_proj", "downsamplers.0.conv", "upsamplers.0.conv", "conv_in", "linear_1"]
CONFIGS = {
    "attention": LoraConfig(r=4, lora_alpha=4, target_modules=ATTENTION),
    "everything": LoraConfig(r=2, lora_alpha=5, target_modules=EVERYTHING),
}
TEXT_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]


def adapted(model, config):
    """The state dict, in peft's layout, of random A and B that `model` now has."""
    model.requires_grad_(False)
    model.add_adapter(config)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_" in name:
                value.normal_(0, 0.3)
    return {name: value.detach().clone() for name, value in get_peft_model_state_dict(model, adapter_name="default").items()}


def before_peft(state):
    """The layout of diffusers' attention processors; a file of it can hold attention only."""
    renamed = {}
    for name, value in state.items():
        for part, old in (("lora_A", "down"), ("lora_B", "up")):
            name = name.replace(f".to_out.0.{part}", f".processor.to_out_lora.{old}")
            for projection in ("to_q", "to_k", "to_v"):
                name = name.replace(f".{projection}.{part}", f".processor.{projection}_lora.{old}")
        renamed["unet." + name] = value
    return renamed


def as_kohya(state, alpha):
    keys = convert_state_dict_to_kohya({"unet." + name: value for name, value in state.items()})
    return {key: torch.tensor(float(alpha)) if key.endswith(".alpha") else value.contiguous() for key, value in keys.items()}


def write_files(folder, model, state, config):
    """Where alpha is the rank, files need not say so."""
    metadata = config.to_dict() if config.lora_alpha != config.r else None
    save = StableDiffusionPipeline.save_lora_weights
    model.save_lora_adapter(folder, weight_name="unprefixed.safetensors")
    save(folder, unet_lora_layers=state, weight_name="peft.safetensors", unet_lora_adapter_metadata=metadata)
    older = {name.replace("lora_A", "lora.down").replace("lora_B", "lora.up"): value for name, value in state.items()}
    save(folder, unet_lora_layers=older, weight_name="diffusers.safetensors", unet_lora_adapter_metadata=metadata)
    save_file(as_kohya(state, config.lora_alpha), folder / "kohya.safetensors")
    if metadata is None:
        assert older == convert_state_dict_to_diffusers(state)
        save_file(before_peft(state), folder / "processor.safetensors")


def write_training(folder, model):
    """Of A and B alone, under the names of peft's state dict."""
    scheduler = DDPMScheduler(clip_sample=False, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    parameters = {key.replace(".default.weight", ".weight"): value
                  for key, value in model.named_parameters() if value.requires_grad}

    def batch_of():
        return {"x0": torch.randn(2, 4, 8, 8), "noise": torch.randn(2, 4, 8, 8), "timestep": torch.randint(1000, (2,)),
                "encoder_hidden_states": torch.randn(2, 5, UNET["cross_attention_dim"])}

    def loss_of(batch):
        sample = scheduler.add_noise(batch["x0"], batch["noise"], batch["timestep"])
        prediction = model(sample, batch["timestep"], batch["encoder_hidden_states"]).sample
        return torch.nn.functional.mse_loss(prediction, batch["noise"])

    # The gradient of what a norm follows is small, and its rounding differs: peft adds B A x, not (B A) x.
    train(folder, types.SimpleNamespace(named_parameters=lambda: parameters.items()), batch_of, loss_of, adam_epsilon=1e-4)


def write_text_encoder(folder):
    model = CLIPTextModel(CLIPTextConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
        max_position_embeddings=8, bos_token_id=0, eos_token_id=1))
    randomise(model)
    model.save_pretrained(folder)
    ids = torch.randint(30, (2, 8))
    state = adapted(model, LoraConfig(r=2, lora_alpha=5, target_modules=TEXT_TARGETS))
    output = model(ids).last_hidden_state.detach()
    save_file({"ids": ids, "output": output}, folder / "io.safetensors")
    metadata = model.peft_config["default"].to_dict()
    StableDiffusionPipeline.save_lora_weights(
        folder, text_encoder_lora_layers=state, weight_name="peft.safetensors", text_encoder_lora_adapter_metadata=metadata)
    kohya = convert_state_dict_to_kohya({"text_encoder.text_model." + name: value for name, value in state.items()})
    save_file({key.replace("lora_te1_", "lora_te_"): torch.tensor(5.0) if key.endswith(".alpha") else value.contiguous()
               for key, value in kohya.items()}, folder / "kohya.safetensors")


def generate(folder, seed):
    for offset, (case, config) in enumerate(CONFIGS.items()):
        torch.manual_seed(seed + offset)
        model = UNet2DConditionModel(**UNET)
        randomise(model)
        model.save_pretrained(folder / case)
        state = adapted(model, config)
        io = {"sample": torch.randn(2, 4, 8, 16), "timestep": torch.tensor([3, 977]),
              "encoder_hidden_states": torch.randn(2, 5, UNET["cross_attention_dim"])}
        io["output"] = model(*io.values()).sample.detach()
        save_file(io, folder / case / "io.safetensors")
        write_files(folder / case, model, state, config)
        write_training(folder / case, model)
    torch.manual_seed(seed)
    write_text_encoder(folder / "text_encoder")


def golden(file):
    """Writes the names of what Stable Diffusion 1's U-Net gives a LoRA of the default targets, then kohya's for them, for
    tests/pipelines/golden."""
    model = UNet2DConditionModel(**unet.CONFIGS["stable_diffusion_1"])
    state = adapted(model, LoraConfig(r=1, target_modules=ATTENTION))
    names = sorted({name.split(".lora_")[0] for name in state})
    kohya = sorted({key.split(".")[0] for key in as_kohya(state, 1)})
    file.write_text("".join(f"{name}\n" for name in names + kohya))
