"""NF4 folders, both ways, against bitsandbytes: what it makes of qad's tensors, and qad of what it writes."""

import json
import pathlib
import subprocess
import tempfile

import bitsandbytes.backends.cpu.ops
import bitsandbytes.functional as nf4
import bitsandbytes.nn.modules
import safetensors.torch
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from checks import BUILD, check, finish
from small_model import distance, random_llama

OURS = {"double quantization": [], "scales in f32": ["--no-double-quantization"]}


def unpack(source, place):
    """The folder as a dense model, each matrix decoded by bitsandbytes in f32."""
    stored = safetensors.torch.load_file(place / "model.safetensors")
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    worst = 0
    for name, parameter in model.state_dict().items():
        if f"{name}.absmax" not in stored:
            parameter.copy_(stored[name].float() if name in stored else parameter)
            continue
        parts = {key.removeprefix(f"{name}."): value for key, value in stored.items() if key.startswith(f"{name}.")}
        state = nf4.QuantState.from_dict(parts, device=torch.device("cpu"))
        state.dtype = torch.float32
        decoded = nf4.dequantize_4bit(stored[name], state)
        plain, plain_state = nf4.quantize_4bit(parameter, quant_type="nf4", compress_statistics="nested_absmax" in parts)
        theirs = (nf4.dequantize_4bit(plain, plain_state) - parameter).square().sum()
        worst = max(worst, float((decoded - parameter).square().sum() / theirs))
        parameter.copy_(decoded)
    return model, worst


# Where the CPU has AVX-512 BF16 its products are in bf16 whatever type is asked for; those in f32 are what is compared.
for module in (bitsandbytes.nn.modules, bitsandbytes.backends.cpu.ops):
    module.has_avx512bf16 = lambda: False

torch.manual_seed(0)
with tempfile.TemporaryDirectory() as name, torch.no_grad():
    folder = pathlib.Path(name)
    source = folder / "model"
    random_llama(source)
    for index, (title, flags) in enumerate(OURS.items()):
        place = folder / f"ours-{index}"
        subprocess.run([BUILD / "qad", "quantize", source, "--method", "nf4", "--output", place, "--json", *flags],
                       check=True, stdout=subprocess.DEVNULL)
        dense, worst = unpack(source, place)
        found = distance(place, dense)
        check(f"by qad, {title}, decoded by bitsandbytes", found <= 1e-4, f"distance {found:.6f}")
        check(f"by qad, {title}, squared error over that of bitsandbytes", worst < 1, f"{worst:.3f} at most")
        # Its products are in bf16.
        found = distance(place, AutoModelForCausalLM.from_pretrained(place, dtype=torch.bfloat16).eval())
        check(f"by qad, {title}, in transformers", found <= 0.03, f"distance {found:.6f}")
    for nested in (True, False):
        place = folder / f"theirs-{nested}"
        settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=nested,
                                      bnb_4bit_compute_dtype=torch.float32)
        theirs = AutoModelForCausalLM.from_pretrained(source, quantization_config=settings, dtype=torch.float32).eval()
        theirs.save_pretrained(place)
        stored = json.loads((place / "config.json").read_text())["quantization_config"]["quant_method"]
        dense, _ = unpack(source, place)
        found = distance(place, dense)
        check(f"by {stored}, double quantization {nested}, decoded by it", found <= 1e-4, f"distance {found:.6f}")
        found = distance(place, theirs)
        check(f"by {stored}, double quantization {nested}", found <= 1e-3, f"distance {found:.6f}")
finish()
