#!/usr/bin/env python3
"""Makes testdata/formats and testdata/io: blocks and files by the reference packages, for src/formats' and src/io's tests.

    pip install numpy==2.4.6 gguf==0.19.0 safetensors==0.8.0 torch==2.15 transformers==5.23 peft==0.21.2
    testdata/make_format_goldens.py
"""

import importlib.metadata
import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType, quants
from peft import LoraConfig, get_peft_model
from safetensors import numpy as safetensors_numpy
from safetensors import torch as safetensors_torch

PINS = {"numpy": "2.4.6", "gguf": "0.19.0", "safetensors": "0.8.0", "peft": "0.21.2"}
HERE = Path(__file__).parent
BLOCK_TYPES = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "F16", "BF16"]


def odd_blocks():
    """Blocks of 32 that reach the corners: zeros of both signs, ties, one outlier, huge and tiny values, a constant."""
    random = np.random.default_rng(7)
    rows = [np.zeros(32), -np.zeros(32), np.full(32, 0.75), np.full(32, -0.75), np.arange(32), -np.arange(32.0),
            np.where(np.arange(32) % 2, 1.0, -1.0), np.where(np.arange(32) % 2, -1.0, 1.0), np.eye(1, 32, 5)[0], -np.eye(1, 32, 31)[0],
            np.linspace(-1, 1, 32), np.linspace(-7.5, 7.5, 32), 0.1 + 2 * np.cos(np.arange(32)),
            np.where(np.arange(32) == 3, 500.0, 1e-3), random.normal(size=32) * 1.2e4, random.normal(size=32) * 1e-5,
            random.normal(size=32) * 1e-7, random.uniform(0, 1, 32), random.uniform(5, 6, 32), random.uniform(-6, -5, 32)]
    rows += [random.normal(size=32) * scale for scale in np.geomspace(1e-3, 1e3, 44)]
    return np.stack(rows).astype(np.float32)


def extreme_blocks():
    """Scales that binary16 cannot hold or whose inverse overflows: no encoder's codes mean anything, decoding does."""
    random = np.random.default_rng(8)
    rows = [random.normal(size=32) * 1e30, np.full(32, 3e38), np.where(np.arange(32) % 2, 3e38, -3e38),
            random.normal(size=32) * 1e-39, random.normal(size=32) * 1e-42, np.full(32, 1e-45)]
    return np.stack(rows).astype(np.float32)


def make_blocks(folder):
    folder.mkdir(parents=True)
    blocks, extreme = odd_blocks(), extreme_blocks()
    blocks.tofile(folder / "odd.f32")
    extreme.tofile(folder / "extreme.f32")
    for name in BLOCK_TYPES:
        kind = GGMLQuantizationType[name]
        stored = quants.quantize(blocks, kind)
        stored.tofile(folder / f"odd.{name.lower()}")
        quants.dequantize(stored, kind).astype(np.float32).tofile(folder / f"odd.{name.lower()}.f32")


# Blocks that gguf only reads: their bytes, and where their f16 scales lie. Codes are random bytes.
SUPER_BLOCKS = {"Q2_K": (84, [80, 82]), "Q3_K": (110, [108]), "Q4_K": (144, [0, 2]), "Q5_K": (176, [0, 2]), "Q6_K": (210, [208]),
                "IQ4_NL": (18, [0])}


def make_super_blocks(folder):
    for name, (size, scales) in SUPER_BLOCKS.items():
        random = np.random.default_rng(size)
        blocks = random.integers(0, 256, (24, size), dtype=np.uint8)
        for offset in scales:
            values = random.normal(size=24) * np.geomspace(1e-6, 1e2, 24)  # from subnormal halves on
            blocks[:, offset:offset + 2] = values.astype(np.float16).view(np.uint8).reshape(24, 2)
        blocks.tofile(folder / f"super.{name.lower()}")
        quants.dequantize(blocks, GGMLQuantizationType[name]).astype(np.float32).tofile(folder / f"super.{name.lower()}.f32")


