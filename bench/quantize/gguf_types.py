"""Files of qad's quantizers beside those of llama.cpp's, of the same type: size, seconds, KL divergence.

    ~/.cache/qad/venv/bin/python bench/quantize/gguf_types.py [--types Q4_0,Q4_K_M …] [--base smollm2|twin] [--their-score] [--threads N]

Needs what bench/peers/run.py needs. Both make each type from the same f32 GGUF, without and with an importance matrix
(qad's, on the first 60,000 characters of the licences in /usr/share/common-licenses; llama.cpp gets the same one), in
turn. All files are scored by `qad perplexity` against f32 on the last 17,000 characters by llama-perplexity's protocol;
--their-score scores them by llama.cpp as well. `twin` is the off-grid twin (bench/quantize/off_grid.py), where no format starts with an
advantage.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench" / "peers"))
import llama_cpp_peer  # noqa: E402
import run as peers  # noqa: E402

FOLDER = peers.CACHE / "peers" / "quantize"
QAD = ROOT / "build" / "release" / "qad"
TYPES = ["Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0", "IQ4_NL", "Q3_K_L",
         "Q3_K_M", "Q3_K_S", "Q2_K"]
ROUNDS = 3  # of making a file; medians are shown
LICENCES = ["GPL-3", "LGPL-2.1", "MPL-2.0", "Apache-2.0", "GFDL-1.3"]


def qad(*arguments):
    done = subprocess.run([str(QAD), *map(str, arguments), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit(done.stderr.decode())
    return json.loads(done.stdout)


def texts():
    """Calibration and held-out text, no character in both."""
    whole = "".join((pathlib.Path("/usr/share/common-licenses") / name).read_text() for name in LICENCES)
    calibration, held_out = FOLDER / "calibration.txt", FOLDER / "held-out.txt"
    calibration.write_text(whole[:60_000])
    held_out.write_text(whole[-17_000:])
    return calibration, held_out


def base_folder(name):
    """A folder in f32 with the tokenizer that the GGUF says (transformers writes another pre-tokenizer)."""
    folder = FOLDER / f"{name}-f32"
    if folder.exists():
        return folder
    source = peers.smollm2_folder()
    unfinished = FOLDER / f"{name}-made"
    shutil.rmtree(unfinished, ignore_errors=True)
    if name == "twin":
        subprocess.run([sys.executable, ROOT / "bench" / "quantize" / "off_grid.py", source, unfinished], check=True)
    else:
        shutil.copytree(source, unfinished)
    int8 = FOLDER / "tokenizer"
    qad("quantize", peers.SMOLLM2, "--method", "int8", "--output", int8)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(int8 / file, unfinished)
    unfinished.rename(folder)
    return folder


def prepare(name, calibration):
    """The base as a folder and as a GGUF in f32, and an importance matrix."""
    base = base_folder(name)
    f32, imatrix = FOLDER / f"{name}-f32.gguf", FOLDER / f"{name}.imatrix"
    qad("quantize", base, "--method", "gguf", "--type", "F32", "--output", f32)
    qad("quantize", base, "--method", "gguf", "--type", "Q8_0", "--output", FOLDER / "unused.gguf", "--calibration",
        calibration, "--save-imatrix", imatrix)
    return base, f32, imatrix


def score(path, base, held_out):
    return qad("perplexity", path, "--reference", base, "--reference-format", "f32", "--file", held_out, "--protocol",
               "llama.cpp", "--exact")


def their_score(path, f32, held_out, threads):
    """The same by llama.cpp itself."""
    ids = subprocess.run([QAD, "tokenize", f32, "--file", held_out], stdout=subprocess.PIPE, text=True,
                         check=True).stdout.split()
    windows = [[int(token) for token in ids[at:at + 512]] for at in range(0, len(ids) - 511, 512)]
    return llama_cpp_peer.divergence(path, f32, threads, windows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("--base", choices=["smollm2", "twin"], default="twin")
    parser.add_argument("--their-score", action="store_true")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    calibration, held_out = texts()
    base, f32, imatrix = prepare(options.base, calibration)
    print(f"{options.base}, {platform.processor() or platform.machine()}, {options.threads} threads, "
          f"{datetime.date.today()}\n")
    scored = " KL by llama.cpp, ours | KL by llama.cpp, llama.cpp | ratio |" if options.their_score else ""
    print("| type | importance | bytes, ours | bytes, llama.cpp | seconds, ours | seconds, llama.cpp | KL in f32, ours | "
          f"KL in f32, llama.cpp | ratio |{scored}")
    print("|---" * (12 if scored else 9) + "|")
    for name in options.types.split(","):
        for importance in (False, True):
            if importance and name in ("Q8_0", "F16"):
                continue
            ours, theirs = FOLDER / f"ours-{name}.gguf", FOLDER / f"theirs-{name}.gguf"
            flags = ["--imatrix", imatrix] if importance else []
            pairs = [(qad("quantize", f32, "--method", "gguf", "--type", name, "--output", ours, "--threads",
                          options.threads, *flags)["seconds"],
                      llama_cpp_peer.quantize(f32, theirs, name.lower(), imatrix if importance else None, options.threads))
                     for _ in range(ROUNDS)]
            made, seconds = (statistics.median(side) for side in zip(*pairs))
            a, b = (score(path, base, held_out)["kl_divergence"] for path in (ours, theirs))
            line = (f"| {name} | {'yes' if importance else 'no'} | {ours.stat().st_size:,} | {theirs.stat().st_size:,} | "
                    f"{made:.2f} | {seconds:.2f} | {a:.4f} | {b:.4f} | {a / b:.2f} |")
            if options.their_score:
                a, b = (their_score(path, f32, held_out, options.threads) for path in (ours, theirs))
                line += f" {a:.4f} | {b:.4f} | {a / b:.2f} |"
            print(line, flush=True)


if __name__ == "__main__":
    main()
