"""Each kernel against what the machine can do, in one process and one thread: bench_micro as a Markdown table.

    ninja -C build/release bench_micro   then   python3 bench/kernels.py [--rounds 5] [--target AVX2]

One row of activations streams the weights from memory, so its ceiling is reading; many rows are bound by arithmetic,
whose ceilings are dense products on operands in the cache: of int8 by oneDNN, of bf16 by our own kernel where the CPU has
it, else of f32. Kernels of a target that has no instruction for it are compared with the same.
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
MICRO = ROOT / "build" / "release" / "bench" / "bench_micro"


def measure(rounds, target):
    """Medians of (bytes, operations, int8 operations of a ceiling) a second by name."""
    pattern = f"^ceiling/|/{target}/" if target else "."
    command = [str(MICRO), f"--benchmark_filter={pattern}", "--benchmark_format=json", f"--benchmark_repetitions={rounds}",
               "--benchmark_min_time=0.1", "--benchmark_enable_random_interleaving=true"]
    limit = {"QAD_ISA": target} if target else {}  # of oneDNN's ceilings, too
    report = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ | limit).stdout)
    runs = collections.defaultdict(list)
    for run in report["benchmarks"]:
        if run["run_type"] == "iteration":
            runs[run["run_name"].removesuffix("/iterations:1")].append(run)
    median = statistics.median
    return {name: (median(run.get("bytes_per_second", 1e9 * run.get("GB/s", 0)) for run in of),
                   median(run["GFLOP/s"] for run in of), median(run.get("int8 GFLOP/s", 0) for run in of))
            for name, of in runs.items()}


def cells(value, ceiling):
    return f"{value / 1e9:,.1f}", f"{100 * value / ceiling:.0f}%"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--target", help="of one SIMD target alone")
    arguments = parser.parse_args()
    rates = measure(arguments.rounds, arguments.target)
    if all(name.startswith("ceiling/") for name in rates):
        parser.error(f"--target {arguments.target}: this CPU or build has no such target")
    dense = "bf16" if "ceiling/bf16" in rates else "f32"
    reading, products, integers = rates[f"ceiling/{dense}"]
    print(f"{datetime.date.today()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; median of {arguments.rounds} "
          f"rounds, one thread. Ceilings: reading {reading / 1e9:.1f} GB/s; products in int8 {integers / 1e9:.0f}, in "
          f"{dense} {products / 1e9:.0f} GFLOP/s.\n")
    kernels = collections.defaultdict(dict)
    for name, rate in rates.items():
        if not name.startswith("ceiling/"):
            layout, product, target, rows = name.split("/")
            kernels[layout, target][product, rows] = rate
    columns = [column for column in (("1 row, int8: GB/s | of reading", "int8 activations", "rows:1", 0, reading),
                                     ("1 row, f32: GB/s | of reading", "exact", "rows:1", 0, reading),
                                     ("attention behind 8,192: GB/s | of reading", "attention", "rows:1", 0, reading),
                                     ("256 rows, int8: GFLOP/s | of int8", "int8 activations", "rows:256", 1, integers),
                                     ("256 rows, bf16: GFLOP/s | of bf16", "bf16 panels", "rows:256", 1, products))
               if any(column[1:3] in of for of in kernels.values())]
    print("| layout | target | " + " | ".join(column[0] for column in columns) + " |")
    print("|---|---|" + "--:|--:|" * len(columns))
    for (layout, target), of in sorted(kernels.items()):
        row = [layout, target]
        for _, product, rows, which, ceiling in columns:
            row += cells(of[product, rows][which], ceiling) if (product, rows) in of else ("–", "–")
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
