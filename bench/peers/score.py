"""Scoring: `qad eval` beside transformers' batched generation, on the same items, weights (bf16), prompts and decoder, in turn.

    ~/.cache/qad/venv/bin/python bench/peers/score.py [--items 48] [--rounds 3] [--batch 8] [--threads N]

Needs the environment of scripts/interop and a release build. Items are the first of each kind of examples/helpdesk's eval.jsonl (tickets, facts,
refusals in turn), zero-shot, greedy, 48 new tokens at most. transformers pads on the left, sorts by length as its users do, and only generates; qad
also measures the reference answer's likelihood, scores every metric and writes each batch to disk. qad's seconds are the row
`evaluation_seconds`, the loading of the model among them; transformers' model is loaded before. Prompts must have the same number of tokens on both sides, or nothing is shown.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench" / "peers"))
import run as peers  # noqa: E402

QAD = ROOT / "build" / "release" / "qad"
HELPDESK = ROOT / "examples" / "helpdesk"
NEW_TOKENS = 48
KINDS = ("behaviour", "facts", "unanswerable")


def chosen(count):
    items = [json.loads(line) for line in (HELPDESK / "data" / "eval.jsonl").read_text().splitlines()]
    kinds = [[item for item in items if item["slice"].startswith(kind)] for kind in KINDS]
    return [kinds[i % len(KINDS)][i // len(KINDS)] for i in range(count)]


def system_prompt():
    import yaml
    return yaml.safe_load((HELPDESK / "config.yaml").read_text())["data"]["system_prompt"]


def ours(items, threads):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "eval.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
        (folder / "train.jsonl").write_text('{"prompt": "Is fire hot?", "completion": "Yes"}\n')
        (folder / "config.yaml").write_text(json.dumps({
            "model": str(peers.SMOLLM2), "data": {"train": "train.jsonl", "eval": "eval.jsonl", "system_prompt": system_prompt()},
            "arms": ["base"], "eval": {"max_new_tokens": NEW_TOKENS, "repetitions": 1, "bootstrap": 100}}))
        subprocess.run([QAD, "eval", "--config", folder / "config.yaml", "--json", "--threads", str(threads)],
                       stdout=subprocess.DEVNULL, check=True)
        rows = json.loads((folder / "outputs" / "results.json").read_text())["rows"]
        samples = [json.loads(line) for line in (folder / "outputs" / "samples" / "base.jsonl").read_text().splitlines()]
    seconds = next(row["value"] for row in rows if row["metric"] == "evaluation_seconds" and row["arm"] == "base")
    return seconds, {sample["item"]: (sample["prompt_tokens"], sample["output_tokens"]) for sample in samples}


class Theirs:
    def __init__(self, threads, batch):
        import torch
        from transformers import AutoTokenizer
        torch.set_num_threads(threads)
        folder = peers.smollm2_folder()
        self.batch = batch
        self.model = peers.transformers_model(folder, "bfloat16")
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.tokenizer.pad_token = self.tokenizer.pad_token or self.tokenizer.eos_token

    def prompts(self, items):
        for item in items:
            messages = [{"role": "system", "content": item.get("system") or system_prompt()},
                        {"role": "user", "content": item["prompt"]}]
            yield self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def run(self, items):
        import torch
        start, counts = time.perf_counter(), {}
        texts = sorted(zip(self.prompts(items), (item["id"] for item in items)), key=lambda pair: len(pair[0]))
        for at in range(0, len(texts), self.batch):
            some = texts[at:at + self.batch]
            encoded = self.tokenizer([text for text, _ in some], return_tensors="pt", padding=True, add_special_tokens=False)
            with torch.inference_mode():
                out = self.model.generate(**encoded, max_new_tokens=NEW_TOKENS, do_sample=False,
                                          pad_token_id=self.tokenizer.pad_token_id)
            width = encoded["input_ids"].shape[1]
            for i, (_, item) in enumerate(some):
                self.tokenizer.decode(out[i, width:], skip_special_tokens=True)
                counts[item] = int(encoded["attention_mask"][i].sum())
        return time.perf_counter() - start, counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    items = chosen(options.items)
    theirs = Theirs(options.threads, options.batch)
    theirs.run(items[:options.batch])  # untimed
    pairs = []
    for _ in range(options.rounds):
        seconds, counted = ours(items, options.threads)
        other, tokens = theirs.run(items)
        wrong = [item for item, count in tokens.items() if counted[item][0] != count]
        if wrong:
            sys.exit(f"prompts differ: {wrong[:3]}: {[(counted[i][0], tokens[i]) for i in wrong[:3]]}")
        pairs.append((seconds, other))
    mine, other = (statistics.median(side) for side in zip(*pairs))
    print(f"{platform.processor() or platform.machine()}, {options.threads} threads, {datetime.date.today()}, {options.items} items, "
          f"transformers with batch {options.batch}\n")
    print("| items per second, qad | transformers | ratio (median of pairs) |\n|---|---|---|")
    print(f"| {options.items / mine:.2f} | {options.items / other:.2f} | {statistics.median(b / a for a, b in pairs):.2f} |")


if __name__ == "__main__":
    main()
