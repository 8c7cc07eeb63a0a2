"""first_token.py FOLDER PROMPT: a fresh process to one greedy token with transformers, in f32; prints its id."""

import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, prompt = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
with torch.inference_mode():
    output = model.generate(**tokenizer(prompt, return_tensors="pt"), max_new_tokens=1, do_sample=False, pad_token_id=0)
print(output[0, -1].item())
