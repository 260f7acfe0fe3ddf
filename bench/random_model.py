"""A model folder of Stable Diffusion's shape with random weights, for works of bench/peers."""


def write_model(folder, tokenizer, side, unet_channels, vae_channels):
    """With CLIP's vocabulary and latents of a `2 ** (len(vae_channels) - 1)`th of the side; returns its parameters."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(tokenizer)
    text = CLIPTextModel(CLIPTextConfig(
        hidden_size=256, intermediate_size=1024, num_hidden_layers=6, num_attention_heads=4,
        vocab_size=len(tokenizer), bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id))
    levels = len(vae_channels)
    unet = UNet2DConditionModel(
        sample_size=side >> (levels - 1), block_out_channels=unet_channels, layers_per_block=2, cross_attention_dim=256,
        attention_head_dim=8, down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"))
    vae = AutoencoderKL(
        block_out_channels=vae_channels, layers_per_block=1, latent_channels=4, sample_size=side,
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels)
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False,
                              timestep_spacing="trailing")
    StableDiffusionPipeline(vae, text, tokenizer, unet, scheduler, None, None, requires_safety_checker=False
                            ).save_pretrained(folder)
    return sum(p.numel() for model in (text, unet, vae) for p in model.parameters())
