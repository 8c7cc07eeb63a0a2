"""How cost grows: with the context, the sequences at once, the threads, the model's size, the type of the KV cache, and the
layout of the weights (of the formats that llama.cpp's types leave out, as `qad quantize` writes them).

    scripts/interop once, then   ~/.cache/qad/venv/bin/python bench/growth/run.py [--repetitions 3] [PART…]

Speeds come from `qad bench`, each with the share of what the machine could do in that very process: of reading a buffer
of the weights' size, and of bf16 products on operands in the cache. Prints Markdown tables for docs/performance.md.
"""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = pathlib.Path(os.environ.get("QAD_CACHE", "~/.cache/qad")).expanduser()
QAD = ROOT / "build" / "release" / "qad"
SMOLLM2 = CACHE / "models" / "smollm2-135m-instruct.gguf"
GENERATED = 64
LONG = 8192 - GENERATED  # what SmolLM2's positions leave room for
WEIGHTS = ((), ("--format", "bf16"))  # as stored in Q4_1, and decoded
LICENCES = ("GPL-3", "LGPL-2.1", "MPL-2.0", "Apache-2.0", "GFDL-1.3")


def qad(*arguments):
    command = [str(part) for part in (QAD, *arguments, "--json")]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def bench(repetitions, model, *flags):
    report = qad("bench", model, "--repetitions", repetitions, *flags)
    row, = report["rows"]
    return row, report["memory"]


def prefill(repetitions, model, tokens, *flags):
    return bench(repetitions, model, "--prompt", tokens, "--generate", 0, *flags)


def decode(repetitions, model, depth, *flags):
    return bench(repetitions, model, "--prompt", 0, "--generate", GENERATED, "--depth", depth, *flags)


def rate(row):
    return f"{row['median_ts']:,.0f}"


def of_reading(row):
    return f"{100 * row['gigabytes_per_second'] / row['ceiling_gigabytes_per_second']:.0f}%"


def of_products(row):
    return f"{100 * row['gigaflops'] / row['ceiling_gigaflops']:.0f}%"


def mebibytes(count):
    return f"{count / 2**20:,.0f}"


def large_model():
    path = CACHE / "peers" / "random-1.4b-q4_0.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, ROOT / "bench" / "growth" / "random_model.py", SMOLLM2, path], check=True)
    return path


def long_text():
    """The licence texts that every Debian has."""
    path = CACHE / "peers" / "licences.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(pathlib.Path("/usr/share/common-licenses", name).read_text() for name in LICENCES))
    return path


def table(*columns):
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "--:|" * len(columns)


