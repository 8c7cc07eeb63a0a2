"""train_peft.py FOLDER --ids FILE: what bench/train.cc does, with PEFT: LoRA r=8 on all linear layers, AdamW, fixed
sequences, the first step not timed; JSON on stdout. --dtype bf16 is autocast over bf16 weights with f32 adapters."""

import argparse
import json
import resource
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("model")
parser.add_argument("--ids", required=True)
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--length", type=int, default=128)
parser.add_argument("--steps", type=int, default=6)
parser.add_argument("--threads", type=int, default=0)
parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
options = parser.parse_args()

torch.manual_seed(0)
if options.threads:
    torch.set_num_threads(options.threads)
low = options.dtype == "bf16"
model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.bfloat16 if low else torch.float32)
model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules="all-linear",
                                         task_type="CAUSAL_LM"))
trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
for parameter in trained:
    parameter.data = parameter.data.float()
optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.01)
model.train()

with open(options.ids) as file:
    ids = torch.tensor(json.load(file))
wanted = (1 + options.steps) * options.batch * options.length
batches = ids[:wanted].view(1 + options.steps, options.batch, options.length)
losses, began = [], 0.0
for step, batch in enumerate(batches):
    if step == 1:
        began = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
        loss = model(input_ids=batch, labels=batch).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
seconds = time.perf_counter() - began
print(json.dumps({"engine": "peft", "numerics": options.dtype, "seconds": seconds,
                  "tokens_per_second": options.steps * options.batch * options.length / seconds,
                  "trainable_parameters": sum(parameter.numel() for parameter in trained), "losses": losses,
                  "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
