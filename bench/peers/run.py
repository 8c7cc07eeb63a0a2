"""qad beside transformers, PEFT and llama.cpp, in one run on one machine.

    bench/peers/run [--rounds 5] [--threads N] [--output FILE] [WORK…]     (installs the peers, builds, and calls this)

Sides take turns (A B A B …), one figure per turn; shown are medians with the least and largest, and the ratio of the
medians. Prints a Markdown table for docs/performance.md, and writes the figures as JSON where --output says.
"""

import argparse
import dataclasses
import datetime
import functools
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Callable

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PEERS = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("QAD_CACHE", "~/.cache/qad")).expanduser()
SMOLLM2 = CACHE / "models" / "smollm2-135m-instruct.gguf"
TINY_GPT2 = CACHE / "models" / "tiny-gpt2"
PROMPT = "The capital of France is"
DEPTH = 512  # tokens that answers are decoded behind, beside llama.cpp


@dataclass
class Figure:
    """A row of the table: one number of what a work's two sides return."""
    title: str
    unit: str
    target: str                # of ours ÷ theirs for rates, of theirs ÷ ours for times and bytes
    key: str = ""              # of a side that returns several numbers; else it returns the number itself
    higher_is_better: bool = True
    ours_alone: bool = False   # a figure of ours that no peer has
    ours: list = field(default_factory=list)
    theirs: list = field(default_factory=list)

    def ratio(self):
        if self.ours_alone:
            return None
        ours, theirs = statistics.median(self.ours), statistics.median(self.theirs)
        return ours / theirs if self.higher_is_better else theirs / ours


@dataclass
class Work:
    peer: str
    ours: Callable
    theirs: Callable
    figures: list
    rounds: int = 0  # where one is enough: the result is always the same

    def measure(self, rounds):
        for _ in range(self.rounds or rounds):
            for side, run in (("ours", self.ours), ("theirs", self.theirs)):
                result = run()
                for figure in self.figures:
                    if side == "ours" or not figure.ours_alone:
                        getattr(figure, side).append(result[figure.key] if isinstance(result, dict) else result)


# ---------------------------------------------------------------------------------------------------------------------
# qad


