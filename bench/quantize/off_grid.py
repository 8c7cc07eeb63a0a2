"""The off-grid twin of SmolLM2: an exactly equivalent model whose weights lie on no grid.

    ~/.cache/qad/venv/bin/python bench/quantize/off_grid.py SOURCE-FOLDER OUTPUT-FOLDER [--seed 0] [--spread 0.22]

SmolLM2's weights come from a 4-bit file, so formats on the same grid look nearly lossless on it. Here channels are
rescaled by factors e^u, u uniform in ±spread, where the model does not notice: a norm's gain divided by s and the
columns of the linears behind it multiplied; rows of v divided and columns of o multiplied; rows of up divided and columns
of down multiplied. SOURCE-FOLDER holds the model in f32 (bench/peers/run.py makes it in ~/.cache/qad/peers/smollm2-f32).
"""

import argparse
import json
import pathlib
import shutil

import numpy
from safetensors.numpy import load_file, save_file


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spread", type=float, default=0.22)
    options = parser.parse_args()
    config = json.loads((options.source / "config.json").read_text())
    weights = load_file(options.source / "model.safetensors")
    random = numpy.random.default_rng(options.seed)

    def factors(count):
        return numpy.exp(random.uniform(-options.spread, options.spread, count)).astype(numpy.float32)

    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    for layer in range(config["num_hidden_layers"]):
        def name(part):
            return f"model.layers.{layer}.{part}.weight"

        for norm, readers in (("input_layernorm", ("q_proj", "k_proj", "v_proj")),
                              ("post_attention_layernorm", ("gate_proj", "up_proj"))):
            s = factors(config["hidden_size"])
            weights[name(norm)] /= s
            for reader in readers:
                block = "self_attn" if reader[1] == "_" else "mlp"
                weights[name(f"{block}.{reader}")] *= s
        s = factors(kv_heads * head_dim)
        weights[name("self_attn.v_proj")] /= s[:, None]
        # Each head of values serves heads / kv_heads heads of queries, whose outputs o reads one after another.
        shared = s.reshape(kv_heads, 1, head_dim).repeat(heads // kv_heads, axis=1).reshape(-1)
        weights[name("self_attn.o_proj")] *= shared
        s = factors(config["intermediate_size"])
        weights[name("mlp.up_proj")] /= s[:, None]
        weights[name("mlp.down_proj")] *= s
    unfinished = options.output.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for path in options.source.iterdir():
        if path.name != "model.safetensors":
            shutil.copy(path, unfinished)
    save_file(weights, unfinished / "model.safetensors", metadata={"format": "pt"})
    shutil.rmtree(options.output, ignore_errors=True)
    unfinished.rename(options.output)


if __name__ == "__main__":
    main()
