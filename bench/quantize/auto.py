"""The automatic allocation beside llama.cpp's file types of the same size, all with the same calibration text.

    ~/.cache/qad/venv/bin/python bench/quantize/auto.py [--types Q2_K,Q4_0 …] [--base smollm2|twin] [--their-score] [--threads N]

Needs what bench/peers/run.py needs. llama.cpp makes each type with an importance matrix (qad's, on the calibration
text); qad makes the same type with error feedback, and by `--method auto` the best file that is not larger. All are
scored as in gguf_types.py, on text that nobody calibrated with; --their-score has llama.cpp score them as well.
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
    parser.add_argument("--their-score", action="store_true")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    folder = common.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    calibration, held_out = common.texts()
    base, f32, imatrix = common.prepare(options.base, calibration)

    def scores(path):
        ours = common.score(path, base, held_out)["kl_divergence"]
        return [ours] + ([common.their_score(path, f32, held_out, options.threads)] if options.their_score else [])

    theirs = {}
    for name in options.types.split(","):
        path = folder / f"theirs-{name}.gguf"
        llama_cpp_peer.quantize(f32, path, name.lower(), imatrix, options.threads)
        theirs[name] = (path.stat().st_size, scores(path))

    print(f"{options.base}, {platform.processor() or platform.machine()}, {options.threads} threads, "
          f"{datetime.date.today()}\n")
    judges = ["in f32", "by llama.cpp"][:1 + options.their_score]
    columns = ["type", "bytes", "bytes, auto", "estimated", "seconds"]
    for judge in judges:
        columns += [f"KL {judge}, llama.cpp", "its best file that is not larger", "ours with error feedback", "auto",
                    "auto / best of llama.cpp"]
    print(f"| {' | '.join(columns)} |")
    print("|---" * len(columns) + "|")
    for name, (size, divergences) in theirs.items():
        solved, allocated = folder / "ours-feedback.gguf", folder / "ours-auto.gguf"
        common.qad("quantize", f32, "--method", "gguf", "--type", name, "--calibration", calibration,
                   "--error-feedback", "--output", solved, "--threads", options.threads)
        made = common.qad("quantize", f32, "--method", "auto", "--budget", size, "--calibration", calibration,
                          "--output", allocated, "--threads", options.threads)
        cells = [name, f"{size:,}", f"{made['bytes']:,}", f"{made['estimated_kl_divergence']:.4f}", f"{made['seconds']:.0f}"]
        for judge, (of_solved, of_auto) in enumerate(zip(scores(solved), scores(allocated))):
            best = min(kls[judge] for bytes_, kls in theirs.values() if bytes_ <= size)
            cells += [f"{divergences[judge]:.4f}", f"{best:.4f}", f"{of_solved:.4f}", f"{of_auto:.4f}",
                      f"{of_auto / best:.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
