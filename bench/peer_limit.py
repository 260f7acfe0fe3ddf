"""How near a training step comes to what the machine can do: floating point operations a second of the step of
`training`, counted by torch's flop counter on diffusers' model (products and convolutions, forward and backward),
beside those of a large product of float32 matrices, in our process (which chooses the library) and in torch. A ratio of
0.5 is half of the limit.

Also where the time of a step goes on the CPU, by operator without what it calls in turn: ours, where our own kernels
stand under the node that calls them in the backward pass and in the forward pass under none, and diffusers' eager."""
import tempfile
import time

import turns
from peer_training import MODELS, PeerStep, run_ours, write_config

SIZE = 2048
SHOWN = 12


def step_flops(architecture, batch):
    """On tensors without numbers, so that nothing is computed."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        PeerStep(architecture, batch, "eager", "meta").loss().backward()
    return counter.get_total_flops()


def their_matmul_flops(device):
    import torch

    left, right = torch.randn(2, SIZE, SIZE, device=device)
    seconds = []
    for _ in range(8):
        began = time.perf_counter()
        (left @ right)[0, 0].item()
        seconds.append(time.perf_counter() - began)
    return 2 * SIZE ** 3 / min(seconds)


def their_operators(architecture, batch):
    """Seconds of a step by operator."""
    from torch.profiler import ProfilerActivity, profile

    step = PeerStep(architecture, batch, "eager", "cpu")
    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    return {event.key: event.self_cpu_time_total / 1e6 for event in profiler.key_averages()}


def print_operators(ours, theirs):
    print("\n| operator | ours, ms | eager, ms |\n| --- | ---: | ---: |")
    cost = {name: max(ours.get(name, 0), theirs.get(name, 0)) for name in ours | theirs}
    for name in sorted(cost, key=cost.get, reverse=True)[:SHOWN]:
        print(f"| {name} | {1e3 * ours.get(name, 0):.1f} | {1e3 * theirs.get(name, 0):.1f} |")
    print(f"| all | {1e3 * sum(ours.values()):.1f} | {1e3 * sum(theirs.values()):.1f} |\n")


def measure(arguments, root):
    rows = []
    threads, device = arguments.threads, arguments.device
    for name, (architecture, batch) in MODELS.items():
        flops, _ = turns.call(step_flops, architecture, batch, threads=threads)
        flags = ["--matmul", SIZE, *(["--operators"] if device == "cpu" else [])]
        steps, own, torch = [], [], []
        with tempfile.TemporaryDirectory() as folder:
            turns.call(write_config, architecture, folder, threads=1)
            for _ in range(arguments.rounds):
                result, peak = run_ours(root, f"{folder}/config.json", architecture, batch, arguments.steps, arguments,
                                        *flags)
                steps.append((flops / result["seconds_a_step"] / 1e9, peak))
                own.append((result["matmul_flops"] / 1e9, peak))
                speed, peak = turns.call(their_matmul_flops, device, threads=threads)
                torch.append((speed / 1e9, peak))
                print(f"{name}: {steps[-1][0]:.0f} GFLOP/s in a step of {flops / 1e9:.1f} GFLOP, "
                      f"{own[-1][0]:.0f} in our product, {torch[-1][0]:.0f} in torch's")
        if device == "cpu":
            theirs, _ = turns.call(their_operators, architecture, batch, threads=threads)
            print_operators(result["operators"], theirs)
        rows += [turns.row(f"limit: training step, {name} U-Net, batch {batch}", "GFLOP/s", steps,
                           f"{whose} product of {SIZE}x{SIZE}", "torch", products)
                 for whose, products in (("our", own), ("torch's", torch))]
    return rows
