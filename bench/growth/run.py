"""How cost grows: with the context, the sequences at once, the threads, the model's size and the type of the KV cache.

    scripts/interop once, then   ~/.cache/qad/venv/bin/python bench/growth/run.py [--repetitions 3] [PART…]

Every row is one `qad bench` process with the share of what the machine could do, measured in that process. Prints
Markdown tables for docs/performance.md.
"""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = pathlib.Path(os.environ.get("QAD_CACHE", "~/.cache/qad")).expanduser()
QAD = ROOT / "build" / "release" / "qad"
SMOLLM2 = CACHE / "models" / "smollm2-135m-instruct.gguf"
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
    return bench(repetitions, model, "--prompt", 0, "--generate", 64, "--depth", depth, *flags)


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
    """The licence texts that every Debian has, without those that other benches hold out."""
    path = CACHE / "peers" / "licences.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(pathlib.Path("/usr/share/common-licenses", name).read_text() for name in LICENCES))
    return path


def context(repetitions):
    yield "| tokens | prefill tok/s | of bf16 products | decode tok/s at this depth | of reading | KV cache MiB |"
    yield "|--:|--:|--:|--:|--:|--:|"
    for tokens in (512, 1024, 2048, 4096, 8192 - 64):
        first, _ = prefill(repetitions, SMOLLM2, tokens)
        then, memory = decode(repetitions, SMOLLM2, tokens)
        yield (f"| {tokens:,} | {rate(first)} | {of_products(first)} | {rate(then)} | {of_reading(then)} | "
               f"{mebibytes(memory['kv_bytes'])} |")


def batch(repetitions):
    yield "| sequences | Q4_1 tok/s | of reading | of bf16 products | bf16 tok/s | of reading | of bf16 products |"
    yield "|--:|--:|--:|--:|--:|--:|--:|"
    for sequences in (1, 2, 4, 8, 16, 32):
        sides = (decode(repetitions, SMOLLM2, 0, "--batch", sequences, *flags)[0] for flags in ((), ("--format", "bf16")))
        yield f"| {sequences} | " + " | ".join(f"{rate(row)} | {of_reading(row)} | {of_products(row)}" for row in sides) + " |"


def threads(repetitions):
    yield "| threads | Q4_1 prefill | of bf16 products | decode | of reading | bf16 prefill | of bf16 products | decode | of reading |"
    yield "|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for count in range(1, (os.cpu_count() or 1) + 1):
        cells = []
        for flags in ((), ("--format", "bf16")):
            first, _ = prefill(repetitions, SMOLLM2, 512, "--threads", count, *flags)
            then, _ = decode(repetitions, SMOLLM2, 0, "--threads", count, *flags)
            cells += [rate(first), of_products(first), rate(then), of_reading(then)]
        yield f"| {count} | " + " | ".join(cells) + " |"


def size(repetitions):
    yield "| model | weights MiB | prefill 512 tok/s | of bf16 products | decode tok/s | of reading | peak RSS − weights − KV MiB |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for name, model in (("SmolLM2 135M, Q4_1", SMOLLM2), ("random Llama 1.4B, Q4_0", large_model())):
        first, memory = prefill(repetitions, model, 512)
        then, _ = decode(repetitions, model, 0)
        beside = memory["peak_rss_bytes"] - memory["weights_bytes"] - memory["kv_bytes"]
        yield (f"| {name} | {mebibytes(memory['weights_bytes'])} | {rate(first)} | {of_products(first)} | {rate(then)} | "
               f"{of_reading(then)} | {mebibytes(beside)} |")


def cache(repetitions):
    yield "| KV cache | bits a value | MiB at 8,128 tokens | decode tok/s there | KL divergence from f32 | same top-1 | perplexity |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for kind in ("f32", "f16", "bf16", "q8_0", "q4_0"):
        row, memory = decode(repetitions, SMOLLM2, 8192 - 64, "--kv-type", kind)
        quality = qad("perplexity", SMOLLM2, "--file", long_text(), "--context", 4096, "--windows", 4, "--kv-type", kind,
                      "--reference", SMOLLM2, "--reference-format", "as-stored", "--exact")
        values = memory["kv_bytes"] / bench_positions() * 8
        yield (f"| {kind} | {values:.1f} | {mebibytes(memory['kv_bytes'])} | {rate(row)} | {quality['kl_divergence']:.5f} | "
               f"{100 * quality['same_top1']:.2f}% | {quality['perplexity']:.3f} ± {quality['perplexity_stderr']:.3f} |")


def bench_positions():
    """Values in a cache of SmolLM2 for 8,192 tokens: 30 layers, keys and values of 3 heads of 64."""
    return 8192 * 30 * 2 * 3 * 64


PARTS = {"context": context, "batch": batch, "threads": threads, "size": size, "cache": cache}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("part", nargs="*", help=f"all where none is named: {', '.join(PARTS)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.part) - set(PARTS):
        parser.error(f"{', '.join(sorted(unknown))}: unknown part; there are {', '.join(PARTS)}")
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown CPU")
    revision = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True)
    print(f"{datetime.date.today().isoformat()}, {cpu}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; "
          f"qad {revision.stdout.strip()}, median of {arguments.repetitions} repetitions in a process.\n")
    for name, part in PARTS.items():
        if arguments.part and name not in arguments.part:
            continue
        print(f"**{name}**\n\n" + "\n".join(part(arguments.repetitions)) + "\n", flush=True)


if __name__ == "__main__":
    main()
