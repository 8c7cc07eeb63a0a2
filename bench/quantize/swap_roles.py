"""Where the difference between qad's and llama.cpp's file of one GGUF type comes from.

    ~/.cache/qad/venv-peers/bin/python bench/quantize/swap_roles.py Q4_0 [--base smollm2|twin] [--imatrix] [--halves 6] [--threads N]

Both make the type from the same f32 GGUF, as in gguf_types.py. Shown are the squared errors of their tensors; the KL divergence of
each file; of qad's with the tensors of one role from llama.cpp's; and of files that take each tensor from either side
by the toss of a coin: how far files of one quality lie apart by chance.
"""

import argparse
import os
import random
import shutil
import sys

import gguf
import numpy as np

import gguf_types as bench

UNUSED = bench.FOLDER / "swapped.gguf"


def relative_error(tensor, want):
    got = gguf.quants.dequantize(tensor.data, tensor.tensor_type).ravel()
    return float(((got - want) ** 2).sum() / (want**2).sum())


def role_of(name):
    return name.split(".")[-2]


def swapped(path, ours, theirs, chosen):
    """qad's file with llama.cpp's bytes in the tensors that `chosen` takes."""
    shutil.copy(path, UNUSED)
    file = np.memmap(UNUSED, dtype=np.uint8, mode="r+")
    for name, tensor in ours.items():
        if chosen(name):
            start, size = int(tensor.data_offset), int(tensor.n_bytes)
            file[start:start + size] = np.asarray(theirs[name].data).view(np.uint8).ravel()
    file.flush()
    return UNUSED


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("type")
    parser.add_argument("--base", choices=["smollm2", "twin"], default="smollm2")
    parser.add_argument("--imatrix", action="store_true")
    parser.add_argument("--halves", type=int, default=6)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    bench.FOLDER.mkdir(parents=True, exist_ok=True)
    calibration, held_out = bench.texts()
    base, f32, imatrix = bench.prepare(options.base, calibration)
    paths = [bench.FOLDER / f"{side}-{options.type}.gguf" for side in ("ours", "theirs")]
    bench.qad("quantize", f32, "--method", "gguf", "--type", options.type, "--output", paths[0],
              *(["--imatrix", imatrix] if options.imatrix else []))
    bench.llama_cpp_peer.quantize(f32, paths[1], options.type.lower(), imatrix if options.imatrix else None,
                                  options.threads)
    whole = {t.name: np.asarray(t.data, dtype=np.float32).ravel() for t in gguf.GGUFReader(f32).tensors}
    ours, theirs = ({t.name: t for t in gguf.GGUFReader(path).tensors if t.tensor_type != gguf.GGMLQuantizationType.F32}
                    for path in paths)
    if any(ours[name].tensor_type != theirs[name].tensor_type for name in ours):
        sys.exit("the two files give a tensor different types: nothing can be exchanged")
    errors = {name: [relative_error(side[name], whole[name]) for side in (ours, theirs)] for name in ours}
    kl = lambda path: bench.score(path, base, held_out)  # noqa: E731
    print(f"{options.type} of {options.base}: squared error of the weights {np.mean([e[0] for e in errors.values()]):.6f}, "
          f"llama.cpp {np.mean([e[1] for e in errors.values()]):.6f}; of {sum(a < b for a, b in errors.values())} of "
          f"{len(errors)} tensors lower than llama.cpp's\n")
    print("| file | KL in f32 | standard error |\n|---|---|---|")

    def row(name, path):
        result = kl(path)
        print(f"| {name} | {result['kl_divergence']:.4f} | {result['kl_divergence_stderr']:.4f} |", flush=True)

    row("qad's", paths[0])
    row("llama.cpp's", paths[1])
    for role in sorted({role_of(name) for name in ours}):
        row(f"llama.cpp's {role} in qad's", swapped(paths[0], ours, theirs, lambda name: role_of(name) == role))
    for seed in range(options.halves):
        coin = random.Random(seed)
        taken = {name for name in sorted(ours) if coin.random() < 0.5}
        row(f"half of either, {seed}", swapped(paths[0], ours, theirs, taken.__contains__))
    UNUSED.unlink()


if __name__ == "__main__":
    main()
