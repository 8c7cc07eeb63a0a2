"""train_peft.py FOLDER: what bench/train.cc does, with PEFT: LoRA r=8 on all linear layers, AdamW, B sequences × T tokens.

A process of its own for its peak memory; prints the figures as JSON. bf16 is autocast with f32 adapters. Of a folder in
bitsandbytes' 4 bits it is QLoRA: multiplied in bf16, too.
"""

import argparse
import importlib.util
import json
import pathlib
import time

import torch
from transformers import AutoModelForCausalLM

# Where GPTQModel is installed beside it, PEFT wants optimum too.
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "gptqmodel" else find_spec(name, *rest)
from peft import LoraConfig, get_peft_model  # noqa: E402

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def peak_rss_bytes():
    """Not ru_maxrss, which a process takes over from the one that started it."""
    status = pathlib.Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def adapted(folder, dtype):
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    model = get_peft_model(base, LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=TARGETS,
                                            task_type="CAUSAL_LM"))
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.data = parameter.data.float()
    return model.train(), trainable


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--ids", type=pathlib.Path, required=True, help="JSON array of token ids")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--steps", type=int, default=6, help="timed, after one that is not")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--bf16", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)

    model, trainable = adapted(arguments.folder, torch.bfloat16 if arguments.bf16 else torch.float32)
    optimizer = torch.optim.AdamW(trainable, lr=1e-3)
    shape = (1 + arguments.steps, arguments.batch, arguments.length)
    ids = json.loads(arguments.ids.read_text())[:shape[0] * shape[1] * shape[2]]
    losses = []
    for step, batch in enumerate(torch.tensor(ids).view(shape)):
        if step == 1:
            began = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.bf16):
            loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    seconds = time.perf_counter() - began
    print(json.dumps({"tokens_per_second": arguments.steps * arguments.batch * arguments.length / seconds,
                      "peak_rss_bytes": peak_rss_bytes(), "losses": losses}))


if __name__ == "__main__":
    main()
