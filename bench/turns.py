"""What the works of bench/peers share: turns and rows.

A turn is a process of its own, ours or a peer's: the peak of its memory is its own, and nothing of it stays to slow
the next. bench/peers itself imports no torch, since Linux counts the peak of a process from that of its parent."""
import importlib.metadata
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple


class Turn(NamedTuple):
    output: str
    seconds: float  # from the command to its end
    peak_mb: float  # of main memory, of the largest of its processes


def run(*command, threads, **environment):
    """Runs a program to its end; where it fails, shows what it said and exits."""
    environment = {**os.environ, **environment, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1",
                   "TORCHINDUCTOR_COMPILE_THREADS": "1"}  # torch.compile would keep a process for each core
    with tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=errors, text=True,
                                   env=environment)
        with process.stdout as stream:
            output = stream.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            sys.exit(f"peers: {' '.join(map(str, command))}\n{errors.read()}")
    return Turn(output, seconds, usage.ru_maxrss * 1024 / 1e6)


def run_json(*command, threads):
    """What the program prints, as JSON, and its peak."""
    turn = run(*command, threads=threads)
    return json.loads(turn.output), turn.peak_mb


def call(function, *arguments, threads, **environment):
    """What a function of a work gives in a process of its own, and its peak; arguments and result are of JSON."""
    module = pathlib.Path(sys.modules[function.__module__].__file__)
    code = (f"import json, sys; sys.path.insert(0, sys.argv[1]); from {module.stem} import {function.__name__} as f; "
            "print('\\n' + json.dumps(f(*json.loads(sys.argv[2]))))")
    turn = run(sys.executable, "-c", code, module.parent, json.dumps(arguments, default=str), threads=threads,
               **environment)
    return json.loads(turn.output.splitlines()[-1]), turn.peak_mb


def row(work, unit, ours, peer, package, theirs):
    """Of the turns of both, each a value and the peak of its memory: medians, and by how much ours is better."""
    (our_value, our_peak), (value, peak) = ([statistics.median(column) for column in zip(*turns)]
                                            for turns in (ours, theirs))
    return {"work": work, "unit": unit, "ours": our_value, "peer": peer,
            "version": importlib.metadata.version(package), "theirs": value,
            "ratio": value / our_value if unit == "s" else our_value / value,
            "our_peak_mb": our_peak, "peer_peak_mb": peak}
