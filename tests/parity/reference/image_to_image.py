"""Where StableDiffusionImg2ImgPipeline begins and what StableDiffusionInpaintPipeline puts back after each step, by
every scheduler; and the rescaling of guidance. The model is that of diffusion.py."""
import json

import torch
from diffusers import DDPMScheduler
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from safetensors.torch import save_file

from reference.diffusion import SCHEDULES, SHAPE, at, exact_model, scheduler_of

CASES = (
    {"sampler": "ddim", "steps": 10, "timestep_spacing": "trailing", "strength": 0.75},
    {"sampler": "ddim", "steps": 7, "timestep_spacing": "leading", "steps_offset": 1, "strength": 1.0},
    {"sampler": "ddim", "steps": 8, "timestep_spacing": "linspace", "strength": 0.13},
    {"sampler": "euler", "steps": 10, "timestep_spacing": "trailing", "strength": 0.6},
    {"sampler": "euler", "steps": 9, "timestep_spacing": "leading", "steps_offset": 1, "scheduler": "karras",
     "strength": 0.5},
    {"sampler": "heun", "steps": 6, "timestep_spacing": "linspace", "strength": 0.5},
    {"sampler": "dpm++2m", "steps": 20, "timestep_spacing": "linspace", "strength": 0.8},
    {"sampler": "dpm++2m", "steps": 9, "timestep_spacing": "linspace", "scheduler": "karras", "strength": 0.7},
)


def draw(config, case, tables, x0, noise, mask):
    """The timesteps, what the model is given at each, and the latents at the end."""
    scheduler = scheduler_of(config, case)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    scheduler.set_timesteps(case["steps"])
    # get_timesteps of the pipeline
    begin = max(case["steps"] - min(int(case["steps"] * case["strength"]), case["steps"]), 0) * scheduler.order
    timesteps = scheduler.timesteps[begin:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    whole = mask is not None and case["strength"] == 1
    latents = noise * scheduler.init_noise_sigma if whole else scheduler.add_noise(x0, noise, timesteps[:1])
    visited = []
    for i, timestep in enumerate(timesteps):
        given = scheduler.scale_model_input(latents, timestep)
        visited.append(given)
        latents = scheduler.step(at(tables[0], timestep) * given + at(tables[1], timestep), timestep, latents).prev_sample
        if mask is not None:
            known = x0
            if i + 1 < len(timesteps):
                known = scheduler.add_noise(x0, noise, timesteps[i + 1:i + 2])
            latents = (1 - mask) * known + mask * latents
    visited.append(latents)
    return timesteps.double(), torch.stack([tensor.float() for tensor in visited])


def generate(folder, seed):
    torch.manual_seed(seed)
    config = {**SCHEDULES["scaled_linear"], "prediction_type": "epsilon"}
    scheduler = DDPMScheduler(**config, clip_sample=False)
    scheduler.save_pretrained(folder)
    (folder / "cases.json").write_text(json.dumps(CASES, indent=2) + "\n")
    gain, offset = exact_model(scheduler, "epsilon")
    x0, noise = torch.randn(SHAPE), torch.randn(SHAPE)
    mask = (torch.arange(SHAPE[-1]) % 2).float().expand(1, 1, *SHAPE[2:]).contiguous()
    guided, text = torch.randn(3, 4, 5, 6) * 3, torch.randn(3, 4, 5, 6)
    tensors = {"gain": gain, "offset": offset, "x0": x0, "noise": noise, "mask": mask, "guided": guided, "text": text,
               "rescaled": rescale_noise_cfg(guided, text, guidance_rescale=0.7)}
    for index, case in enumerate(CASES):
        for name, of in (("image", None), ("masked", mask)):
            if case["sampler"] == "heun" and of is not None:
                continue  # the reference puts back in the middle of a step as well
            timesteps, visited = draw(config, case, (gain, offset), x0, noise, of)
            tensors |= {f"{name}{index}.timesteps": timesteps, f"{name}{index}.latents": visited}
    save_file({key: value.detach().clone() for key, value in tensors.items()}, folder / "io.safetensors")
