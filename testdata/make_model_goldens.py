#!/usr/bin/env python3
"""Tiny random models of every family the engine runs, with what the reference libraries compute from them.

    python testdata/make_model_goldens.py          writes testdata/models/NAME/

Oracle: transformers 5.23.0, torch 2.15.0, peft 0.21.2, gguf 0.19.0, all in f32 on one thread. Each folder holds

    config.json, model.safetensors    the model as transformers saves it
    adapter/                          a PEFT LoRA on all linears with random A and B, as PEFT saves it
    golden.safetensors                logits, logits_with_adapter (tokens, vocab); gradient.NAME for each tensor NAME of
                                      adapter_model.safetensors: d(mean loss)/d(tensor) at the saved values
    golden.json                       batch: tokens of the sequences one after another, their lengths, and labels (the
                                      token to predict after each, or -1); loss, loss_with_adapter: means over labels;
                                      training: AdamW's settings and the loss before each of its ten steps

models/llama-gqa.gguf holds the weights of models/llama-gqa as llama.cpp's converter lays them, Q and K permuted.
"""
import copy
import json
import pathlib

import gguf
import numpy as np
import peft
import torch
import transformers
from safetensors.numpy import save_file

PINNED = {"transformers": "5.23.0", "torch": "2.15.0", "peft": "0.21.2", "gguf": "0.19.0"}
OUT = pathlib.Path(__file__).parent / "models"
TRAINING = {"learning_rate": 0.01, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.01,
            "max_grad_norm": 0.5, "steps": 10}
LENGTHS, PROMPTS = [7, 13, 4], [3, 5, 1]  # of the sequences, and of their unsupervised prompts

