"""A model of the shape of Llama 2 7B: what quantizing it takes of memory and time, from a few of its 32 blocks.

    ~/.cache/qad/venv/bin/python bench/quantize/large.py [--methods gptq,…] [--blocks 1,2] [--samples 8] [--threads N]

Random bf16 weights, SmolLM2's tokenizer and vocabulary, samples of 512 tokens of the licences. Memory does not grow with
the blocks, as one of them alone is held as f32; time and calibration's activations are extrapolated, and said to be.
`auto` is not among the methods: it has the whole model in memory, in bf16, and then beside it the file it judges.
Needs `scripts/interop` (the environment) and 2 GB of disk.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import sys
import tempfile

import torch
from safetensors.torch import save_file

import gguf_types as common

METHODS = {"gptq": ["--method", "gptq"], "awq-gptq": ["--method", "awq-gptq"],
           "Q4_K_M": ["--method", "gguf", "--type", "Q4_K_M", "--error-feedback"]}
HIDDEN, INNER, HEADS, BLOCKS, VOCAB = 4096, 11008, 32, 32, 49152
LENGTH = 512
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCAB, "hidden_size": HIDDEN,
          "intermediate_size": INNER, "num_attention_heads": HEADS, "num_key_value_heads": HEADS,
          "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False,
          "torch_dtype": "bfloat16"}


def matrix(generator, rows, columns):
    return (torch.randn(rows, columns, generator=generator) * 0.02).to(torch.bfloat16)


def write(folder, blocks, tokenizer):
    folder.mkdir()
    generator = torch.Generator().manual_seed(blocks)
    tensors = {"model.embed_tokens.weight": matrix(generator, VOCAB, HIDDEN),
               "lm_head.weight": matrix(generator, VOCAB, HIDDEN),
               "model.norm.weight": torch.ones(HIDDEN, dtype=torch.bfloat16)}
    for block in range(blocks):
        base = f"model.layers.{block}"
        for name in ("q", "k", "v", "o"):
            tensors[f"{base}.self_attn.{name}_proj.weight"] = matrix(generator, HIDDEN, HIDDEN)
        for name in ("gate", "up"):
            tensors[f"{base}.mlp.{name}_proj.weight"] = matrix(generator, INNER, HIDDEN)
        tensors[f"{base}.mlp.down_proj.weight"] = matrix(generator, HIDDEN, INNER)
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{base}.{name}.weight"] = torch.ones(HIDDEN, dtype=torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": blocks}))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / file, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--blocks", default="1,2", help="two numbers")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    calibration, _ = common.texts()
    tokenizer = common.base_folder("smollm2")
    blocks = [int(count) for count in options.blocks.split(",")]
    if len(blocks) != 2 or blocks[0] >= blocks[1]:
        parser.error("--blocks: two numbers, the smaller first")
    print(f"{platform.processor() or platform.machine()}, {options.threads} threads, {datetime.date.today()}; "
          f"{options.samples} samples of {LENGTH} tokens\n\n| method | blocks | weights GiB | seconds | peak GiB | minutes for {BLOCKS} blocks | peak GiB with 128 samples |\n"
          "|---|--:|--:|--:|--:|--:|--:|")
    made_by = {name: [] for name in options.methods.split(",")}
    for count in blocks:
        with tempfile.TemporaryDirectory(dir=common.FOLDER) as scratch:
            model = f"{scratch}/model"
            write(common.pathlib.Path(model), count, tokenizer)
            for name, reports in made_by.items():
                reports.append(common.qad("quantize", model, *METHODS[name], "--output", f"{scratch}/{name}",
                                          "--calibration", calibration, "--calibration-samples", options.samples,
                                          "--calibration-length", LENGTH, "--threads", options.threads))
                print(f"{name}, {count} blocks: {reports[-1]['seconds']:.0f} s", file=sys.stderr, flush=True)
    # A block's input and its normed copy, and the widest input within it (quantize/block_walk.h).
    a_sample = LENGTH * (2 * HIDDEN + INNER) * 4
    for name, (fewer, more) in made_by.items():
        a_block = (more["seconds"] - fewer["seconds"]) / (blocks[1] - blocks[0])
        minutes = (fewer["seconds"] + (BLOCKS - blocks[0]) * a_block) / 60
        peak = (more["peak_rss_bytes"] + (128 - options.samples) * a_sample) / 2**30
        for count, report, rest in zip(blocks, (fewer, more), ("| |", f"{minutes:.0f} | {peak:.1f} |")):
            print(f"| {name} | {count} | {report['source_bytes'] / 2**30:.2f} | {report['seconds']:.0f} | "
                  f"{report['peak_rss_bytes'] / 2**30:.2f} | {rest}")


if __name__ == "__main__":
    main()
