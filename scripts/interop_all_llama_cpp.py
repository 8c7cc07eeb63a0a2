"""GGUF files of qad run by llama.cpp, and files of its quantizer read by qad: both must find them as near to the model,
and each other's logits near; and vocabularies that qad made from a folder are read by it."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy
from safetensors.numpy import save_file

from checks import BUILD, ROOT, SMOLLM2, check, dump_logits, finish, run_json

sys.path.insert(0, str(ROOT / "bench" / "peers"))
import llama_cpp_peer  # noqa: E402

LICENCES = pathlib.Path("/usr/share/common-licenses")
MADE = {"Q4_0 with error feedback": ["gguf", "--type", "Q4_0", "--error-feedback"],
        "Q4_K_M with error feedback": ["gguf", "--type", "Q4_K_M", "--error-feedback"],
        "Q3_K_M with error feedback": ["gguf", "--type", "Q3_K_M", "--error-feedback"],
        "auto, 85MB": ["auto", "--budget", "85MB"],
        **{f"{name}, by importance": ["gguf", "--type", name] for name in ("Q5_0", "Q2_K", "Q6_K", "IQ4_NL")}}
THEIRS = ("q4_0", "q5_1", "q2_k", "q3_k_m", "q4_k_m", "q5_k_m", "q6_k", "q8_0")
THREADS, WINDOW = 2, 512
# Of what qad finds, with int8 activations as llama.cpp has them (--rows answers). On top of it comes what theirs cost:
# its divergence for the file that holds the model's own weights, on the same windows.
TOLERANCE = 0.1
TEXTS = ["In 2026, 12 bikes cost 3450 and 99.", "I'm naïve \u2014 don't!\n\n\tok  x", "日本語 😀👍🏽 \u0301", "<|im_start|>user\nhi<|im_end|>"]


def quantize(source, place, *arguments):
    return run_json(BUILD / "qad", "quantize", source, "--output", place, "--json", "--method", *arguments)


def apart(place, theirs, window, *flags):
    """KL(qad ‖ llama.cpp) in nats per position of the second half of a window, of one file; qad's arithmetic is exact."""
    ours = numpy.array(dump_logits(place, window, "--exact", *flags))[len(window) // 2:-1]
    ours -= ours.max(axis=1, keepdims=True)
    ours -= numpy.log(numpy.exp(ours).sum(axis=1, keepdims=True))
    return float((numpy.exp(ours) * (ours - theirs)).sum(axis=1).mean())


def vocabulary_of_a_folder(folder):
    """SmolLM2's tokenizer in a folder around a model that is next to nothing, made into a GGUF file."""
    source = folder / "int8"
    quantize(SMOLLM2, source, "int8")
    model = folder / "small"
    model.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (source / name).rename(model / name)
    config = json.loads((source / "config.json").read_text())
    del config["quantization_config"]
    config.update(hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1,
                  head_dim=64)
    (model / "config.json").write_text(json.dumps(config))
    layer = "model.layers.0"
    shapes = {"model.embed_tokens": (config["vocab_size"], 64), "model.norm": (64,),
              **{f"{layer}.self_attn.{name}_proj": (64, 64) for name in "qkvo"},
              **{f"{layer}.mlp.{name}_proj": (64, 64) for name in ("gate", "up", "down")},
              **{f"{layer}.{name}_layernorm": (64,) for name in ("input", "post_attention")}}
    save_file({f"{name}.weight": numpy.ones(shape, numpy.float32) for name, shape in shapes.items()},
              model / "model.safetensors")
    place = folder / "small.gguf"
    quantize(model, place, "gguf", "--type", "F16")
    return place


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    calibration, held_out = folder / "calibration.txt", folder / "held-out.txt"
    calibration.write_text((LICENCES / "GPL-3").read_text()[:16000])
    held_out.write_text((LICENCES / "GFDL-1.3").read_text()[:9000])
    f32 = folder / "f32.gguf"
    quantize(SMOLLM2, f32, "gguf", "--type", "F32")
    ids = subprocess.run([BUILD / "qad", "tokenize", f32, "--file", held_out], stdout=subprocess.PIPE, text=True,
                         check=True).stdout.split()
    windows = [[int(token) for token in ids[at:at + WINDOW]] for at in range(0, len(ids) - WINDOW + 1, WINDOW)]
    arithmetic = llama_cpp_peer.divergence(SMOLLM2, f32, THREADS, windows)
    place = folder / "made.gguf"

    def compare(name):
        theirs = llama_cpp_peer.divergence(place, f32, THREADS, windows)
        ours = run_json(BUILD / "qad", "perplexity", place, "--reference", f32, "--reference-format", "f32", "--file",
                        held_out, "--protocol", "llama.cpp", "--rows", "answers", "--json")["kl_divergence"]
        check(name, bool(abs(theirs - ours) <= TOLERANCE * ours + arithmetic),
              f"KL divergence {theirs:.4f} by llama.cpp, {ours:.4f} by qad; {arithmetic:.4f} is llama.cpp's arithmetic")
        between = apart(place, llama_cpp_peer.log_probabilities(place, THREADS, windows[:1])[0], windows[0])
        check(f"{name}: logits", bool(between <= 2 * arithmetic), f"{between:.4f} between the programs")
        place.unlink()

    small = vocabulary_of_a_folder(folder)
    for text in TEXTS:
        ids, special = llama_cpp_peer.tokenize(small, text)
        ours = run_json(BUILD / "qad", "tokenize", SMOLLM2, "--json", "--text", text)["ids"]
        check(f"vocabulary made from a folder: {text[:20]!r}", ids == ours, f"{ids} and {ours}"[:200])
    of_source = llama_cpp_peer.tokenize(SMOLLM2, "")[1]
    check("its special tokens", special == of_source, f"{special} and {of_source}")

    # An adapter on all linear layers, in PEFT's format and as llama.cpp takes it.
    ids_file, trained, adapter = folder / "ids.json", folder / "adapter", folder / "adapter.gguf"
    ids_file.write_text(json.dumps([token for window in windows for token in window][:6 * 2 * 64]))
    for scaling in ([], ["--rank-pattern", "q_proj=3,down_proj=5", "--alpha-pattern", "v_proj=40"]):
        run_json(BUILD / "bench" / "train", f32, "--ids", ids_file, "--batch", 2, "--length", 64, "--steps", 5, "--exact",
                 "--weights", "f32", "--output", trained, *scaling)
        run_json(BUILD / "qad", "convert", trained, adapter, "--model", f32, "--json")
        without = apart(f32, llama_cpp_peer.log_probabilities(f32, THREADS, windows[:1])[0], windows[0], "--adapter", trained)
        between = apart(f32, llama_cpp_peer.log_probabilities(f32, THREADS, windows[:1], adapter)[0], windows[0],
                        "--adapter", trained)
        check(f"an adapter as GGUF{', ranks and alphas by module' if scaling else ''}",
              bool(between <= 1e-4 and without > 100 * between),
              f"{between:.2g} between the programs, {without:.2g} where llama.cpp has no adapter")
        back = folder / "back"
        run_json(BUILD / "qad", "convert", adapter, back, "--model", f32, "--json")
        again = numpy.abs(numpy.array(dump_logits(f32, windows[0][:64], "--exact", "--adapter", trained)) -
                          numpy.array(dump_logits(f32, windows[0][:64], "--exact", "--adapter", back))).max()
        check("and back as a PEFT folder", bool(again <= 1e-4), f"largest difference of a logit {again:.2g}")
        for place_of in (trained, back):
            shutil.rmtree(place_of)
        adapter.unlink()

    for name, arguments in MADE.items():
        quantize(f32, place, *arguments, "--calibration", calibration)
        compare(f"ours: {name}")
    for name in THEIRS:
        llama_cpp_peer.quantize(f32, place, name)
        compare(f"theirs: {name}")
finish()
