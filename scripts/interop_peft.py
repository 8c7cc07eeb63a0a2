"""LoRA adapters in both directions: ours load in PEFT, PEFT's load in qad, with equal logits (f32 on both sides).

    interop_peft.py                  random Llama and GPT-2 models, and SmolLM2
    interop_peft.py MODEL ADAPTER    one adapter, made by either side, on its base (a folder or a .gguf file)
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

from checks import BUILD, SMOLLM2, check, dump_logits, finish

# As in interop_logits.py: f32 roundings of some 30 layers of sums, and an order of magnitude for their growth.
TOLERANCE = 1e-4
VOCAB = 96
LLAMA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

TINY = {
    "llama": (LlamaConfig(vocab_size=VOCAB, hidden_size=48, intermediate_size=80, num_hidden_layers=2,
                          num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64), LLAMA_TARGETS),
    # A c_proj of the MLP that is not square, and none of the sizes alike.
    "gpt2": (GPT2Config(vocab_size=VOCAB, n_embd=36, n_layer=2, n_head=3, n_inner=60, n_positions=64, bos_token_id=0,
                        eos_token_id=0), ["c_attn", "c_proj", "c_fc"]),
}


def load(model):
    """The base in f32, as a folder or a GGUF file holds it."""
    path = pathlib.Path(model)
    if path.suffix == ".gguf":
        return AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


def random_ids(vocab, count):
    return torch.randint(0, vocab, (count,)).tolist()


def logits(model, ids):
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0].numpy()


def compare(name, place, folder, base_logits, ids):
    """PEFT on a fresh base against qad, both from the folder; the adapter must also do something."""
    want = logits(PeftModel.from_pretrained(load(place), folder).eval(), ids)
    got = numpy.array(dump_logits(place, ids, "--adapter", folder, "--exact"), dtype=numpy.float32)
    if got.shape != want.shape:
        return check(name, False, f"shape {got.shape}, expected {want.shape}")
    worst, largest, moved = numpy.abs(got - want).max(), numpy.abs(want).max(), numpy.abs(want - base_logits).max()
    check(name, bool(worst <= TOLERANCE * largest and moved > 100 * TOLERANCE * largest),
          f"worst {worst:.2e} of {largest:.3g}, the adapter moves logits by up to {moved:.2g}")


def train(place, folder, vocab, scratch, *flags):
    """Six steps of our trainer on random tokens."""
    ids = pathlib.Path(scratch) / "ids.json"
    ids.write_text(json.dumps(random_ids(vocab, 6 * 2 * 16)))
    command = [BUILD / "bench" / "train", place, "--ids", ids, "--batch", 2, "--length", 16, "--steps", 5, "--exact",
               "--weights", "f32", "--output", folder, *flags]
    subprocess.run([str(part) for part in command], stdout=subprocess.DEVNULL, check=True)


def write_with_peft(place, folder, **config):
    model = get_peft_model(load(place), LoraConfig(task_type="CAUSAL_LM", **config))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:  # zero in a fresh one: it would do nothing
                parameter.copy_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)


# Llama's modules as llama.cpp calls them; rows of the first two are interleaved there, of heads that rotate in pairs.
GGUF_NAMES = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate",
              "up_proj": "ffn_up", "down_proj": "ffn_down"}


def interleaved(rows, heads):
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def write_gguf(place, adapter, path):
    """A PEFT folder as llama.cpp's converter writes it, by the library of its authors."""
    config, lora = json.loads((place / "config.json").read_text()), json.loads((adapter / "adapter_config.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(lora["lora_alpha"]))
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, values in sorted(load_file(adapter / "adapter_model.safetensors").items()):
        parts = name.split(".")
        layer, module, half = parts[parts.index("layers") + 1], parts[-3], parts[-2]
        if half == "lora_B" and module in heads:
            values = interleaved(values, heads[module])
        writer.add_tensor(f"blk.{layer}.{GGUF_NAMES[module]}.weight.{half.lower()}", numpy.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_gguf(name, place, adapter, path, base_logits, ids):
    """qad's logits with the GGUF file against PEFT's with the folder that it was made of."""
    write_gguf(pathlib.Path(place), adapter, path)
    want = logits(PeftModel.from_pretrained(load(place), adapter).eval(), ids)
    got = numpy.array(dump_logits(place, ids, "--adapter", path, "--exact"), dtype=numpy.float32)
    worst, largest, moved = numpy.abs(got - want).max(), numpy.abs(want).max(), numpy.abs(want - base_logits).max()
    check(name, bool(worst <= TOLERANCE * largest and moved > 100 * TOLERANCE * largest),
          f"worst {worst:.2e} of {largest:.3g}, the adapter moves logits by up to {moved:.2g}")


def check_merged(name, place, folder, scratch, ids):
    """Ours as transformers loads it, beside PEFT's own merge."""
    merged = pathlib.Path(scratch) / "merged"
    subprocess.run([str(part) for part in (BUILD / "qad", "merge", place, "--adapter", folder, "--output", merged, "--type",
                                           "f32")], stdout=subprocess.DEVNULL, check=True)
    want = logits(PeftModel.from_pretrained(load(place), folder).merge_and_unload().eval(), ids)
    got = logits(load(merged), ids)
    worst, largest = numpy.abs(got - want).max(), numpy.abs(want).max()
    check(name, bool(worst <= TOLERANCE * largest), f"worst {worst:.2e} of {largest:.3g}")


def check_model(name, place, targets, partial):
    base = load(place)
    vocab = base.config.vocab_size
    ids = random_ids(vocab, 33)
    base_logits = logits(base, ids)
    fan = base.config.model_type == "gpt2"
    del base
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        train(place, folder / "ours", vocab, scratch)
        compare(f"{name}: trained by qad, all linears", place, folder / "ours", base_logits, ids)
        train(place, folder / "part", vocab, scratch, "--targets", partial, "--rank", 3)
        compare(f"{name}: trained by qad, {partial}", place, folder / "part", base_logits, ids)
        # Ranks and scales by module, of one layer only.
        first, last = targets[0], targets[-1]
        train(place, folder / "patterns", vocab, scratch, "--rank-pattern", f"{first}=2", "--alpha-pattern",
              f"{last}=5", "--layers", "1")
        compare(f"{name}: trained by qad, patterns", place, folder / "patterns", base_logits, ids)
        check_merged(f"{name}: merged by qad, f32", place, folder / "ours", scratch, ids)
        patterns = dict(r=4, lora_alpha=6, rank_pattern={first: 2}, alpha_pattern={last: 5}, layers_to_transform=[1])
        for title, config in (("r=4, alpha=6", dict(r=4, lora_alpha=6)), ("patterns of one layer", patterns),
                              ("rank-stabilized", dict(r=16, lora_alpha=8, use_rslora=True))):
            theirs = folder / title.replace("=", "").replace(", ", "-").replace(" ", "-")
            write_with_peft(place, theirs, target_modules=targets, fan_in_fan_out=fan, **config)
            compare(f"{name}: made by PEFT, {title}", place, theirs, base_logits, ids)
        if name == "llama":
            check_gguf(f"{name}: made by PEFT, written by the gguf library", place, folder / "r4-alpha6", folder / "theirs.gguf",
                       base_logits, ids)


def main():
    torch.manual_seed(0)
    if len(sys.argv) == 3:
        place, folder = sys.argv[1:]
        base = load(place)
        ids = random_ids(base.config.vocab_size, 33)
        compare(folder, place, folder, logits(base, ids), ids)
        return finish()
    for name, (config, targets) in TINY.items():
        with tempfile.TemporaryDirectory() as place:
            model = AutoModelForCausalLM.from_config(config)
            with torch.no_grad():  # weights large enough that every error shows
                for parameter in model.parameters():
                    parameter.add_(0.2 * torch.randn_like(parameter))
            model.save_pretrained(place)
            check_model(name, place, targets, "down_proj,o_proj" if name == "llama" else "mlp.c_proj")
    check_model("SmolLM2", SMOLLM2, LLAMA_TARGETS, "q_proj,v_proj")
    finish()


if __name__ == "__main__":
    main()
