"""FID and its kin by pytorch-fid, torch-fidelity and torchmetrics, of random features; the FID Inception-v3 with
weights that are a formula of their names' order, because 90 MB of random ones are not worth committing.
"""
import json
import math

import numpy
import PIL.Image
import pytorch_fid.fid_score
import pytorch_fid.inception
import torch
from safetensors.torch import save_file
from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchmetrics.image.kid import poly_mmd
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

SUBSETS, SUBSET_SIZE = 10, 60


def uniform(count, stream):
    """As fill_weights() of evaluation_parity_test.cpp: a hash of 32 bits, in [-1, 1)."""
    bits = (torch.arange(count, dtype=torch.int64) * 2654435761 + stream * 40503 + 12345) & 0xFFFFFFFF
    bits = ((bits ^ (bits >> 16)) * 73244475) & 0xFFFFFFFF
    bits = bits ^ (bits >> 16)
    return (bits.double() / 2**31 - 1).float()


def random_state():
    """The published weights hold no num_batches_tracked either."""
    model = pytorch_fid.inception._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    shapes = {name: t.shape for name, t in model.state_dict().items() if "num_batches" not in name}
    state = {}
    for stream, name in enumerate(sorted(shapes)):
        values = uniform(shapes[name].numel(), stream).view(shapes[name])
        if values.dim() > 1:
            values = values * math.sqrt(6 / values[0].numel())
        elif name.endswith(("bn.weight", "running_var")):
            values = 1 + 0.2 * values
        else:
            values = 0.2 * values
        state[name] = values
    return state


def inception(images):
    """What pytorch-fid and torch-fidelity make of images, uint8 [N,3,H,W]."""
    state = random_state()
    pytorch_fid.inception.load_state_dict_from_url = lambda *_, **__: state
    theirs = pytorch_fid.inception.InceptionV3([3]).eval()
    import torch_fidelity.feature_extractor_inceptionv3 as module
    module.load_state_dict_from_url = lambda *_, **__: state
    other = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"])
    with torch.no_grad():
        pool = theirs(images.float() / 255)[0].flatten(1)
        legacy_pool, logits = other(images)
    return {"pool": pool, "legacy_pool": legacy_pool, "logits": logits}


def clean(images):
    """clean-fid's resize, channel by channel as floats; every 13th row and column."""
    def channel(pixels):
        image = PIL.Image.fromarray(pixels.numpy().astype(numpy.float32), mode="F")
        return numpy.asarray(image.resize((299, 299), PIL.Image.BICUBIC)).clip(0, 255)[::13, ::13]
    return torch.from_numpy(numpy.stack([[channel(pixels) for pixels in image] for image in images]))


def clip(folder):
    """A small CLIPModel, and what it makes of images and of tokens, whose padding is the last token's id too."""
    text = {"vocab_size": 60, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": 12, "bos_token_id": 58, "eos_token_id": 59}
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
              "image_size": 32, "patch_size": 8}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32)
    wide = torch.randint(0, 256, (2, 3, 45, 70), dtype=torch.uint8)
    tall = torch.randint(0, 256, (1, 3, 31, 20), dtype=torch.uint8)
    pictures = [PIL.Image.fromarray(one.permute(1, 2, 0).numpy()) for one in [*wide, *tall]]
    ids = torch.tensor([[58, 3, 7, 59, 59, 59], [58, 5, 1, 2, 9, 59]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    with torch.no_grad():
        pixels = processor(pictures, return_tensors="pt")["pixel_values"]
        images = model.visual_projection(model.vision_model(pixels).pooler_output)
        texts = model.text_projection(model.text_model(ids, attention_mask=mask).pooler_output)
    save_file({"wide": wide, "tall": tall, "images": images, "ids": ids, "mask": mask, "texts": texts},
              folder / "io.safetensors")


def generate(folder, seed):
    torch.manual_seed(seed)
    # Correlated, and with means apart; torch-fidelity takes float32.
    first = torch.randn(300, 32) @ torch.randn(32, 32) * 0.3
    second = torch.randn(240, 32) @ torch.randn(32, 32) * 0.3 + 0.2
    few = torch.randn(20, 32)
    numpy_of = [x.numpy().astype(numpy.float64) for x in (first, second, few)]
    moments = [(x.mean(0), numpy.cov(x, rowvar=False)) for x in numpy_of]
    as_dicts = [{"mu": mu, "sigma": sigma} for mu, sigma in moments]
    options = {"kid_subsets": SUBSETS, "kid_subset_size": SUBSET_SIZE, "rng_seed": 2020, "verbose": False}
    kid = metric_kid.kid_features_to_metric(first.double(), second.double(), **options)
    prc = metric_prc.prc_features_to_metric(first.double(), second.double(), prc_neighborhood=3,
                                            prc_batch_size=10000, save_cpu_ram=False, verbose=False)
    isc = metric_isc.isc_features_to_metric(first)
    values = {
        "fid_pytorch_fid": float(pytorch_fid.fid_score.calculate_frechet_distance(*moments[0], *moments[1])),
        "fid_torch_fidelity": metric_fid.fid_statistics_to_metric(*as_dicts[:2], verbose=False)[
            "frechet_inception_distance"],
        # Rank-deficient: scipy's root of the singular product is not to be relied on, eigenvalues are.
        "fid_few": metric_fid.fid_statistics_to_metric(as_dicts[2], as_dicts[1], verbose=False)[
            "frechet_inception_distance"],
        "kid_subsets": SUBSETS, "kid_subset_size": SUBSET_SIZE,
        "kid_mean": kid["kernel_inception_distance_mean"], "kid_std": kid["kernel_inception_distance_std"],
        "kid_torchmetrics": poly_mmd(first[:240].double(), second.double()).item(),
        "precision": prc["precision"], "recall": prc["recall"],
        "is_mean": isc["inception_score_mean"], "is_std": isc["inception_score_std"],
    }
    (folder / "values.json").write_text(json.dumps(values, indent=2) + "\n")
    images = torch.randint(0, 256, (2, 3, 40, 32), dtype=torch.uint8)
    save_file({"first": first, "second": second, "few": few}, folder / "features.safetensors")
    large = torch.randint(0, 256, (1, 3, 360, 420), dtype=torch.uint8)  # is shrunken
    tensors = {"images": images, "clean": clean(images), "large": large, "large_clean": clean(large),
               **inception(images)}
    save_file({name: t.contiguous() for name, t in tensors.items()}, folder / "inception.safetensors")
    clip(folder / "clip")
