"""Twenty steps as diffusers' training scripts take them: noise, weighted loss, clipping, warm-up, AdamW and EMA; and the
learning rates and decays of longer runs."""
import json

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel, compute_snr
from safetensors.torch import save_file

from reference.vae import randomise

STEPS = 20
MODEL = {
    "sample_size": 8,
    "block_out_channels": [8, 16],
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "attention_head_dim": 2,
    "cross_attention_dim": 12,
}
COMMON = {"learning_rate": 1e-3, "lr_warmup_steps": 5, "max_train_steps": STEPS, "max_grad_norm": 1.0, "train_batch_size": 2}
CASES = {
    "epsilon": {
        "diffusion": {"prediction_type": "epsilon", "snr_gamma": 5.0},
        "noise": {"noise_offset": 0.1, "input_perturbation": 0.0},
        "train": {**COMMON, "lr_scheduler": "cosine", "ema_decay": 0.9999, "gradient_accumulation_steps": 1},
    },
    "v_prediction": {
        "diffusion": {"prediction_type": "v_prediction", "snr_gamma": 5.0},
        "noise": {"noise_offset": 0.0, "input_perturbation": 0.1},
        "train": {
            **COMMON,
            "lr_scheduler": "linear",
            "gradient_accumulation_steps": 2,
            "ema_decay": 0.8,
            "use_ema_warmup": True,
            "ema_inv_gamma": 2.0,
            "ema_power": 0.75,
        },
    },
}


def batch_of(noise_options):
    batch = {
        "latents": torch.randn(2, 4, 8, 8),
        "noise": torch.randn(2, 4, 8, 8),
        "timesteps": torch.randint(1000, (2,)),
        "encoder_hidden_states": torch.randn(2, 5, 12),
    }
    if noise_options["noise_offset"]:
        batch["offset"] = torch.randn(2, 4, 1, 1)
    if noise_options["input_perturbation"]:
        batch["perturbation"] = torch.randn(2, 4, 8, 8)
    return batch


def loss_of(model, scheduler, batch, case):
    latents, timesteps, strengths = batch["latents"], batch["timesteps"], case["noise"]
    noise = batch["noise"]
    if strengths["noise_offset"]:
        noise = noise + strengths["noise_offset"] * batch["offset"]
    seen = noise
    if strengths["input_perturbation"]:
        seen = noise + strengths["input_perturbation"] * batch["perturbation"]
    prediction = model(scheduler.add_noise(latents, seen, timesteps), timesteps, batch["encoder_hidden_states"]).sample
    is_velocity = scheduler.config.prediction_type == "v_prediction"
    target = scheduler.get_velocity(latents, noise, timesteps) if is_velocity else noise
    snr = compute_snr(scheduler, timesteps)
    weight = torch.minimum(snr, torch.full_like(snr, case["diffusion"]["snr_gamma"])) / (snr + 1 if is_velocity else snr)
    loss = torch.nn.functional.mse_loss(prediction, target, reduction="none").mean([1, 2, 3])
    return (loss * weight).mean()


def ema_model(parameters, train):
    return EMAModel(
        parameters, decay=train["ema_decay"], use_ema_warmup=train.get("use_ema_warmup", False),
        inv_gamma=train.get("ema_inv_gamma", 1.0), power=train.get("ema_power", 2 / 3))


def write_case(folder, case):
    train = case["train"]
    model = UNet2DConditionModel(**MODEL)
    randomise(model)
    model.save_pretrained(folder)
    scheduler = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
                              prediction_type=case["diffusion"]["prediction_type"], clip_sample=False)
    optimizer = torch.optim.AdamW(model.parameters(), train["learning_rate"])
    schedule = get_scheduler(train["lr_scheduler"], optimizer, num_warmup_steps=train["lr_warmup_steps"],
                             num_training_steps=train["max_train_steps"])
    ema = ema_model(model.parameters(), train)
    passes = train["gradient_accumulation_steps"]
    batches, losses = [], []
    for _ in range(STEPS):
        total = 0
        for _ in range(passes):
            batches.append(batch_of(case["noise"]))
            loss = loss_of(model, scheduler, batches[-1], case) / passes
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), train["max_grad_norm"])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        ema.step(model.parameters())
        losses.append(total)
    tensors = {f"batch.{key}": torch.stack([batch[key] for batch in batches]) for key in batches[0]}
    tensors |= {f"average.{name}": value.contiguous() for (name, _), value in zip(model.named_parameters(), ema.shadow_params)}
    save_file(tensors | {"losses": torch.tensor(losses, dtype=torch.float64)}, folder / "training.safetensors")
    (folder / "training.json").write_text(json.dumps(case, indent=2) + "\n")


def write_schedules(file):
    """Learning rates and EMA decays at a few steps, as {options, steps, values}."""
    steps = [0, 1, 2, 9, 10, 11, 50, 73, 99, 100]  # beyond its end diffusers' cosine rises again; no run gets there
    rates, decays = [], []
    for name in ("constant_with_warmup", "cosine", "linear"):
        for warm_up in (0, 10):
            optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.3)
            schedule = get_scheduler(name, optimizer, num_warmup_steps=warm_up, num_training_steps=100)
            values = []
            for _ in range(max(steps) + 1):
                values.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
                schedule.step()
            options = {"learning_rate": 0.3, "lr_scheduler": name, "lr_warmup_steps": warm_up, "max_train_steps": 100}
            rates.append({"options": options, "steps": steps, "values": [values[step] for step in steps]})
    for options in ({"ema_decay": 0.9999}, {"ema_decay": 0.9, "use_ema_warmup": True, "ema_inv_gamma": 3.0, "ema_power": 0.75}):
        ema = ema_model([torch.zeros(1)], options)
        decays.append({"options": options, "steps": steps, "values": [ema.get_decay(step + 1) for step in steps]})
    file.write_text(json.dumps({"learning_rates": rates, "ema_decays": decays}, indent=2) + "\n")


def generate(folder, seed):
    for offset, (name, case) in enumerate(CASES.items()):
        torch.manual_seed(seed + offset)
        write_case(folder / name, case)
    write_schedules(folder / "schedules.json")
