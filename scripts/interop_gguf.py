"""GGUF files that qad writes, read by transformers: the logits of a random Llama in every file type that both know."""

import subprocess
import tempfile

import numpy
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from checks import BUILD, SMOLLM2, check, dump_logits, finish

# K types, their fallbacks (rows of 320 do not divide into 256) and the blocks of 32. transformers reads no IQ4_NL.
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0", "Q3_K_M", "Q2_K"]
# As scripts/interop_logits.py; here two layers.
TOLERANCE = 1.3e-5


def write(model, place, name):
    subprocess.run([BUILD / "qad", "quantize", model, "--method", "gguf", "--type", name, "--output", place, "--json"],
                   check=True, stdout=subprocess.DEVNULL)


def compare(name, place, vocab):
    model = AutoModelForCausalLM.from_pretrained(place.rsplit("/", 1)[0], gguf_file=place.rsplit("/", 1)[1],
                                                 dtype=torch.float32).eval()
    ids = torch.randint(0, vocab, (33,)).tolist()
    with torch.inference_mode():
        want = model(torch.tensor([ids])).logits[0].numpy()
    got = numpy.array(dump_logits(place, ids, "--exact"), dtype=numpy.float32)
    worst, largest = numpy.abs(got - want).max(), numpy.abs(want).max()
    check(name, bool(worst <= TOLERANCE * largest), f"worst {worst:.2e} of {largest:.3g}")


torch.manual_seed(0)
with tempfile.TemporaryDirectory() as folder:
    for hidden in (256, 320):
        config = LlamaConfig(vocab_size=288, hidden_size=hidden, intermediate_size=512, num_hidden_layers=2,
                             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128)
        model = AutoModelForCausalLM.from_config(config).float().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                noise = torch.randn_like(parameter)
                parameter.copy_(parameter + 0.2 * noise if parameter.dim() == 1 else 0.1 * noise)
        model.save_pretrained(f"{folder}/model-{hidden}")
        for name in TYPES:
            if hidden == 320 and name in ("Q3_K_M", "Q2_K"):  # fall back to IQ4_NL
                continue
            write(f"{folder}/model-{hidden}", f"{folder}/{hidden}-{name}.gguf", name)
            compare(f"{name}, rows of {hidden}", f"{folder}/{hidden}-{name}.gguf", 288)
    write(SMOLLM2, f"{folder}/smollm2.gguf", "Q4_K_M")
    compare("SmolLM2 Q4_K_M", f"{folder}/smollm2.gguf", 49152)
finish()
