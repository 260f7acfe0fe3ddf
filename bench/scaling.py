#!/usr/bin/env python3
"""What a step takes on many ranks, from three measured numbers: a small model of data parallelism.

A step on one rank computes for `--step` seconds, of which `--backward` is the backward pass. Gradients of
`--gradient-mb` are summed in a ring, bucket by bucket, while the backward pass goes on:

    sum(W) = 2 (W - 1) / W * bytes / bandwidth + 2 * hops * latency * buckets
    step(W) = step + max(last bucket's sum, sum(W) - backward)

The bandwidth is that of the slowest link of the ring: within a node that of the GPUs' links, over nodes a
node's network, which one ring uses once. Hops are those within a node and those from node to node. What is
left out: stragglers, the loader, what else uses the network, and that trees and several buckets at once hide
latency.

    bench/scaling.py --step 0.5 --gradient-mb 3440 --node-bandwidth 200 --network-bandwidth 25
    bench/scaling.py --local build/crescendo CONFIG    # the model beside 1, 2 and 4 ranks of this machine
"""
import argparse
import json
import os
import subprocess
import tempfile

BUCKET_MB = 25


def sum_seconds(ranks, megabytes, gigabytes_a_second, latency, ranks_a_node):
    if ranks == 1:
        return 0.0
    hops = min(ranks, ranks_a_node) - 1 + max(1, ranks // ranks_a_node) - 1
    buckets = max(1, round(megabytes / BUCKET_MB))
    return 2 * (ranks - 1) / ranks * megabytes / 1e3 / gigabytes_a_second + 2 * hops * latency * buckets


def step_seconds(ranks, step, backward, megabytes, *link):
    whole = sum_seconds(ranks, megabytes, *link)
    last = sum_seconds(ranks, min(megabytes, BUCKET_MB), *link)
    return step + max(last, whole - backward)


def table(options):
    print("GPUs   ms a step   gradients ms   images/s   efficiency")
    for ranks in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024):
        within = ranks <= options.gpus_a_node
        link = ((options.node_bandwidth, options.node_latency) if within else
                (options.network_bandwidth, options.network_latency)) + (options.gpus_a_node,)
        step = step_seconds(ranks, options.step, options.backward * options.step, options.gradient_mb, *link)
        travel = sum_seconds(ranks, options.gradient_mb, *link)
        print(f"{ranks:4}   {1e3 * step:9.1f}   {1e3 * travel:12.1f}   {options.batch * ranks / step:8.0f}"
              f"   {options.step / step:10.1%}")


def start(binary, config, ranks, more, folder):
    command = [binary, "train", config, "--set", f"run.output_dir={folder}",
               "--set", "train.max_train_steps=30", "--set", "sample.every=0"]
    if ranks > 1:
        launch = os.path.join(os.path.dirname(__file__), "../tests/pipelines/distributed/on_ranks.sh")
        command = [launch, str(ranks)] + command
    for setting in more:
        command += ["--set", setting]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "OMP_NUM_THREADS": "1"})


def measure(options, ranks, apart):
    """The median seconds of a step of so many processes: one run of all, or a run each, at once."""
    with tempfile.TemporaryDirectory() as folder:
        folders = [os.path.join(folder, str(i)) for i in range(ranks if apart else 1)]
        running = [start(*options.local, 1 if apart else ranks, options.set, one) for one in folders]
        for program in running:
            if program.wait() != 0:
                raise SystemExit(program.stderr.read())
        steps = []
        for one in folders:
            with open(os.path.join(one, "metrics.jsonl")) as lines:
                steps += [entry["seconds"] for entry in map(json.loads, lines) if "seconds" in entry][5:]
    return sorted(steps)[len(steps) // 2]


def local(options):
    """Processes of one machine hinder each other without any sum: that is measured by runs apart."""
    print("ranks   apart ms   model ms   measured ms")
    for ranks in (1, 2, 4):
        apart = measure(options, ranks, True)
        model = step_seconds(ranks, apart, options.backward * apart, options.gradient_mb,
                             options.node_bandwidth, options.node_latency, 4)
        found = measure(options, ranks, False)
        print(f"{ranks:5}   {1e3 * apart:8.1f}   {1e3 * model:8.1f}   {1e3 * found:11.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", type=float, default=0.5, help="seconds of a step on one rank")
    parser.add_argument("--backward", type=float, default=0.6, help="share of it that sums can hide behind")
    parser.add_argument("--gradient-mb", type=float, default=3440, help="4 bytes a parameter, or 2 in bfloat16")
    parser.add_argument("--batch", type=int, default=16, help="images of a step on one rank")
    parser.add_argument("--gpus-a-node", type=int, default=8)
    parser.add_argument("--node-bandwidth", type=float, default=200, help="GB/s")
    parser.add_argument("--network-bandwidth", type=float, default=25, help="GB/s of a node")
    parser.add_argument("--node-latency", type=float, default=3e-6, help="seconds a hop")
    parser.add_argument("--network-latency", type=float, default=5e-6)
    parser.add_argument("--local", nargs=2, metavar=("CRESCENDO", "CONFIG"))
    parser.add_argument("--set", action="append", default=[], help="of the config, with --local")
    options = parser.parse_args()
    local(options) if options.local else table(options)


if __name__ == "__main__":
    main()
