"""GPTQ on a model of the shape of Llama 2 7B: what quantizing it takes of memory and time, from a few of its 32 blocks.

    ~/.cache/qad/venv/bin/python bench/quantize/large.py [--blocks 1,2] [--samples 8] [--threads N]

Random bf16 weights, SmolLM2's tokenizer and vocabulary, samples of 512 tokens of the licences. Memory does not grow with
the blocks, as one of them alone is held as f32; time and calibration's activations are extrapolated, and said to be.
Needs `scripts/interop` (the environment) and 2 GB of disk.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import tempfile

import torch
from safetensors.torch import save_file

import gguf_types as common

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
    parser.add_argument("--blocks", default="1,2")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    calibration, _ = common.texts()
    tokenizer = common.base_folder("smollm2")
    blocks, seconds, peaks = [int(count) for count in options.blocks.split(",")], [], []
    print(f"{platform.processor() or platform.machine()}, {options.threads} threads, {datetime.date.today()}; "
          f"{options.samples} samples of {LENGTH} tokens\n\n| blocks | weights GiB | seconds | peak GiB |\n|--:|--:|--:|--:|")
    for count in blocks:
        with tempfile.TemporaryDirectory(dir=common.FOLDER) as scratch:
            model, made = f"{scratch}/model", f"{scratch}/made"
            write(common.pathlib.Path(model), count, tokenizer)
            report = common.qad("quantize", model, "--method", "gptq", "--output", made, "--calibration", calibration,
                                "--calibration-samples", options.samples, "--calibration-length", LENGTH, "--threads",
                                options.threads)
        seconds.append(report["seconds"])
        peaks.append(report["peak_rss_bytes"])
        print(f"| {count} | {report['source_bytes'] / 2**30:.2f} | {seconds[-1]:.0f} | {peaks[-1] / 2**30:.2f} |", flush=True)
    a_block = (seconds[-1] - seconds[0]) / (blocks[-1] - blocks[0])
    # A block's input and its normed copy, and the widest input within it (quantize/block_walk.h).
    a_sample = LENGTH * (2 * HIDDEN + INNER) * 4
    print(f"\nExtrapolated to {BLOCKS} blocks: {(seconds[0] + (BLOCKS - blocks[0]) * a_block) / 60:.0f} minutes with as many "
          f"samples; with 128 {(peaks[-1] + (128 - options.samples) * a_sample) / 2**30:.1f} GiB at the peak.")


if __name__ == "__main__":
    main()
