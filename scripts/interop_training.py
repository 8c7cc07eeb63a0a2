"""Ten steps of LoRA training against PEFT's, from the same adapter on the same sequences, f32 on both sides: losses must
agree to 1e-4, for each family and each knob of an adapter. Models are random."""

import json
import pathlib
import subprocess
import tempfile

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

from checks import BUILD, check, finish, run_json

TOLERANCE = 1e-4  # relative: sums in another order, carried through ten steps
VOCAB, BATCH, LENGTH, STEPS, RATE = 96, 4, 24, 10, 1e-2

LLAMA = dict(vocab_size=VOCAB, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64)
MODELS = {
    "llama": LlamaConfig(**LLAMA),
    "llama with biases, untied": LlamaConfig(**LLAMA, attention_bias=True, mlp_bias=True, tie_word_embeddings=False),
    "gpt2": GPT2Config(vocab_size=VOCAB, n_embd=36, n_layer=3, n_head=3, n_inner=60, n_positions=64, bos_token_id=0,
                       eos_token_id=0, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0),
}
# Flags of bench/train, and what PEFT calls them: it is trained from our adapter's folder, which must say the same. Names
# of modules are those of either family.
KNOBS = {
    "all-linear": ([], {}),
    "rank 3": (["--rank", 3], {"r": 3}),
    "rsLoRA": (["--rslora"], {"use_rslora": True}),
    "some layers": (["--layers", "0,2"], {"layers_to_transform": [0, 2]}),
    "targets by regular expression": (["--targets", r"re:.*(mlp|attn)\..*(down_proj|c_proj|v_proj)"],
                                      {"target_modules": r".*(mlp|attn)\..*(down_proj|c_proj|v_proj)"}),
    "recomputing blocks": (["--recompute"], {}),
    "products in parts": (["--split"], {}),
}
# Expressions of patterns must match something.
PATTERNS = {
    "llama": (["--rank-pattern", "down_proj=2,v_proj=5", "--alpha-pattern", "o_proj=3"],
              {"rank_pattern": {"down_proj": 2, "v_proj": 5}, "alpha_pattern": {"o_proj": 3}}),
    "gpt2": (["--rank-pattern", "c_proj=5", "--alpha-pattern", "c_attn=4"],
             {"rank_pattern": {"c_proj": 5}, "alpha_pattern": {"c_attn": 4}}),
}
LINEARS = {"llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
           "gpt2": ["c_attn", "c_proj", "c_fc"]}


def train(place, knob, ids, initial):
    """Our ten losses; `initial` receives the adapter that they begin with."""
    flags = knob if "--split" in knob else ["--exact", *knob]
    return run_json(BUILD / "bench" / "train", place, "--ids", ids, "--batch", BATCH, "--length", LENGTH, "--steps",
                    STEPS - 1, "--learning-rate", RATE, "--weights", "f32", "--initial", initial, *flags)["losses"]


def load(place):
    return AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)


def adapted(model):
    """Each adapted module's rank and scale."""
    return {name: (module.r["default"], round(module.scaling["default"], 6)) for name, module in model.named_modules()
            if getattr(module, "r", None) and hasattr(module, "lora_A")}


def asked_for(place, family, settings):
    """The same of an adapter that PEFT makes by itself."""
    return adapted(get_peft_model(load(place), LoraConfig(
        **({"r": 8, "lora_alpha": 16, "target_modules": LINEARS[family], "task_type": "CAUSAL_LM"} | settings))))


def train_peft(model, sequences):
    model.train()
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=RATE, weight_decay=0.01)
    losses = []
    for batch in sequences:
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def main():
    torch.manual_seed(0)
    sequences = torch.randint(0, VOCAB, (STEPS, BATCH, LENGTH))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        ids = folder / "ids.json"
        ids.write_text(json.dumps(sequences.flatten().tolist()))
        for family, config in MODELS.items():
            place = folder / family.split()[0] / str(len(family))
            model = AutoModelForCausalLM.from_config(config).float()
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.dim() > 1:
                        parameter.copy_(0.08 * torch.randn_like(parameter))
            model.save_pretrained(place)
            kind = family.split()[0]
            for name, (knob, settings) in (KNOBS | {"rank and alpha patterns": PATTERNS[kind]}).items():
                initial = place / f"{name} adapter"
                try:
                    ours = train(place, [str(word) for word in knob], ids, initial)
                except subprocess.CalledProcessError as error:
                    check(f"ten losses, {family}, {name}", False, str(error))
                    continue
                model = PeftModel.from_pretrained(load(place), initial, is_trainable=True)
                check(f"modules, ranks and scales, {family}, {name}", adapted(model) == asked_for(place, kind, settings))
                theirs = train_peft(model, sequences)
                worst = max(abs(a - b) / b for a, b in zip(ours, theirs, strict=True))
                learnt = theirs[0] - theirs[-1]
                check(f"ten losses, {family}, {name}", bool(worst <= TOLERANCE),
                      f"worst {worst:.1e} relative, from {theirs[0]:.4f}, {learnt:+.4f} lower at the end")
    finish()


if __name__ == "__main__":
    main()
