"""webdataset with PIL or torchvision, two workers, beside build/bench/bench_loader: the same shards, a batch of
32 squares of the short side, the middle cut out. A loader is timed from its fifth batch on, so that starting its
workers belongs to nobody's figure. A loader of processes has the memory of them all."""
import glob
import io
import multiprocessing
import statistics
import tempfile
import time

import turns

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


def workers_mb():
    """What the workers of a loader have for themselves in main memory."""
    kilobytes = 0
    for worker in multiprocessing.active_children():
        for line in open(f"/proc/{worker.pid}/smaps_rollup"):
            if line.startswith("Private_"):
                kilobytes += int(line.split()[1])
    return kilobytes * 1024 / 1e6


def peer_images_per_second(name, shards, size, workers, seconds):
    import webdataset

    decode = PEERS[name][0](size)
    dataset = webdataset.WebDataset(shards, shardshuffle=False, resampled=True, nodesplitter=None, workersplitter=None)
    dataset = dataset.shuffle(100).map(lambda sample: (decode(sample),)).batched(BATCH, partial=False)
    loader = iter(webdataset.WebLoader(dataset, batch_size=None, num_workers=workers, prefetch_factor=2))
    for _ in range(4):
        (batch,) = next(loader)
    assert batch.shape[:2] == (BATCH, 3), batch.shape
    began, images = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        images += len(next(loader)[0])
    return images / (time.perf_counter() - began), workers_mb()


def their_turn(name, shards, arguments):
    (speed, workers), peak = turns.call(peer_images_per_second, name, shards, arguments.resolution, arguments.workers,
                                        arguments.seconds, threads=1)
    return speed, peak + workers


def our_turn(root, arguments, shards, to_float):
    return turns.run_json(root / "build/bench/bench_loader", *shards, "--resolution", arguments.resolution, "--batch",
                          BATCH, "--workers", arguments.workers, "--seconds", arguments.seconds,
                          *(["--float"] if to_float else []), threads=1)


def make_shard(folder):
    """Pictures of the size of photographs, with detail at every scale, and a caption each."""
    import numpy as np
    import webdataset
    from PIL import Image

    random = np.random.default_rng(0)
    shard = f"{folder}/000000.tar"
    with webdataset.TarWriter(shard) as writer:
        for i in range(200):
            layers = [Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize((500, 375))
                      for side in (4, 16, 64, 256)]
            picture = io.BytesIO()
            Image.fromarray(np.mean([np.asarray(layer) for layer in layers], axis=0).astype(np.uint8)).save(
                picture, "JPEG", quality=90)
            writer.write({"__key__": f"{i:05}", "jpg": picture.getvalue(), "txt": f"picture {i} of noise in colours"})
    return [shard]


def shards_of(arguments, folder):
    """Those that the user named, or one made up in the folder."""
    if not arguments.shards:
        return turns.call(make_shard, folder, threads=1)[0]
    return sorted(glob.glob(arguments.shards))


def measure(arguments, root):
    with tempfile.TemporaryDirectory() as folder:
        shards = shards_of(arguments, folder)
        ours = {True: [], False: []}
        theirs = {name: [] for name in PEERS}
        for _ in range(arguments.rounds):
            for to_float in ours:
                ours[to_float].append(our_turn(root, arguments, shards, to_float))
            for name in PEERS:
                theirs[name].append(their_turn(name, shards, arguments))
                to_uint8, to_float = (ours[kind][-1][0]["images_per_s"] for kind in (False, True))
                print(f"{name}: {theirs[name][-1][0]:.0f} images/s; ours {to_uint8:.0f} to uint8, {to_float:.0f} to float")
    last = ours[False][-1][0]
    print("microseconds an image, one thread:", ", ".join(f"{k} {v:.0f}" for k, v in last["microseconds"].items()))
    share = statistics.median(r["images_per_s"] / r["decode_only_images_per_s"] for r, _ in ours[False])
    print(f"of the codec alone on every worker: {100 * share:.0f} %")
    speeds = {to_float: [(r["images_per_s"], peak) for r, peak in results] for to_float, results in ours.items()}
    return [turns.row(f"loader, short side {arguments.resolution}", "images/s", speeds[to_float], name, package,
                      theirs[name]) for name, (_, package, to_float) in PEERS.items()]