def qad_json(threads, *arguments, program=ROOT / "build" / "release" / "qad"):
    command = [str(part) for part in (program, *arguments, "--json", "--threads", threads)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def qad_bench(threads, model, *flags):
    """Tokens per second of the one test that the flags ask for."""
    row, = qad_json(threads, "bench", model, "--repetitions", 1, "--no-ceilings", *flags)["rows"]
    return row["avg_ts"]


def qad_decode(threads, model, *flags):
    """Tokens per second, and the share of the read bandwidth that the same process measured on as large a buffer."""
    row, = qad_json(threads, "bench", model, "--repetitions", 1, "--prompt", 0, "--generate", 64, "--depth", DEPTH,
                    *flags)["rows"]
    return {"rate": row["avg_ts"], "share": 100 * row["gigabytes_per_second"] / row["ceiling_gigabytes_per_second"]}


def qad_batch(threads, model, *flags):
    """Tokens per second of eight sequences at once, and their share of what prompts are taken in at."""
    one, prefill = (("--prompt", 0, "--generate", 64, "--batch", 8), ("--prompt", 512, "--generate", 0))
    rate = qad_bench(threads, model, *one, *flags)
    return {"rate": rate, "share": 100 * rate / qad_bench(threads, model, *prefill, *flags)}


@functools.cache
def training_ids():
    """A file of token ids for training: licence texts that every Debian has, in SmolLM2's tokens."""
    path = CACHE / "peers" / "training-ids.json"
    if not path.exists():
        from transformers import AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained(smollm2_folder())
        text = pathlib.Path("/usr/share/common-licenses/GPL-3").read_text()
        path.write_text(json.dumps(tokenizer(text)["input_ids"]))
    return path


def train_json(*command):
    """What bench/train.cc and train_peft.py print: 6 steps of 4 × 128 tokens, LoRA r=8 on all linear layers."""
    shape = ("--ids", training_ids(), "--batch", 4, "--length", 128, "--steps", 6)
    command = [str(part) for part in (*command, *shape)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def training_pair(ours, theirs, tolerance):
    """Both sides; the first loss is the untouched base's, B being zero, and must be the same."""
    ours_result = {}

    def run_ours():
        ours_result.update(train_json(*ours))
        return ours_result

    def run_theirs():
        result = train_json(*theirs)
        first, expected = ours_result.get("losses", result["losses"])[0], result["losses"][0]
        if not abs(first - expected) <= tolerance * expected:
            sys.exit(f"the first losses differ: {first} and {expected}")
        return result

    return run_ours, run_theirs


def seconds_of(*command):
    began = time.perf_counter()
    subprocess.run([str(part) for part in command], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


# ---------------------------------------------------------------------------------------------------------------------
# transformers


@functools.cache
def smollm2_folder():
    """The GGUF's weights, dequantized by transformers and saved in f32."""
    folder = CACHE / "peers" / "smollm2-f32"
    if not (folder / "config.json").exists():
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        source = dict(pretrained_model_name_or_path=SMOLLM2.parent, gguf_file=SMOLLM2.name)
        dequantized = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        del dequantized.config.quantization_config  # it would refuse to be saved
        model = AutoModelForCausalLM.from_config(dequantized.config)
        model.load_state_dict(dequantized.state_dict())
        unfinished = folder.with_suffix(".unfinished")
        AutoTokenizer.from_pretrained(**source).save_pretrained(unfinished)
        model.save_pretrained(unfinished)
        unfinished.rename(folder)
    return folder


@functools.cache
def nf4_folder():
    """The same weights as qad makes them into bitsandbytes' 4 bits."""
    folder = CACHE / "peers" / "smollm2-nf4"
    if not (folder / "config.json").exists():
        subprocess.run([ROOT / "build" / "release" / "qad", "quantize", smollm2_folder(), "--method", "nf4", "--output",
                        folder], check=True)
    return folder


@functools.cache
def transformers_model(folder, dtype):
    import torch
    from transformers import AutoModelForCausalLM
    return AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()


def random_ids(model, count):
    import torch
    return torch.randint(0, model.config.vocab_size, (1, count), generator=torch.Generator().manual_seed(0))


def transformers_prefill(folder, dtype, tokens):
    import torch
    model = transformers_model(folder, dtype)
    ids = random_ids(model, tokens)
    with torch.inference_mode():
        began = time.perf_counter()
        model(ids, logits_to_keep=1)
        return tokens / (time.perf_counter() - began)


def transformers_decode(folder, dtype, tokens, prompt, sequences=1):
    """The first token is the prefill's: its time is measured alone and taken off."""
    import torch
    model = transformers_model(folder, dtype)
    ids = random_ids(model, prompt * sequences).reshape(sequences, prompt)

    def seconds(count):
        began = time.perf_counter()
        model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, min_new_tokens=count,
                       do_sample=False, pad_token_id=0)
        return time.perf_counter() - began

    with torch.inference_mode():
        return sequences * tokens / (seconds(tokens + 1) - seconds(1))


# ---------------------------------------------------------------------------------------------------------------------
# llama.cpp


@functools.cache
def gguf(name):
    """The base in one of llama.cpp's types; q4_1 is the file as it came."""
    import llama_cpp_peer
    return SMOLLM2 if name == "q4_1" else llama_cpp_peer.quantized(SMOLLM2, CACHE / "peers", name)


@functools.cache
def held_out():
    """The last 17,000 characters of the licence texts that every Debian has."""
    names = ("GPL-3", "LGPL-2.1", "MPL-2.0", "Apache-2.0", "GFDL-1.3")
    text = "".join(pathlib.Path("/usr/share/common-licenses", name).read_text() for name in names)
    path = CACHE / "peers" / "held-out.txt"
    path.write_text(text[-17000:])
    return path


def qad_divergence(threads, name):
    return {rows: qad_json(threads, "perplexity", gguf(name), "--file", held_out(), "--protocol", "llama.cpp", "--rows", rows,
                           "--reference", SMOLLM2, "--reference-format", "f32")["kl_divergence"]
            for rows in ("prompts", "answers")}


def llama_divergence(threads, name):
    import llama_cpp_peer
    ids = subprocess.run([ROOT / "build" / "release" / "qad", "tokenize", SMOLLM2, "--file", held_out()],
                         stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    windows = [[int(token) for token in ids[at:at + 512]] for at in range(0, len(ids) - 511, 512)]
    return llama_cpp_peer.divergence(gguf(name), gguf("f32"), threads, windows)


def llama_works(threads):
    import llama_cpp_peer as peer
    bench = functools.partial(qad_bench, threads)
    bandwidth = "≥ 1.8×, or 80% of the read bandwidth"
    for name, prefill, decode in (("bf16", "≥ 1.5×", "≥ 1.15×, or 80% of the read bandwidth"), ("q8_0", "≥ 2×", bandwidth),
                                  ("q4_0", "≥ 2×", bandwidth), ("q4_1", "≥ 2×", bandwidth), ("q4_k_m", "≥ 2×", bandwidth),
                                  ("q5_0", "", ""), ("q5_1", "", ""),
                                  ("q5_k_m", "", ""), ("q6_k", "", ""), ("q3_k_m", "", ""), ("q2_k", "", "")):
        # Files are made when they are first asked for.
        yield f"llama-prefill-{name}", Work("llama.cpp",
                                            lambda name=name: bench(gguf(name), "--prompt", 512, "--generate", 0),
                                            lambda name=name: peer.prefill(gguf(name), threads, 512),
                                            [Figure(f"SmolLM2 {name}, prefill 512", "tok/s", prefill)])
        yield f"llama-decode-{name}", Work("llama.cpp",
                                           lambda name=name: qad_decode(threads, gguf(name)),
                                           lambda name=name: peer.decode(gguf(name), threads, 64, DEPTH),
                                           [Figure(f"SmolLM2 {name}, decode 64 behind {DEPTH}", "tok/s", decode, "rate"),
                                            Figure("the same, share of the read bandwidth", "%", "", "share",
                                                   ours_alone=True)])
        yield f"llama-kl-{name}", Work("llama.cpp", functools.partial(qad_divergence, threads, name),
                                       functools.partial(llama_divergence, threads, name),
                                       [Figure(f"SmolLM2 {name}, KL divergence from f32", "nats", "ours ≤ 1.05×",
                                               "prompts", higher_is_better=False),
                                        Figure("the same, multiplied as answers are decoded", "nats", "ours ≤ 1.05×",
                                               "answers", higher_is_better=False)], rounds=1)


# ---------------------------------------------------------------------------------------------------------------------
# the list


def all_works(threads):
    bench = functools.partial(qad_bench, threads)
    decode, prefill = transformers_decode, transformers_prefill
    program = ROOT / "build" / "release" / "qad"

    yield "tiny", Work("transformers f32",
                       lambda: bench(TINY_GPT2, "--prompt", 0, "--depth", 32, "--generate", 256),
                       lambda: decode(TINY_GPT2, "float32", 256, 32),
                       [Figure("tiny-gpt2, decode 256", "tok/s", "≥ 50×")])
    yield "first", Work("transformers f32",
                        lambda: seconds_of(program, "generate", SMOLLM2, "--prompt", PROMPT, "--max-new-tokens", 1,
                                           "--threads", threads),
                        lambda: seconds_of(sys.executable, PEERS / "first_token.py", smollm2_folder(), PROMPT),
                        [Figure("SmolLM2, start to first token", "s", "ours ≤ 0.3 s", higher_is_better=False)])
    for name, dtype, flags in (("f32", "float32", ("--format", "f32", "--exact")),
                               ("bf16", "bfloat16", ("--format", "bf16"))):
        yield f"prefill-{name}", Work(f"transformers {name}",
                                      functools.partial(bench, SMOLLM2, "--prompt", 512, "--generate", 0, *flags),
                                      functools.partial(prefill, smollm2_folder(), dtype, 512),
                                      [Figure(f"SmolLM2 {name}, prefill 512", "tok/s",
                                              "≥ 1.3×" if name == "bf16" else "≥ 1×")])
        yield f"decode-{name}", Work(f"transformers {name}",
                                     functools.partial(bench, SMOLLM2, "--prompt", 0, "--generate", 64, *flags),
                                     functools.partial(decode, smollm2_folder(), dtype, 64, 1),
                                     [Figure(f"SmolLM2 {name}, decode 64", "tok/s", "≥ 1×")])
    for name, flags in (("bf16", ("--format", "bf16")), ("q4_1", ())):
        yield f"batch-{name}", Work("transformers bf16",
                                    functools.partial(qad_batch, threads, SMOLLM2, *flags),
                                    functools.partial(decode, smollm2_folder(), "bfloat16", 64, 1, 8),
                                    [Figure(f"SmolLM2 {name}, 8 sequences at once, decode 64", "tok/s", "≥ 8×", "rate"),
                                     Figure("the same, share of our prefill of 512", "%", "≥ 60%", "share",
                                            ours_alone=True)])
    ours = (ROOT / "build" / "release" / "bench" / "train", SMOLLM2, "--threads", threads)
    # Of the environment without GPTQModel, beside which PEFT wants optimum too.
    theirs = (CACHE / "venv" / "bin" / "python", PEERS / "train_peft.py", smollm2_folder(), "--threads", threads)
    for name, our_flags, their_flags, tolerance in (  # relative; 8 bits of bf16 are 4e-3, over many sums
            ("f32", ("--split", "--weights", "f32"), (), 1e-4),
            ("bf16", ("--weights", "bf16"), ("--bf16",), 1e-2)):
        targets = ("≥ 3×" if name == "f32" else "≥ 2×", "≥ 3×")
        yield f"lora-{name}", Work(f"PEFT {name}",
                                   *training_pair((*ours, *our_flags), (*theirs, *their_flags), tolerance),
                                   training_figures(name, targets))
    if importlib.util.find_spec("bitsandbytes"):
        yield "qlora", Work("bitsandbytes and PEFT",
                            *training_pair((ours[0], nf4_folder(), *ours[2:], "--weights", "as-stored"),
                                           (sys.executable, theirs[1], nf4_folder(), *theirs[3:], "--bf16"), 1e-2),
                            training_figures("NF4 with double quantization (QLoRA)", ("≥ 2×", "≥ 4×")))
    else:
        print("bitsandbytes is not installed: without QLoRA", file=sys.stderr)
    if importlib.util.find_spec("llama_cpp"):
        yield from llama_works(threads)
    else:
        print("llama_cpp is not installed: without the works of llama.cpp", file=sys.stderr)
    yield "lora", Work("PEFT f32", *training_pair((*ours, "--weights", "bf16"), theirs, 1e-2),
                       training_figures("as each does by default: bf16 beside f32", ("≥ 3×", "≥ 3×")))


def training_figures(name, targets):
    return [Figure(f"SmolLM2, LoRA r=8 on 4 × 128 tokens, {name}", "tok/s", targets[0], "tokens_per_second"),
            Figure("the same, peak resident memory", "MB", targets[1], "peak_rss_bytes", higher_is_better=False)]


def machine(threads, rounds):
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
                 platform.machine())
    revision = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True)
    import peft
    import torch
    import transformers
    llama = "none"
    if importlib.util.find_spec("llama_cpp"):
        built = (pathlib.Path(sys.prefix) / "requirements.txt").read_text().splitlines()[-1].removeprefix("# llama.cpp ")
        llama = f"{importlib.metadata.version('llama-cpp-python')} ({built})"
    return {"llama_cpp_python": llama, "date": datetime.date.today().isoformat(), "cpu": model, "cores": os.cpu_count(), "threads": threads,
            "load": os.getloadavg()[0], "revision": revision.stdout.strip(), "rounds": rounds,
            "torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}


def show(figures, unit):
    digits, scale = {"s": (2, 1), "nats": (5, 1), "MB": (0, 1e6)}.get(unit, (0, 1))
    low, middle, high = (f"{value / scale:,.{digits}f}" for value in (min(figures), statistics.median(figures), max(figures)))
    return f"{middle} ({low}–{high}) {unit}"


def markdown(about, works):
    yield (f"{about['date']}, {about['cpu']}, {about['threads']} threads of {about['cores']}, load {about['load']:.1f} "
           f"before; qad {about['revision']}, torch {about['torch']}, transformers {about['transformers']}, "
           f"peft {about['peft']}, llama-cpp-python {about['llama_cpp_python']}. Median (least–largest) of {about['rounds']} rounds.")
    yield ""
    yield "| work | qad | peer | ratio | target |"
    yield "|---|---|---|---|---|"
    for work in works.values():
        for figure in work.figures:
            theirs = "" if figure.ours_alone else f"{work.peer} {show(figure.theirs, figure.unit)}"
            ratio = "" if figure.ours_alone else f"{figure.ratio():.2f}×"
            yield f"| {figure.title} | {show(figure.ours, figure.unit)} | {theirs} | {ratio} | {figure.target} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=pathlib.Path, help="JSON file")
    parser.add_argument("work", nargs="*", help="all where none is named")
    arguments = parser.parse_args()
    works = dict(all_works(arguments.threads))
    if unknown := set(arguments.work) - set(works):
        parser.error(f"{', '.join(sorted(unknown))}: unknown work; there are {', '.join(works)}")
    works = {name: work for name, work in works.items() if not arguments.work or name in arguments.work}

    import torch
    torch.set_num_threads(arguments.threads)
    about = machine(arguments.threads, arguments.rounds)
    for name, work in works.items():
        print(f"{name} …", file=sys.stderr, flush=True)
        if not work.rounds:
            work.theirs()  # loads, compiles, warms up; ours warms itself up in `qad bench`
        work.measure(arguments.rounds)
    print("\n".join(markdown(about, works)))
    if arguments.output:
        rows = [dict(work=name, peer=work.peer, ratio=figure.ratio(), **dataclasses.asdict(figure))
                for name, work in works.items() for figure in work.figures]
        arguments.output.write_text(json.dumps({"machine": about, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
