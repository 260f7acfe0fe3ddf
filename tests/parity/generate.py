#!/usr/bin/env python3
"""Makes the parity fixtures: small random models of the reference libraries, with inputs, outputs and gradients.

    generate.py --out tests/parity/fixtures --seed 0        the committed set
    generate.py --out build/fixtures --seed 7 unet vae      a fresh one, of some rooms
    generate.py --out build/fixtures --seed 7 --full        10,000 strings a tokenizer, and CLIP's real vocabulary

Each reference/ROOM.py defines generate(folder, seed); text_encoder's has full too.
"""
import argparse
import importlib
import importlib.metadata
import json
import pathlib
import shutil
import sys

ROOMS = sorted(path.stem for path in (pathlib.Path(__file__).parent / "reference").glob("[a-z]*.py"))
PACKAGES = ("torch", "diffusers", "peft", "transformers", "tokenizers", "safetensors", "sentencepiece",
            "pytorch-fid", "torch-fidelity", "torchmetrics", "scipy")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", nargs="*", default=ROOMS, help=f"of {', '.join(ROOMS)}; all by default")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--full", action="store_true", help="with what is too large to commit")
    arguments = parser.parse_args()
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    for room in arguments.rooms:
        folder = arguments.out / room
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        more = [arguments.full] if room == "text_encoder" else []
        importlib.import_module(f"reference.{room}").generate(folder, arguments.seed, *more)
        versions = {name: importlib.metadata.version(name) for name in PACKAGES}
        (folder / "versions.json").write_text(json.dumps({"seed": arguments.seed, **versions}, indent=2) + "\n")
        print(f"{folder}: {sum(f.stat().st_size for f in folder.rglob('*') if f.is_file()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
