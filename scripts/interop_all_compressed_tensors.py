"""Folders of compressed-tensors, both ways: transformers and the package read what qad writes, qad what its packer
writes."""

import json
import pathlib
import subprocess
import tempfile

import safetensors.torch
import torch
from compressed_tensors.compressors.pack_quantized import PackedQuantizationCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from transformers import AutoModelForCausalLM

from checks import BUILD, check, finish
from small_model import distance, random_llama

OURS = {"gptq": ["gptq"], "gptq with zeros": ["gptq", "--asymmetric"], "gptq 8 bits": ["gptq", "--bits", "8"],
        "gptq 3 bits": ["gptq", "--bits", "3"], "gptq, a whole row": ["gptq", "--group-size", "-1"],
        "awq": ["awq"], "awq-gptq": ["awq-gptq"], "rtn": ["rtn"]}
THEIRS = {"4 bits": dict(num_bits=4), "4 bits with zeros": dict(num_bits=4, symmetric=False), "8 bits": dict(num_bits=8),
          "3 bits": dict(num_bits=3), "4 bits by row": dict(num_bits=4, strategy="channel", group_size=None)}


def pack(source, place, arguments, scale_type):
    """The model of a folder, packed by the package, and as it is once unpacked."""
    arguments = {**dict(type="int", symmetric=True, strategy="group", group_size=64), **arguments}
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**arguments))
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    tensors = {}
    for name, parameter in model.state_dict().items():
        base = name.removesuffix(".weight")
        if parameter.dim() != 2 or "embed" in name or "lm_head" in name:
            tensors[name] = parameter.clone()
            continue
        size = arguments["group_size"] or parameter.shape[1]
        groups = parameter.reshape(parameter.shape[0], -1, size)
        steps = 2 ** arguments["num_bits"] - 1
        low, high = groups.amin(-1), groups.amax(-1)
        if arguments["symmetric"]:
            scale, zero = 2 * groups.abs().amax(-1) / steps, torch.zeros_like(low)
        else:
            scale = (high - low) / steps
            zero = (-low / scale).round() - 2 ** (arguments["num_bits"] - 1)
        state = {"weight": parameter, "weight_scale": scale.to(scale_type), "weight_zero_point": zero.to(torch.int8)}
        packed = PackedQuantizationCompressor.compress(state, scheme)
        for part, tensor in packed.items():
            tensors[f"{base}.{part}"] = tensor.contiguous()
        unpacked = PackedQuantizationCompressor.decompress(dict(packed), scheme)["weight"]
        parameter.copy_(unpacked.float())
    place.mkdir()
    safetensors.torch.save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    weights = json.loads(scheme.weights.model_dump_json())
    config["quantization_config"] = {
        "quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}, "ignore": ["lm_head"]}
    (place / "config.json").write_text(json.dumps(config))
    return model


def unpack(source, place):
    """What the package makes of a folder, module by module (transformers 5.23 expects unpacked zeros)."""
    weights = json.loads((place / "config.json").read_text())["quantization_config"]["config_groups"]["group_0"]["weights"]
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**weights))
    stored = safetensors.torch.load_file(place / "model.safetensors")
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    for name, parameter in model.state_dict().items():
        base = name.removesuffix(".weight")
        if name in stored:
            parameter.copy_(stored[name].float())
        elif f"{base}.weight_packed" in stored:
            parts = {key.removeprefix(f"{base}."): value for key, value in stored.items() if key.startswith(f"{base}.")}
            parts["weight_scale"] = parts["weight_scale"].float()
            parts["weight_shape"] = torch.Size(parts["weight_shape"].tolist())
            parameter.copy_(PackedQuantizationCompressor.decompress(parts, scheme)["weight"])
    return model


torch.manual_seed(0)
with tempfile.TemporaryDirectory() as name, torch.no_grad():
    folder = pathlib.Path(name)
    source, text = folder / "model", folder / "text.txt"
    random_llama(source)
    text.write_text("".join(f"word {i * i} of {i}\n" for i in range(4000)))
    for index, (title, flags) in enumerate(OURS.items()):
        place = folder / f"ours-{index}"
        subprocess.run([BUILD / "qad", "quantize", source, "--output", place, "--calibration", text,
                        "--calibration-length", "128", "--layout", "compressed-tensors", "--json", "--method", *flags],
                       check=True, stdout=subprocess.DEVNULL)
        found = distance(place, unpack(source, place))
        check(f"by qad, {title}, unpacked by the package", found <= 1e-3, f"distance {found:.6f}")
        if "zeros" in title or title == "awq":
            continue
        found = distance(place, AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32).eval())
        check(f"by qad, {title}, in transformers", found <= 1e-3, f"distance {found:.6f}")
    for index, (title, arguments) in enumerate(THEIRS.items()):
        for scale_type in (torch.bfloat16, torch.float16):
            place = folder / f"theirs-{index}-{scale_type}"
            found = distance(place, pack(source, place, arguments, scale_type))
            # Decoded in the scales' type by the package, in f32 here.
            check(f"by compressed-tensors, {title}, scales {scale_type}", found <= 1e-2, f"distance {found:.6f}")
finish()