def make_safetensors(folder):
    folder.mkdir(parents=True)
    tensors = {
        "matrix": torch.arange(12, dtype=torch.float32).reshape(3, 4) / 8, "half": torch.tensor([0.5, -2.0, 65504.0], dtype=torch.float16),
        "brain": torch.tensor([[1.0, -3.0]], dtype=torch.bfloat16), "scalar": torch.tensor(7.5), "nothing": torch.zeros(0, 4),
        "bytes": torch.tensor([0, 127, 255], dtype=torch.uint8), "codes": torch.tensor([-128, 127], dtype=torch.int8),
        "flags": torch.tensor([True, False]), "long": torch.tensor([-1, 2**40]), "double": torch.tensor([0.1], dtype=torch.float64),
        "int": torch.tensor([-5], dtype=torch.int32), "a.float": torch.tensor([2.0]),
        "short": torch.tensor([-7], dtype=torch.int16), "größe": torch.tensor([1.0], dtype=torch.float16),
    }
    safetensors_torch.save_file(tensors, folder / "reference.safetensors", metadata={"format": "pt"})
    safetensors_numpy.save_file({}, folder / "empty.safetensors")
    sharded = folder / "sharded"
    sharded.mkdir()
    shards = {"model-00001-of-00002.safetensors": ["a", "b"], "model-00002-of-00002.safetensors": ["c"]}
    values = {"a": np.full((2, 2), 1, np.float32), "b": np.full(3, 2, np.float32), "c": np.full((1, 2), 3, np.float32)}
    for shard, names in shards.items():
        safetensors_numpy.save_file({name: values[name] for name in names}, sharded / shard, metadata={"format": "pt"})
    index = {"metadata": {"total_size": 36}, "weight_map": {name: shard for shard, names in shards.items() for name in names}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
    (sharded / "config.json").write_text(json.dumps({"architectures": ["None"]}))


def make_gguf(path, version):
    gguf.gguf_writer.GGUF_VERSION = version  # the two differ in nothing but the number for little-endian files
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_uint8("test.u8", 200), writer.add_int8("test.i8", -3), writer.add_uint16("test.u16", 65535), writer.add_int16("test.i16", -300)
    writer.add_uint32("test.u32", 4000000000), writer.add_int32("test.i32", -70000), writer.add_uint64("test.u64", 2**63 + 5)
    writer.add_int64("test.i64", -2**40), writer.add_float32("test.f32", 0.5), writer.add_float64("test.f64", 1e-300), writer.add_bool("test.bool", True)
    writer.add_string("test.text", "grün\n"), writer.add_array("test.ints", [1, 2, 3]), writer.add_array("test.floats", [0.5, -1.5])
    writer.add_array("test.texts", ["a", "", "ü"]), writer.add_array("test.bools", [True, False]), writer.add_array("test.same", [4, 4, 4])
    x = 0.1 + 2 * np.cos(np.arange(128, dtype=np.float32)).reshape(2, 64)
    writer.add_tensor("plain", x)
    writer.add_tensor("half", x.astype(np.float16))
    for name in ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "BF16"):
        writer.add_tensor(name.lower(), quants.quantize(x, GGMLQuantizationType[name]), raw_dtype=GGMLQuantizationType[name])
    writer.add_tensor("vector", np.arange(5, dtype=np.float32))
    writer.add_tensor("cube", np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_adapter(folder, model, **config):
    torch.manual_seed(0)
    adapter = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", base_model_name_or_path="tiny", **config))
    for name, parameter in adapter.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    adapter.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)


def make_adapters(folder):
    torch.manual_seed(0)
    llama = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2))
    make_adapter(folder / "peft-llama", llama, r=2, lora_alpha=6, lora_dropout=0.05, target_modules=["q_proj", "v_proj", "down_proj"], use_rslora=True)
    gpt2 = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=32, n_positions=16, n_embd=8, n_layer=1, n_head=2))
    make_adapter(folder / "peft-gpt2", gpt2, r=3, lora_alpha=3, target_modules=["c_attn", "mlp.c_proj"], fan_in_fan_out=True)


def main():
    for package, version in PINS.items():
        assert importlib.metadata.version(package) == version, f"{package} {version} is wanted"
    for folder in ("formats", "io"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
    make_blocks(HERE / "formats")
    make_super_blocks(HERE / "formats")
    make_safetensors(HERE / "io")
    for version in (2, 3):
        make_gguf(HERE / "io" / f"tiny-v{version}.gguf", version)
    make_adapters(HERE / "io")


if __name__ == "__main__":
    main()
