"""A Llama of about 1.4 billion random weights as a GGUF file, with SmolLM2's tokenizer: for speed, not for answers.

    ~/.cache/qad/venv/bin/python bench/growth/random_model.py SMOLLM2.gguf OUTPUT.gguf [--type Q4_0]

Rows of blocks with random codes and small scales are written as they are, so nothing is quantized and 0.8 GB take
seconds. Equal bytes for equal arguments.
"""

import argparse
import pathlib

import gguf
import numpy as np

HIDDEN, HEADS, KV_HEADS, LAYERS, FEED_FORWARD = 2048, 32, 8, 22, 8192
KEPT = ("tokenizer.", "llama.vocab_size", "llama.rope.freq_base", "llama.attention.layer_norm_rms_epsilon")
# Where the f16 scales of a block lie, and what they are about: weights of ±0.02.
SCALES = {"Q8_0": ((0, 0.00015),), "Q4_0": ((0, 0.0025),), "Q4_1": ((0, 0.0025), (2, -0.02))}


def rows(random, kind, count, columns):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = random.integers(0, 256, (count, columns // block, size), dtype=np.uint8)
    for offset, scale in SCALES[kind.name]:
        scales = (scale * random.uniform(0.5, 1.5, data.shape[:2])).astype(np.float16)
        data[..., offset:offset + 2] = scales[..., None].view(np.uint8)
    return data.reshape(count, -1)


def copy_metadata(source, writer):
    for name, entry in gguf.GGUFReader(source).fields.items():
        if not name.startswith(KEPT):
            continue
        kind, of = entry.types[0], entry.types[-1]
        writer.add_key_value(name, entry.contents(), kind, of if kind is gguf.GGUFValueType.ARRAY else None)


def shapes(vocab):
    yield "token_embd", vocab, HIDDEN
    for layer in range(LAYERS):
        for name, count, columns in (("attn_q", HIDDEN, HIDDEN), ("attn_k", HIDDEN * KV_HEADS // HEADS, HIDDEN),
                                     ("attn_v", HIDDEN * KV_HEADS // HEADS, HIDDEN), ("attn_output", HIDDEN, HIDDEN),
                                     ("ffn_gate", FEED_FORWARD, HIDDEN), ("ffn_up", FEED_FORWARD, HIDDEN),
                                     ("ffn_down", HIDDEN, FEED_FORWARD)):
            yield f"blk.{layer}.{name}", count, columns


def write(source, output, kind):
    unfinished = output.with_suffix(".unfinished")
    writer = gguf.GGUFWriter(unfinished, "llama")
    copy_metadata(source, writer)
    writer.add_context_length(8192)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    random = np.random.default_rng(1)
    norms = ["output_norm"] + [f"blk.{layer}.{name}" for layer in range(LAYERS) for name in ("attn_norm", "ffn_norm")]
    for name in norms:
        writer.add_tensor(f"{name}.weight", np.ones(HIDDEN, dtype=np.float32))
    vocab = len(gguf.GGUFReader(source).fields["tokenizer.ggml.tokens"].data)
    for name, count, columns in shapes(vocab):
        writer.add_tensor(f"{name}.weight", rows(random, kind, count, columns), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.rename(output)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path, help="a GGUF whose tokenizer is taken")
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--type", choices=SCALES, default="Q4_0")
    arguments = parser.parse_args()
    write(arguments.source, arguments.output, gguf.GGMLQuantizationType[arguments.type])


if __name__ == "__main__":
    main()
