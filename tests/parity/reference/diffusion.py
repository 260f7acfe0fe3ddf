"""Diffusers' schedulers: forward process, targets, SNR weights, and whole trajectories of every sampler.

The model of a trajectory is the exact one for normally distributed data: gain[t] * latents + offset[t].
"""
import itertools
import json
from unittest import mock

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
)
from diffusers.training_utils import compute_snr
from safetensors.torch import save_file

SCHEDULES = {
    "linear": {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "squaredcos_cap_v2": {"beta_schedule": "squaredcos_cap_v2"},
    "zero_snr": {
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "rescale_betas_zero_snr": True},
}
PREDICTIONS = ("epsilon", "v_prediction", "sample")
SAMPLERS = (
    {"sampler": "ddim", "steps": 10, "timestep_spacing": "trailing"},
    {"sampler": "ddim", "steps": 7, "timestep_spacing": "leading", "steps_offset": 1, "set_alpha_to_one": False},
    {"sampler": "ddim", "steps": 9, "timestep_spacing": "linspace", "eta": 0.6},
    {"sampler": "ddim", "steps": 30, "timestep_spacing": "trailing", "eta": 1.0},
    {"sampler": "ddpm", "steps": 10, "timestep_spacing": "leading", "steps_offset": 0},
    {"sampler": "ddpm", "steps": 12, "timestep_spacing": "trailing"},
    {"sampler": "ddpm", "steps": 8, "timestep_spacing": "linspace"},
    {"sampler": "euler", "steps": 10, "timestep_spacing": "trailing"},
    {"sampler": "euler", "steps": 7, "timestep_spacing": "leading", "steps_offset": 1},
    {"sampler": "euler", "steps": 9, "timestep_spacing": "linspace", "scheduler": "karras"},
    {"sampler": "euler_a", "steps": 12, "timestep_spacing": "trailing"},
    {"sampler": "heun", "steps": 6, "timestep_spacing": "linspace"},
    {"sampler": "heun", "steps": 8, "timestep_spacing": "trailing", "scheduler": "exponential"},
    {"sampler": "dpm++2m", "steps": 10, "timestep_spacing": "trailing"},
    {"sampler": "dpm++2m", "steps": 20, "timestep_spacing": "leading", "steps_offset": 1},
    {"sampler": "dpm++2m", "steps": 9, "timestep_spacing": "linspace", "scheduler": "karras"},
    {"sampler": "dpm++2m_sde", "steps": 11, "timestep_spacing": "linspace"},
    {"sampler": "dpm++2m_sde", "steps": 8, "timestep_spacing": "trailing", "scheduler": "exponential"},
)
CLASSES = {
    "ddim": DDIMScheduler,
    "ddpm": DDPMScheduler,
    "euler": EulerDiscreteScheduler,
    "euler_a": EulerAncestralDiscreteScheduler,
    "heun": HeunDiscreteScheduler,
    "dpm++2m": DPMSolverMultistepScheduler,
    "dpm++2m_sde": DPMSolverMultistepScheduler,
}
CONTINUOUS = {
    "edm": (EDMEulerScheduler, {"sigma_data": 0.6, "sigma_min": 0.01, "sigma_max": 50.0, "rho": 6.0}, 12),
    "edm-exponential": (EDMEulerScheduler, {"sigma_schedule": "exponential"}, 9),
    "flow_matching": (FlowMatchEulerDiscreteScheduler, {}, 12),
    "flow_matching-shift": (FlowMatchEulerDiscreteScheduler, {"shift": 3.0}, 9),
}
SHAPE = (2, 1, 2, 3)
MEAN, VARIANCE = 0.7, 0.25  # of the data
SNR_GAMMA = 5.0


def exact_model(scheduler, prediction_type):
    """Gain and offset per timestep of the best prediction for data of N(MEAN, VARIANCE)."""
    alpha = scheduler.alphas_cumprod.double()
    signal, noise = alpha.sqrt(), (1 - alpha).sqrt()
    total = alpha * VARIANCE + 1 - alpha
    x0 = (signal * VARIANCE / total, MEAN * (1 - alpha) / total)
    epsilon = (noise / total, -noise * signal * MEAN / total)
    velocity = tuple(signal * e - noise * x for e, x in zip(epsilon, x0))
    gain, offset = {"epsilon": epsilon, "v_prediction": velocity, "sample": x0}[prediction_type]
    return gain.float(), offset.float()


def scheduler_of(config, case):
    options = {key: case[key] for key in ("timestep_spacing", "steps_offset") if key in case}
    if case["sampler"] in ("ddim", "ddpm", "heun"):
        options["clip_sample"] = False
    if case["sampler"] == "ddim":
        options["set_alpha_to_one"] = case.get("set_alpha_to_one", True)
    if case["sampler"] == "dpm++2m_sde":
        options["algorithm_type"] = "sde-dpmsolver++"
    if "scheduler" in case:
        options[f"use_{case['scheduler']}_sigmas"] = True
    return CLASSES[case["sampler"]](**config, **options)


def has_trajectory(config, case):
    """Not of what the reference does not offer, nor of Heun's method from the cosine schedule's sigma of 20,000: its
    second slope has the rounding of float32 there, times 20,000. Nor of DDIM with eta 1 from no signal at all: the
    reference takes the root of 0 or, by rounding, of less."""
    zero_snr = "rescale_betas_zero_snr" in config
    if case["sampler"] == "euler_a":
        return config["prediction_type"] != "sample"
    if case.get("eta") == 1:
        return not zero_snr
    return case["sampler"] != "heun" or (config["beta_schedule"] != "squaredcos_cap_v2" and not zero_snr)


def at(table, timestep):
    """The entry of a table by timestep, between two of them if need be."""
    below = int(timestep)
    share = float(timestep) - below
    return table[below] if share == 0 else (1 - share) * table[below] + share * table[below + 1]


def trajectory(config, case, gain, offset, latents, step_noise):
    """What the model is given at each step, and the latents after the last."""
    scheduler = scheduler_of(config, case)
    # In float32 the reference loses 1 - a_prev - variance to cancellation in the cosine schedule's noisiest steps.
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    scheduler.set_timesteps(case["steps"])
    latents = latents * scheduler.init_noise_sigma
    visited = []
    step = 0
    for timestep in scheduler.timesteps:
        given = scheduler.scale_model_input(latents, timestep)
        visited.append(given)
        prediction = at(gain, timestep) * given + at(offset, timestep)
        noise = step_noise[step]
        extra = {}
        if case["sampler"] == "ddim":
            extra = {"eta": case.get("eta", 0.0), "variance_noise": noise}
        elif case["sampler"] == "dpm++2m_sde":
            extra = {"variance_noise": noise}
        with mock.patch("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: noise), \
                mock.patch("diffusers.schedulers.scheduling_euler_ancestral_discrete.randn_tensor", lambda *_, **__: noise):
            latents = scheduler.step(prediction, timestep, latents, **extra).prev_sample
        step += 1
    visited.append(latents)
    return scheduler.timesteps.double(), torch.stack([tensor.float() for tensor in visited])


def training(scheduler, prediction_type):
    """One training step with the min-SNR weights of diffusers' training scripts."""
    timesteps = torch.tensor([0, 1, 100, 250, 500, 750, 998, 999])
    shape = (len(timesteps), *SHAPE[1:])
    x0, noise, prediction = torch.randn(shape), torch.randn(shape), torch.randn(shape, requires_grad=True)
    velocity = scheduler.get_velocity(x0, noise, timesteps)
    target = {"epsilon": noise, "v_prediction": velocity, "sample": x0}[prediction_type]
    snr = compute_snr(scheduler, timesteps)
    divisor = {"epsilon": snr, "v_prediction": snr + 1, "sample": torch.ones_like(snr)}[prediction_type]
    weight = snr.clamp(max=SNR_GAMMA) / divisor
    weight[snr == 0] = 1
    loss = weight * (prediction - target).square().mean((1, 2, 3))
    loss.mean().backward()
    return {
        "timesteps": timesteps, "x0": x0, "noise": noise, "prediction": prediction, "velocity": velocity,
        "noisy": scheduler.add_noise(x0, noise, timesteps), "target": target, "snr": snr, "loss": loss,
        "grad.prediction": prediction.grad,
    }


def exact_edm_model(scheduler, sigma):
    """Gain and offset of the best network of EDM's preconditioning, whose input is c_in x."""
    data = scheduler.config.sigma_data
    total = sigma**2 + data**2
    skip, out, scale = data**2 / total, sigma * data / total**0.5, total**-0.5
    share = VARIANCE / (VARIANCE + sigma**2)
    return (share - skip) / (out * scale), MEAN * (1 - share) / out


def exact_flow_model(scheduler, time):
    """Gain and offset of the best velocity."""
    share = VARIANCE * (1 - time) / ((1 - time) ** 2 * VARIANCE + time**2)
    return (1 - share) / time, -(1 - share * (1 - time)) * MEAN / time


def continuous_trajectory(scheduler, steps, latents):
    """As trajectory(), of a scheduler with sigmas; and the model's gain and offset at each step."""
    is_edm = isinstance(scheduler, EDMEulerScheduler)
    scheduler.set_timesteps(steps)
    if is_edm:
        latents = latents * scheduler.init_noise_sigma
    visited, model = [], []
    for timestep, sigma in zip(scheduler.timesteps, scheduler.sigmas.double()):
        given = scheduler.scale_model_input(latents, timestep) if is_edm else latents
        model.append(torch.stack((exact_edm_model if is_edm else exact_flow_model)(scheduler, sigma)).float())
        visited.append(given)
        latents = scheduler.step(model[-1][0] * given + model[-1][1], timestep, latents).prev_sample
    visited.append(latents)
    gain, offset = torch.stack(model).unbind(1)
    return {"timesteps": scheduler.timesteps.double(), "latents": torch.stack(visited), "gain": gain, "offset": offset}


def generate_continuous(folder, seed):
    for number, (name, (scheduler_class, config, steps)) in enumerate(CONTINUOUS.items()):
        torch.manual_seed(seed + number)
        scheduler = scheduler_class(**config)
        scheduler.save_pretrained(folder / name)
        tensors = {"initial_noise": torch.randn(SHAPE)}
        tensors |= continuous_trajectory(scheduler, steps, tensors["initial_noise"])
        save_file({key: value.clone().contiguous() for key, value in tensors.items()}, folder / name / "io.safetensors")


def generate(folder, seed):
    generate_continuous(folder, seed + len(SCHEDULES) * len(PREDICTIONS))
    (folder / "samplers.json").write_text(json.dumps(SAMPLERS, indent=2) + "\n")
    for offset, (name, prediction_type) in enumerate(itertools.product(SCHEDULES, PREDICTIONS)):
        torch.manual_seed(seed + offset)
        config = {**SCHEDULES[name], "prediction_type": prediction_type}
        if name == "zero_snr" and prediction_type == "epsilon":
            continue
        scheduler = DDPMScheduler(**config, clip_sample=False)
        model = folder / f"{name}-{prediction_type}"
        scheduler.save_pretrained(model)
        gain, shift = exact_model(scheduler, prediction_type)
        tensors = training(scheduler, prediction_type)
        # Bounded: the reference's sigmas are float32, up to 157, and what they lose is multiplied by the noise.
        tensors |= {"gain": gain, "offset": shift, "initial_noise": torch.randn(SHAPE).clamp(-1, 1)}
        tensors["step_noise"] = torch.randn(max(case["steps"] for case in SAMPLERS), *SHAPE).clamp(-1, 1)
        for index, case in enumerate(SAMPLERS):
            if not has_trajectory(config, case):
                continue
            timesteps, visited = trajectory(
                config, case, gain, shift, tensors["initial_noise"], tensors["step_noise"])
            tensors |= {f"sampler{index}.timesteps": timesteps, f"sampler{index}.latents": visited}
        save_file({key: value.detach().clone() for key, value in tensors.items()}, model / "io.safetensors")
