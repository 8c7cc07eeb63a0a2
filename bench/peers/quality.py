"""Quality of training: LoRA and QLoRA by qad and by PEFT, on the same helpdesk items, settings and steps, judged alike.

    nice ~/.cache/qad/venv-peers/bin/python bench/peers/quality.py [--seeds 0 1 2] [--kinds lora qlora] [--threads N] [--output FILE]

Settings are those of examples/helpdesk/config.yaml, but that the last step's adapter is kept: one has to be, on both sides. PEFT gets
the tokens that qad's rules make of an item, qad's batch size, schedule, clipping and AdamW; the gradient is the mean's over the supervised
tokens of a step. The order of the items, the masks of dropout and the initial A are each side's own. LoRA is on the base in bf16, in
autocast with f32 adapters; QLoRA on the NF4 folder that qad made, multiplied in bf16. Both adapters are judged by PEFT, in f32: mean
−log p of the supervised tokens of dev.jsonl. Needs a release build.

Beforehand both must be seen to do the same work: qad finds as many training tokens as are given to PEFT; losses of the untrained base in
f32 are the same, on train.jsonl and on dev.jsonl, to 1e-4; and so are the losses of eight steps in f32 over the same eight items, from
the same initial A and without dropout. What is left between the two are numerics and chance.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import sys
import tempfile
from dataclasses import dataclass
from typing import Callable

import run as peers
import torch
import yaml
from torch.nn.functional import cross_entropy
from train_peft import TARGETS, LoraConfig, get_peft_model  # makes peft fit to be imported
from peft import PeftModel  # noqa: I001
from transformers import AutoModelForCausalLM, AutoTokenizer, get_cosine_schedule_with_warmup

HELPDESK = peers.ROOT / "examples" / "helpdesk"
CONFIG = yaml.safe_load((HELPDESK / "config.yaml").read_text())
LORA, TRAIN = CONFIG["lora"], CONFIG["train"]
CLIP = 1.0         # qad's default, as AdamW without weight decay is
PASS = 4           # items of one forward pass of PEFT
TARGET = 1.01      # of the means' ratio
TOLERANCE = 1e-4   # relative, of losses in f32: sums in another order
STEPS = 8          # of the check; of as many items, all of them in every step


@dataclass
class Kind:
    title: str
    model: Callable    # what qad trains on …
    base: str          # … in the words of its configuration
    folder: Callable   # what PEFT trains on


KINDS = {"lora": Kind("LoRA on bf16", lambda: peers.SMOLLM2, "base", peers.smollm2_folder),
         "qlora": Kind("QLoRA on NF4", peers.nf4_folder, "gguf", peers.nf4_folder)}


# ---------------------------------------------------------------------------------------------------------------------
# qad


def train_qad(kind, folder, threads, seed, **settings):
    """Trains into `folder`; what `qad train` says of it, with the tokens that it saw, and the adapter's folder."""
    data = {name: str(HELPDESK / CONFIG["data"][name]) for name in ("train", "dev", "eval")}
    data |= {name: CONFIG["data"][name] for name in ("system_prompt", "max_length")}
    folder.mkdir()
    (folder / "config.yaml").write_text(json.dumps({
        "model": str(kind.model()), "seed": seed, "data": data, "lora": LORA, "train": TRAIN,
        "adapters": {"trained": {"base": kind.base, "keep": "last"} | settings}, "arms": ["trained"]}))
    said = peers.qad_json(threads, "train", "--config", folder / "config.yaml")
    rows = json.loads((folder / "outputs" / "cache" / "train--trained.json").read_text())["rows"]
    said["tokens"], = (row["n"] for row in rows if row["metric"] == "tokens_per_second")
    return said, pathlib.Path(said["adapter"])


# ---------------------------------------------------------------------------------------------------------------------
# PEFT


