"""GGUF files of qad run by llama.cpp, and files of its quantizer read by qad: both must find them as near to the model."""

import pathlib
import subprocess
import sys
import tempfile

from checks import BUILD, ROOT, SMOLLM2, check, finish, run_json

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


def quantize(source, place, *arguments):
    return run_json(BUILD / "qad", "quantize", source, "--output", place, "--json", "--method", *arguments)


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
        place.unlink()

    for name, arguments in MADE.items():
        quantize(f32, place, *arguments, "--calibration", calibration)
        compare(f"ours: {name}")
    for name in THEIRS:
        llama_cpp_peer.quantize(f32, place, name)
        compare(f"theirs: {name}")
finish()