def line(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def context(repetitions):
    yield from table("tokens", "prefill tok/s", "of products", "decode tok/s behind them", "of reading", "KV cache MiB")
    for tokens in (512, 1024, 2048, 4096, LONG):
        first, _ = prefill(repetitions, SMOLLM2, tokens)
        then, memory = decode(repetitions, SMOLLM2, tokens)
        yield line(f"{tokens:,}", rate(first), of_products(first), rate(then), of_reading(then),
                   mebibytes(memory["kv_bytes"]))


def batch(repetitions):
    yield from table("sequences", "Q4_1 tok/s", "of reading", "of products", "bf16 tok/s", "of reading", "of products")
    for sequences in (1, 2, 4, 8, 16, 32):
        cells = []
        for flags in WEIGHTS:
            row, _ = decode(repetitions, SMOLLM2, 0, "--batch", sequences, *flags)
            cells += [rate(row), of_reading(row), of_products(row)]
        yield line(sequences, *cells)


def threads(repetitions):
    yield from table("threads", "Q4_1 prefill", "of products", "decode", "of reading", "bf16 prefill", "of products",
                     "decode", "of reading")
    for count in range(1, (os.cpu_count() or 1) + 1):
        cells = []
        for flags in WEIGHTS:
            first, _ = prefill(repetitions, SMOLLM2, 512, "--threads", count, *flags)
            then, _ = decode(repetitions, SMOLLM2, 0, "--threads", count, *flags)
            cells += [rate(first), of_products(first), rate(then), of_reading(then)]
        yield line(count, *cells)


def size(repetitions):
    yield from table("model", "weights MiB", "prefill 512 tok/s", "of products", "decode tok/s", "of reading",
                     "peak RSS − weights − KV cache, MiB")
    for name, model in (("SmolLM2 135M, Q4_1", SMOLLM2), ("random Llama 1.4B, Q4_0", large_model())):
        first, memory = prefill(repetitions, model, 512)
        then, _ = decode(repetitions, model, 0)
        beside = memory["peak_rss_bytes"] - memory["weights_bytes"] - memory["kv_bytes"]
        yield line(name, mebibytes(memory["weights_bytes"]), rate(first), of_products(first), rate(then),
                   of_reading(then), mebibytes(beside))


def cache(repetitions):
    yield from table("KV cache", "MiB for 8,192 tokens", "decode tok/s behind 8,128", "KL divergence from f32",
                     "same top-1", "perplexity")
    for kind in ("f32", "f16", "bf16", "q8_0", "q4_0"):
        row, memory = decode(repetitions, SMOLLM2, LONG, "--kv-type", kind)
        quality = qad("perplexity", SMOLLM2, "--file", long_text(), "--context", 4096, "--windows", 4, "--exact",
                      "--kv-type", kind, "--reference", SMOLLM2, "--reference-format", "as-stored")
        yield line(kind, mebibytes(memory["kv_bytes"]), rate(row), f"{quality['kl_divergence']:.5f}",
                   f"{100 * quality['same_top1']:.2f}%",
                   f"{quality['perplexity']:.3f} ± {quality['perplexity_stderr']:.3f}")


LAYOUTS = {  # rounded to nearest: what counts is how codes lie
    "int8 by output": ["int8"],
    "8 bits by 64": ["rtn", "--bits", 8, "--group-size", 64],
    "4 bits by 32": ["rtn", "--bits", 4, "--group-size", 32],
    "4 bits by 64": ["rtn", "--bits", 4, "--group-size", 64],
    "4 bits by output": ["rtn", "--bits", 4, "--group-size", -1],
    "4 bits by 64, with zeros": ["rtn", "--bits", 4, "--group-size", 64, "--asymmetric"],
    "3 bits by 64": ["rtn", "--bits", 3, "--group-size", 64],
    "2 bits by 64": ["rtn", "--bits", 2, "--group-size", 64],
    "NF4 by 64": ["nf4"],
    "IQ4_NL": ["gguf", "--type", "IQ4_NL"],
}


def layouts(repetitions):
    yield from table("weights of SmolLM2", "MiB in memory", "prefill 512 tok/s", "of products in", "decode 64 behind 512, tok/s",
                     "of reading")
    with tempfile.TemporaryDirectory() as folder:
        for name, method in LAYOUTS.items():
            path = pathlib.Path(folder) / ("model.gguf" if method[0] == "gguf" else name.replace(" ", "-"))
            qad("quantize", SMOLLM2, "--method", *method, "--output", path)
            first, memory = prefill(repetitions, path, 512)
            then, _ = decode(repetitions, path, 512)
            yield line(name, mebibytes(memory["weights_bytes"]), rate(first),
                       f"{of_products(first)} {first['ceiling_products']}", rate(then), of_reading(then))


PARTS = {"context": context, "batch": batch, "threads": threads, "size": size, "cache": cache, "layouts": layouts}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("part", nargs="*", help=f"all where none is named: {', '.join(PARTS)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.part) - set(PARTS):
        parser.error(f"{', '.join(sorted(unknown))}: unknown part; there are {', '.join(PARTS)}")
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((row.split(":")[1].strip() for row in cpuinfo if row.startswith("model name")), "unknown CPU")
    revision = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True)
    print(f"{datetime.date.today().isoformat()}, {cpu}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; "
          f"qad {revision.stdout.strip()}, median of {arguments.repetitions} repetitions in a process.\n")
    for name, part in PARTS.items():
        if arguments.part and name not in arguments.part:
            continue
        print(f"**{name}**\n\n" + "\n".join(part(arguments.repetitions)) + "\n", flush=True)


if __name__ == "__main__":
    main()