def examples(name):
    """(tokens, how many of them at the end are supervised) of each item, as docs/adapt.md says."""
    tokenizer = AutoTokenizer.from_pretrained(peers.smollm2_folder())

    def ids(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    found = []
    for line in (HELPDESK / CONFIG["data"][name]).read_text().splitlines():
        item = json.loads(line)
        messages = [{"role": "system", "content": item.get("system", CONFIG["data"]["system_prompt"])},
                    {"role": "user", "content": item["prompt"]}]
        prompt = ids(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        answer = ids(item["completion"]) + [tokenizer.eos_token_id]  # which ends the turn, too
        found.append((prompt + answer, len(answer)))
    return found


def summed_loss(model, items):
    """Σ −log p over the supervised tokens. Padded on the right, where causal attention needs no mask."""
    length = max(len(tokens) for tokens, _ in items)
    ids = torch.tensor([tokens + [0] * (length - len(tokens)) for tokens, _ in items])
    at = torch.tensor([(row, place) for row, (tokens, supervised) in enumerate(items)
                       for place in range(len(tokens) - supervised, len(tokens))])
    causal = model.get_base_model()
    hidden = causal.model(input_ids=ids).last_hidden_state[at[:, 0], at[:, 1] - 1]
    return cross_entropy(causal.lm_head(hidden).float(), ids[at[:, 0], at[:, 1]], reduction="sum")


def passes(items):
    items = sorted(items, key=lambda item: len(item[0]))
    return [items[at:at + PASS] for at in range(0, len(items), PASS)]


def supervised(items):
    return sum(count for _, count in items)


def adapted(source):
    """The base as it is trained on, with a new adapter."""
    base = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16)
    config = LoraConfig(r=LORA["r"], lora_alpha=LORA["alpha"], lora_dropout=LORA["dropout"], target_modules=TARGETS,
                        task_type="CAUSAL_LM")
    return get_peft_model(base, config)


def in_f32(source, adapter, trainable=False):
    """The same weights, decoded, to be multiplied in f32, with the adapter of a folder."""
    base = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16)
    if hasattr(base.config, "quantization_config"):
        for parameter in base.parameters():
            if hasattr(parameter, "quant_state"):
                parameter.quant_state.dtype = torch.float32  # to be decoded in
        base = base.dequantize(dtype=torch.float32)
    return PeftModel.from_pretrained(base.float(), adapter, is_trainable=trainable)


def train_peft(model, items, epochs, bf16):
    """The losses of the steps."""
    model.train()
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(parameter.dtype == torch.float32 for parameter in trainable)
    optimizer = torch.optim.AdamW(trainable, lr=TRAIN["learning_rate"], weight_decay=0)
    size = TRAIN["batch_size"]
    steps = epochs * math.ceil(len(items) / size)
    schedule = get_cosine_schedule_with_warmup(optimizer, math.ceil(TRAIN["warmup_ratio"] * steps), steps)
    losses = []
    for _ in range(epochs):
        order = torch.randperm(len(items)).tolist()
        for at in range(0, len(items), size):
            batch = [items[i] for i in order[at:at + size]]
            total = 0
            for some in passes(batch):
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                    loss = summed_loss(model, some) / supervised(batch)
                loss.backward()
                total += loss.item()
            torch.nn.utils.clip_grad_norm_(trainable, CLIP)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(total)
    return losses


def judged(source, adapter, items):
    """Mean −log p of the supervised tokens."""
    model = in_f32(source, adapter).eval()
    with torch.inference_mode():
        return sum(summed_loss(model, some).item() for some in passes(items)) / supervised(items)


# ---------------------------------------------------------------------------------------------------------------------