LLAMA = dict(initializer_range=0.2, bos_token_id=None, eos_token_id=None, pad_token_id=None, attn_implementation="eager")
MODELS = {
    # Grouped queries, tied head, head_dim that is not hidden / heads; every width a multiple of 32.
    "llama-gqa": transformers.LlamaConfig(
        vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
        intermediate_size=64, max_position_embeddings=64, tie_word_embeddings=True, rms_norm_eps=1e-5, **LLAMA),
    # Own head, biases everywhere, another theta; widths with tails.
    "llama-bias": transformers.LlamaConfig(
        vocab_size=61, hidden_size=36, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3,
        intermediate_size=52, max_position_embeddings=64, tie_word_embeddings=False, attention_bias=True, mlp_bias=True,
        rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": 500.0}, **LLAMA),
    # Conv1D with a c_proj that is not square.
    "gpt2": transformers.GPT2Config(
        vocab_size=80, n_embd=24, n_layer=2, n_head=3, n_inner=40, n_positions=64, initializer_range=0.2,
        resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, bos_token_id=None, eos_token_id=None, attn_implementation="eager"),
    # tiny-gpt2's widths: heads of one dimension, norms over two values.
    "gpt2-narrow": transformers.GPT2Config(
        vocab_size=80, n_embd=2, n_layer=2, n_head=2, n_positions=64, initializer_range=0.2, resid_pdrop=0, embd_pdrop=0,
        attn_pdrop=0, bos_token_id=None, eos_token_id=None, attn_implementation="eager"),
}
TARGETS = {"llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
           "gpt2": ["c_attn", "c_proj", "c_fc"]}


def randomize(model, generator):
    """Norm gains and biases start at 1 and 0, where many a mistake is invisible."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                centre = 1.0 if "norm" in name or ".ln_" in name and name.endswith("weight") else 0.0
                parameter.copy_(centre + 0.2 * torch.randn(parameter.shape, generator=generator))


def make_batch(vocab, generator):
    tokens = [torch.randint(0, vocab, (n,), generator=generator).tolist() for n in LENGTHS]
    labels = [[t if i + 1 >= p else -1 for i, t in enumerate(s[1:])] + [-1] for s, p in zip(tokens, PROMPTS)]
    return tokens, labels


def forward(model, tokens):
    """Each sequence on its own: no padding can leak into the golden."""
    return [model(input_ids=torch.tensor([s]), use_cache=False).logits[0] for s in tokens]


def mean_loss(model, tokens, labels):
    rows, targets = torch.cat(forward(model, tokens)), torch.tensor(sum(labels, []))
    return torch.nn.functional.cross_entropy(rows, targets, ignore_index=-1)


def train(model, tokens, labels):
    parameters = [p for p in model.parameters() if p.requires_grad]
    t = TRAINING
    optimizer = torch.optim.AdamW(parameters, lr=t["learning_rate"], betas=(t["beta1"], t["beta2"]), eps=t["epsilon"],
                                  weight_decay=t["weight_decay"])
    losses, norms = [], []
    for _ in range(t["steps"]):
        loss = mean_loss(model, tokens, labels)
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, t["max_grad_norm"]).item())
        optimizer.step()
        losses.append(loss.item())
    return losses, norms


def with_adapter(model, family, generator, folder):
    config = peft.LoraConfig(r=4, lora_alpha=6, lora_dropout=0.0, target_modules=TARGETS[family], task_type="CAUSAL_LM",
                             fan_in_fan_out=family == "gpt2", base_model_name_or_path=folder.name)
    adapted = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    adapted.peft_config["default"].base_model_name_or_path = folder.name
    adapted.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    saved = folder / "adapter" / "adapter_config.json"
    fields = json.loads(saved.read_text())
    fields["target_modules"].sort()  # a set: otherwise another file each time
    saved.write_text(json.dumps(fields, indent=2, sort_keys=True))
    return adapted


def write_gguf(model, path):
    c = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(c.vocab_size)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_key_length(c.head_dim)
    writer.add_value_length(c.head_dim)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, c.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue  # tied
        data = tensor.numpy()
        heads = {"q_proj": c.num_attention_heads, "k_proj": c.num_key_value_heads}.get(name.split(".")[-2])
        if heads is not None:  # the converter's permutation: halves of a head interleaved
            data = data.reshape(heads, 2, data.shape[0] // heads // 2, data.shape[1]).swapaxes(1, 2).reshape(data.shape)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), np.ascontiguousarray(data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(name, config, seed):
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    transformers.set_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    randomize(model, generator)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if name == "llama-gqa":
        write_gguf(model, OUT / f"{name}.gguf")
    tokens, labels = make_batch(config.vocab_size, generator)
    with torch.no_grad():
        logits = torch.cat(forward(model, tokens))
        loss = mean_loss(model, tokens, labels).item()
    adapted = with_adapter(copy.deepcopy(model), config.model_type, generator, folder)
    loss_with = mean_loss(adapted, tokens, labels)
    loss_with.backward()
    tensors = {"logits": logits, "logits_with_adapter": torch.cat(forward(adapted, tokens)).detach()}
    for parameter, tensor in adapted.named_parameters():
        if tensor.requires_grad:
            tensors["gradient." + parameter.replace(".default", "")] = tensor.grad
    save_file({k: np.ascontiguousarray(v.numpy()) for k, v in tensors.items()}, folder / "golden.safetensors")
    losses, norms = train(adapted, tokens, labels)
    golden = {"versions": PINNED, "seed": seed, "batch": {"tokens": sum(tokens, []), "lengths": LENGTHS, "labels": sum(labels, [])},
              "loss": loss, "loss_with_adapter": loss_with.item(),
              "training": {**TRAINING, "losses": losses, "gradient_norms": norms}}
    (folder / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    size = sum(f.stat().st_size for f in folder.rglob("*"))
    print(f"{name}: {size} bytes, loss {loss:.4f} -> {losses[0]:.4f} … {losses[-1]:.4f}, norms {norms[0]:.3f} … {norms[-1]:.3f}")


def main():
    for module, version in ((transformers, "transformers"), (torch, "torch"), (peft, "peft")):
        found = module.__version__.split("+")[0]
        assert found == PINNED[version], f"{version} {found}, pinned {PINNED[version]}"
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for seed, (name, config) in enumerate(MODELS.items(), start=1):
        make(name, config, seed)


if __name__ == "__main__":
    main()
