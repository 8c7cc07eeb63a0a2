"""LoRA training beside PEFT in one run: r=8 on all linears, AdamW, B sequences × T tokens of text, sides taking turns.

    scripts/interop once, then  ~/.cache/qad/venv/bin/python bench/peers/train_peft.py [--rounds 3] [--threads N]

Every side is a process of its own, for its peak memory: qad exact (f32) and PEFT in f32, qad fast and PEFT in bf16 (autocast
with f32 adapters). All train on the same ids from the same base, dequantized from the demonstration model's GGUF, so the
first losses must agree. Shown are medians (least–largest) and ratios; exit code 1 where a first loss differs.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from run import CACHE, ROOT, SMOLLM2, machine, smollm2_folder

TRAIN = ROOT / "build" / "release" / "bench" / "train"
LICENCES = [pathlib.Path("/usr/share/common-licenses") / name
            for name in ("GPL-3", "LGPL-2.1", "MPL-2.0", "Apache-2.0", "GFDL-1.3")]


def train_with_peft(arguments):
    """The child process: one side's figures as JSON."""
    import resource

    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    bf16 = arguments.peft == "bf16"
    model = AutoModelForCausalLM.from_pretrained(smollm2_folder(), dtype=torch.bfloat16 if bf16 else torch.float32)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=targets,
                                             task_type="CAUSAL_LM"))
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(trainable, lr=1e-3)
    model.train()
    ids = torch.tensor(json.loads(pathlib.Path(arguments.ids).read_text()))
    losses = []
    for step in range(1 + arguments.steps):
        if step == 1:
            began, cpu_began = time.perf_counter(), time.process_time()
        first = step * arguments.batch * arguments.length
        batch = ids[first:first + arguments.batch * arguments.length].view(arguments.batch, arguments.length)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    seconds = time.perf_counter() - began
    cpu_seconds = time.process_time() - cpu_began
    print(json.dumps({"cpu_seconds": cpu_seconds,  # of all threads: fairer than the clock on a busy machine
                      "tokens_per_second": arguments.steps * arguments.batch * arguments.length / seconds,
                      "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "losses": losses}))


def first_loss(runs):
    """Of the untouched base: B is zero."""
    return runs[0]["losses"][0]


def sides(arguments, ids):
    shape = ["--ids", ids, "--steps", arguments.steps, "--batch", arguments.batch, "--length", arguments.length,
             "--threads", arguments.threads]
    return {"qad f32": [TRAIN, SMOLLM2, "--exact", "--weights", "f32", *shape],
            "PEFT f32": [sys.executable, __file__, "--peft", "f32", *shape],
            "qad bf16": [TRAIN, SMOLLM2, "--weights", "bf16", *shape],
            "PEFT bf16": [sys.executable, __file__, "--peft", "bf16", *shape]}


def write_ids(path, count):
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(smollm2_folder())
    ids = tokenizer("".join(licence.read_text() for licence in LICENCES))["input_ids"]
    assert len(ids) >= count, f"the licences have {len(ids)} tokens, {count} are wanted"
    path.write_text(json.dumps(ids[:count]))


def measure(arguments):
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        ids = pathlib.Path(folder) / "ids.json"
        write_ids(ids, (1 + arguments.steps) * arguments.batch * arguments.length)
        for _ in range(arguments.rounds):
            for name, command in sides(arguments, ids).items():
                done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, check=True)
                figures.setdefault(name, []).append(json.loads(done.stdout))
    return figures


def show(runs, key, scale=1.0):
    values = [run[key] / scale for run in runs]
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})"


def ratio(figures, ours, theirs, key):
    return (statistics.median(run[key] for run in figures[ours]) / statistics.median(run[key] for run in figures[theirs]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=pathlib.Path, help="JSON file")
    parser.add_argument("--peft", choices=["f32", "bf16"], help=argparse.SUPPRESS)
    parser.add_argument("--ids", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peft:
        return train_with_peft(arguments)

    about = machine(arguments.threads)
    figures = measure(arguments)
    print(f"{about['date']}, {about['cpu']}, {about['threads']} threads of {about['cores']}, load {about['load']:.1f} before; "
          f"{arguments.batch} × {arguments.length} tokens a step, {arguments.steps} steps, {arguments.rounds} rounds.\n")
    print("| side | tok/s | CPU, ms a step | peak RSS, MB | first loss |\n|---|---|---|---|---|")
    for name, runs in figures.items():
        print(f"| {name} | {show(runs, 'tokens_per_second')} | {show(runs, 'cpu_seconds', arguments.steps / 1e3)} | {show(runs, 'peak_rss_bytes', 1e6)} | {first_loss(runs):.4f} |")
    for ours, theirs in (("qad f32", "PEFT f32"), ("qad bf16", "PEFT f32"), ("qad bf16", "PEFT bf16")):
        print(f"\n{ours} ÷ {theirs}: {ratio(figures, ours, theirs, 'tokens_per_second'):.2f}× tok/s, "
              f"{ratio(figures, ours, theirs, 'peak_rss_bytes'):.2f}× peak memory", end="")
    print()
    if arguments.output:
        arguments.output.write_text(json.dumps({"machine": about, "runs": figures}, indent=2) + "\n")
    for kind, tolerance in (("f32", 1e-4), ("bf16", 1e-2)):  # relative; 8 bits of bf16 are 4e-3, over many sums
        ours, theirs = (first_loss(figures[f"{side} {kind}"]) for side in ("qad", "PEFT"))
        if not abs(ours - theirs) <= tolerance * theirs:
            sys.exit(f"the first losses differ in {kind}: {ours} and {theirs}")


if __name__ == "__main__":
    main()