def require_equal(what, ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        if not abs(mine - other) <= TOLERANCE * other:
            sys.exit(f"{what} differ: {ours} and {theirs}")
    return {"qad": ours, "peft": theirs}


def check_untrained(kind, folder, threads, train, dev):
    """One step over everything at rate 0 leaves qad's adapter at B = 0."""
    said, adapter = train_qad(kind, folder, threads, 0, epochs=1, batch_size=len(train), numerics="exact")
    tokens = sum(len(ids) - 1 for ids, _ in train)  # the last one is only predicted
    if said["tokens"] != tokens or said["skipped_items"] or said["skipped_dev_items"]:
        sys.exit(f"qad trained on {said['tokens']} tokens and left out {said['skipped_items']} items; PEFT has {tokens} tokens")
    return require_equal(f"{kind.title}: losses of the untrained base on train and dev",
                         [said["losses"][0], said["validation_losses"][-1]],
                         [judged(kind.folder(), adapter, items) for items in (train, dev)])


def check_steps(kind, folder, threads, train):
    """Eight steps over the same items, from the same adapter."""
    folder.mkdir()
    lines = (HELPDESK / CONFIG["data"]["train"]).read_text().splitlines()
    few = range(0, len(lines), len(lines) // STEPS)[:STEPS]  # of every kind
    (folder / "few.jsonl").write_text("".join(lines[i] + "\n" for i in few))
    settings = dict(data=str(folder / "few.jsonl"), epochs=STEPS, numerics="exact", dropout=0.0)
    _, initial = train_qad(kind, folder / "initial", threads, 0, learning_rate=0.0, **settings)
    said, _ = train_qad(kind, folder / "trained", threads, 0, **settings)
    losses = train_peft(in_f32(kind.folder(), initial, trainable=True), [train[i] for i in few], STEPS, bf16=False)
    return require_equal(f"{kind.title}: losses of the same steps", said["losses"], losses)


def measure(kind, folder, threads, train, dev, seed):
    said, ours = train_qad(kind, folder / "ours", threads, seed)
    torch.manual_seed(seed)
    model = adapted(kind.folder())
    losses = train_peft(model, train, TRAIN["epochs"], bf16=True)
    model.save_pretrained(folder / "theirs")
    return {"seed": seed, "qad": judged(kind.folder(), ours, dev), "peft": judged(kind.folder(), folder / "theirs", dev),
            "qad_by_itself": said["validation_losses"][-1], "qad_losses": said["losses"], "peft_losses": losses}


def markdown(kinds):
    yield "| adapter | seed | qad | PEFT | ratio | target |"
    yield "|---|---|---|---|---|---|"
    for kind in kinds:
        for row in kind["rows"]:
            yield f"| {kind['title']} | {row['seed']} | {row['qad']:.4f} | {row['peft']:.4f} | | |"
        sides = [[row[side] for row in kind["rows"]] for side in ("qad", "peft")]
        means = [statistics.mean(side) for side in sides]
        ratio = means[0] / means[1]
        shown, error = [f"{mean:.4f}" for mean in means], ""
        if len(kind["rows"]) > 1:
            spreads = [statistics.stdev(side) for side in sides]
            shown = [f"{mean:.4f} ± {spread:.4f}" for mean, spread in zip(means, spreads)]
            relative = math.hypot(*(spread / mean for mean, spread in zip(means, spreads)))
            error = f" ± {ratio * relative / math.sqrt(len(kind['rows'])):.3f}"
        yield f"| {kind['title']} | mean ± standard deviation | {shown[0]} | {shown[1]} | {ratio:.3f}{error} | ≤ {TARGET} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--output", type=pathlib.Path, help="JSON file, written anew after each seed")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train, dev = examples("train"), examples("dev")
    kinds = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name in arguments.kinds:
            kind, rows = KINDS[name], []
            kinds.append({"title": kind.title, "rows": rows,
                          "untrained": check_untrained(kind, folder / name, arguments.threads, train, dev),
                          "steps": check_steps(kind, folder / f"{name}-steps", arguments.threads, train)})
            for seed in arguments.seeds:
                place = folder / f"{name}-{seed}"
                place.mkdir()
                rows.append(measure(kind, place, arguments.threads, train, dev, seed))
                print(f"{kind.title}, seed {seed}: qad {rows[-1]['qad']:.4f}, PEFT {rows[-1]['peft']:.4f}", file=sys.stderr, flush=True)
                if arguments.output:
                    arguments.output.write_text(json.dumps(
                        {"machine": peers.machine(arguments.threads, 1), "kinds": kinds}, indent=2) + "\n")
    print("\n".join(markdown(kinds)))


if __name__ == "__main__":
    main()
