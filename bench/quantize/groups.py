"""4-bit groups of 64 by qad's GPTQ and AWQ beside GPTQModel's: seconds, memory, distance from f32.

    ~/.cache/qad/venv-peers/bin/python bench/quantize/groups.py [--base smollm2|twin] [--peers gptq,awq] [--threads N]

Calibration for all: 32 pieces of 2,000 characters from the beginning of the licences in /usr/share/common-licenses, cut at
512 tokens. Scored by `qad perplexity --exact` against f32 on the last 8 × 512 tokens of the same text, every position.
`scripts/interop --all` makes the environment; bench/quantize/gguf_types.py makes the models.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench" / "quantize"))
import gguf_types as common  # noqa: E402

PEER = """
import os, sys
os.cpu_count = lambda: 8  # it refuses fewer cores' worth of workers
import json, pathlib, time
import torch
torch.set_num_threads(int(sys.argv[4]))
from gptqmodel import GPTQModel, QuantizeConfig
from gptqmodel.quantization import FORMAT, METHOD
settings = {"gptq": dict(sym=True, desc_act=False),
            "awq": dict(sym=False, quant_method=METHOD.AWQ, format=FORMAT.GEMM)}[sys.argv[5]]
texts = [json.loads(line)["text"] for line in open(sys.argv[3])]
model = GPTQModel.load(sys.argv[1], QuantizeConfig(bits=4, group_size=64, **settings), device="cpu")
began = time.perf_counter()
model.quantize(texts, batch_size=1)
seconds = time.perf_counter() - began
model.save(sys.argv[2])
status = pathlib.Path("/proc/self/status").read_text()  # ru_maxrss would begin with that of this script
rss = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
print("RESULT", json.dumps({"seconds": seconds, "rss": rss}))
"""
WORKS = {"GPTQ": ["gptq"], "GPTQ, as the inputs lie": ["gptq", "--no-act-order"],
         "GPTQ, with zeros": ["gptq", "--asymmetric"], "AWQ": ["awq"], "AWQ, then GPTQ": ["awq-gptq"], "rounding": ["rtn"]}


def texts(base):
    whole = "".join((pathlib.Path("/usr/share/common-licenses") / name).read_text() for name in common.LICENCES)
    calibration, held_out = common.FOLDER / "pieces.jsonl", common.FOLDER / "last-tokens.txt"
    calibration.write_text("".join(json.dumps({"text": whole[at:at + 2000]}) + "\n" for at in range(0, 64000, 2000)))
    from tokenizers import Tokenizer
    encoded = Tokenizer.from_file(str(base / "tokenizer.json")).encode(whole, add_special_tokens=False)
    held_out.write_text(whole[encoded.offsets[-8 * 512][0]:])
    return calibration, held_out


def row(name, seconds, rss, path, base, held_out):
    score = common.qad("perplexity", path, "--reference", base, "--reference-format", "f32", "--file", held_out, "--exact")
    weights = (path / "model.safetensors").stat().st_size
    print(f"| {name} | {weights:,} | {seconds:.1f} | {rss / 2**20:,.0f} | {score['perplexity']:.2f} | "
          f"{score['kl_divergence']:.4f} ± {score['kl_divergence_stderr']:.4f} | {100 * score['same_top1']:.1f}% |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", choices=["smollm2", "twin"], default="twin")
    parser.add_argument("--peers", default="gptq,awq", help="what GPTQModel makes; minutes each")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    common.FOLDER.mkdir(parents=True, exist_ok=True)
    base = common.base_folder(options.base)
    calibration, held_out = texts(base)
    print(f"{options.base}, {platform.processor() or platform.machine()}, {options.threads} threads, "
          f"{datetime.date.today()}\n")
    print("| method | bytes | seconds | peak MiB | perplexity | KL divergence | same top-1 |")
    print("|---|---|---|---|---|---|---|")
    for name, flags in WORKS.items():
        place = common.FOLDER / f"groups-{list(WORKS).index(name)}"
        made = common.qad("quantize", base, "--output", place, "--calibration", calibration, "--threads", options.threads,
                          "--method", *flags)
        row(f"qad: {name}", made["seconds"], made["peak_rss_bytes"], place, base, held_out)
    for method in filter(None, options.peers.split(",")):
        place = common.FOLDER / f"groups-gptqmodel-{method}"
        done = subprocess.run([sys.executable, "-c", PEER, base, place, calibration, str(options.threads), method],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        result = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        if not result:
            sys.exit(done.stdout)
        result = json.loads(result[0].removeprefix("RESULT "))
        row(f"GPTQModel 7.7: {method}", result["seconds"], result["rss"], place, base, held_out)


if __name__ == "__main__":
    main()
