"""The automatic allocation beside llama.cpp's file types of the same size, all with the same calibration text.

    ~/.cache/qad/venv/bin/python bench/quantize/auto.py [--types Q2_K,Q4_0 …] [--base smollm2|twin] [--threads N]

Needs what bench/peers/run.py needs. llama.cpp makes each type with an importance matrix (qad's, on the calibration
text); qad makes the same type with error feedback, and by `--method auto` the best file that is not larger. All are
scored as in gguf_types.py, on text that nobody calibrated with.
"""

import argparse
import datetime
import os
import platform

import gguf_types as common
import llama_cpp_peer

TYPES = "Q2_K,Q4_0,Q3_K_M,Q4_1,Q4_K_S,Q5_0,Q4_K_M,Q5_K_M"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--types", default=TYPES)
    parser.add_argument("--base", choices=["smollm2", "twin"], default="twin")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    folder = common.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    calibration, held_out = common.texts()
    base, f32, imatrix = common.prepare(options.base, calibration)

    theirs = {}
    for name in options.types.split(","):
        path = folder / f"theirs-{name}.gguf"
        llama_cpp_peer.quantize(f32, path, name.lower(), imatrix, options.threads)
        theirs[name] = (path.stat().st_size, common.score(path, base, held_out)["kl_divergence"])

    print(f"{options.base}, {platform.processor() or platform.machine()}, {options.threads} threads, "
          f"{datetime.date.today()}\n")
    print("| type | bytes | KL, llama.cpp | KL, its best file that is not larger | KL, ours with error feedback | "
          "bytes, auto | KL, auto | estimated | seconds | auto / best of llama.cpp |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, (size, divergence) in theirs.items():
        best = min(kl for bytes_, kl in theirs.values() if bytes_ <= size)
        solved, allocated = folder / "ours-feedback.gguf", folder / "ours-auto.gguf"
        common.qad("quantize", f32, "--method", "gguf", "--type", name, "--calibration", calibration,
                   "--error-feedback", "--output", solved, "--threads", options.threads)
        made = common.qad("quantize", f32, "--method", "auto", "--budget", size, "--calibration", calibration,
                          "--output", allocated, "--threads", options.threads)
        ours = [common.score(path, base, held_out)["kl_divergence"] for path in (solved, allocated)]
        print(f"| {name} | {size:,} | {divergence:.4f} | {best:.4f} | {ours[0]:.4f} | {made['bytes']:,} | "
              f"{ours[1]:.4f} | {made['estimated_kl_divergence']:.4f} | {made['seconds']:.0f} | {ours[1] / best:.2f} |",
              flush=True)


if __name__ == "__main__":
    main()
