"""webdataset with PIL or torchvision, two workers, beside build/bench/bench_loader: the same shards, a batch of
32 squares of the short side, the middle cut out. A loader is timed from its fifth batch on, so that starting its
workers belongs to nobody's figure."""
import importlib.metadata
import io
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

BATCH = 32


def pil_to_float(size):
    import numpy as np
    import torch
    from PIL import Image

    def decode(sample):
        image = Image.open(io.BytesIO(sample["jpg"])).convert("RGB")
        scale = size / min(image.size)
        image = image.resize((int(image.width * scale), int(image.height * scale)), Image.BICUBIC)
        left, top = (image.width - size) // 2, (image.height - size) // 2
        pixels = np.asarray(image.crop((left, top, left + size, top + size)))
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 127.5 - 1

    return decode


def torchvision_to_uint8(size):
    import torch
    import torchvision.transforms.v2.functional as F
    from torchvision.io import ImageReadMode, decode_image

    def decode(sample):
        image = decode_image(torch.frombuffer(bytearray(sample["jpg"]), dtype=torch.uint8), ImageReadMode.RGB)
        image = F.resize(image, [size], F.InterpolationMode.BICUBIC, antialias=True)
        return F.center_crop(image, [size, size])

    return decode


def torchvision_to_float(size):
    decode = torchvision_to_uint8(size)
    return lambda sample: decode(sample).float() / 127.5 - 1


PEERS = {
    "webdataset, PIL to float": (pil_to_float, "pillow", True),
    "webdataset, torchvision to float": (torchvision_to_float, "torchvision", True),
    "webdataset, torchvision to uint8": (torchvision_to_uint8, "torchvision", False),
}


def peer_images_per_second(shards, decode, workers, seconds):
    import torch
    import webdataset

    torch.set_num_threads(1)
    dataset = webdataset.WebDataset(shards, shardshuffle=False, resampled=True, nodesplitter=None, workersplitter=None)
    dataset = dataset.shuffle(100).map(lambda sample: (decode(sample),)).batched(BATCH, partial=False)
    loader = iter(webdataset.WebLoader(dataset, batch_size=None, num_workers=workers, prefetch_factor=2))
    for _ in range(4):
        (batch,) = next(loader)
    assert batch.shape[:2] == (BATCH, 3), batch.shape
    began, images = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        images += len(next(loader)[0])
    return images / (time.perf_counter() - began)


def our_images_per_second(root, arguments, shards, to_float):
    command = [root / "build/bench/bench_loader", *shards, "--resolution", arguments.resolution, "--batch", BATCH,
               "--workers", arguments.workers, "--seconds", arguments.seconds, *(["--float"] if to_float else [])]
    result = json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True).stdout)
    return result


def made_up_shard(folder):
    """Pictures of the size of photographs, with detail at every scale."""
    import numpy as np
    import webdataset
    from PIL import Image

    random = np.random.default_rng(0)
    with webdataset.TarWriter(str(folder / "000000.tar")) as writer:
        for i in range(200):
            layers = [Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize((500, 375))
                      for side in (4, 16, 64, 256)]
            picture = io.BytesIO()
            Image.fromarray(np.mean([np.asarray(layer) for layer in layers], axis=0).astype(np.uint8)).save(
                picture, "JPEG", quality=90)
            writer.write({"__key__": f"{i:05}", "jpg": picture.getvalue()})
    return [str(folder / "000000.tar")]


def measure(arguments, root):
    with tempfile.TemporaryDirectory() as folder:
        if arguments.shards:
            shards = sorted(map(str, pathlib.Path().glob(arguments.shards) if not arguments.shards.startswith("/")
                                else pathlib.Path("/").glob(arguments.shards[1:])))
        else:
            shards = made_up_shard(pathlib.Path(folder))
        ours = {True: [], False: []}
        theirs = {name: [] for name in PEERS}
        for _ in range(arguments.rounds):
            for to_float in ours:
                result = our_images_per_second(root, arguments, shards, to_float)
                ours[to_float].append(result)
            for name, (decode, _, _) in PEERS.items():
                theirs[name].append(peer_images_per_second(
                    shards, decode(arguments.resolution), arguments.workers, arguments.seconds))
                print(f"{name}: {theirs[name][-1]:.0f} images/s; ours "
                      f"{ours[False][-1]['images_per_s']:.0f} to uint8, {ours[True][-1]['images_per_s']:.0f} to float")
    last = ours[False][-1]
    print("microseconds an image, one thread:", ", ".join(f"{k} {v:.0f}" for k, v in last["microseconds"].items()))
    share = statistics.median(r["images_per_s"] / r["decode_only_images_per_s"] for r in ours[False])
    print(f"of the codec alone on every worker: {100 * share:.0f} %")
    median = {to_float: statistics.median(r["images_per_s"] for r in results) for to_float, results in ours.items()}
    return [{"work": f"loader, short side {arguments.resolution}", "unit": "images/s", "ours": median[to_float], "peer": name,
             "version": importlib.metadata.version(package), "theirs": statistics.median(theirs[name]),
             "ratio": median[to_float] / statistics.median(theirs[name])}
            for name, (_, package, to_float) in PEERS.items()]
