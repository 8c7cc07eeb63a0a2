"""GPTQ and AWQ folders, both ways, against GPTQModel: the logits of what qad writes there, and of what it writes here."""

import os

os.cpu_count = lambda: 8  # it refuses fewer cores' worth of workers

import tempfile  # noqa: E402
import subprocess  # noqa: E402

import torch  # noqa: E402
from gptqmodel import BACKEND, GPTQModel, QuantizeConfig  # noqa: E402
from gptqmodel.quantization import FORMAT, METHOD  # noqa: E402

from checks import BUILD, check, finish  # noqa: E402
from small_model import distance, random_llama  # noqa: E402

# Its CPU kernels multiply in 16 bits.
TOLERANCE = 0.02
OURS = {"gptq 4 bits": ["gptq"], "gptq 4 bits, as the inputs lie": ["gptq", "--no-act-order"],
        "gptq 8 bits": ["gptq", "--bits", "8"], "gptq 3 bits": ["gptq", "--bits", "3"], "gptq 2 bits": ["gptq", "--bits", "2"],
        "gptq 4 bits, a whole row": ["gptq", "--group-size", "-1"], "awq-gptq": ["awq-gptq"],
        "gptq with zeros (v2)": ["gptq", "--asymmetric"], "awq": ["awq"]}
THEIRS = {"gptq": {}, "gptq, desc_act": dict(desc_act=True), "gptq 8 bits": dict(bits=8),
          "gptq with zeros (v2)": dict(sym=False, format=FORMAT.GPTQ_V2),
          "awq": dict(sym=False, quant_method=METHOD.AWQ, format=FORMAT.GEMM)}


def compare(name, place):
    found = distance(place, GPTQModel.load(place, device="cpu", backend=BACKEND.TORCH).model)
    check(name, found <= TOLERANCE, f"distance {found:.4f}")


torch.manual_seed(0)
with tempfile.TemporaryDirectory() as folder:
    source, text = f"{folder}/model", f"{folder}/text.txt"
    random_llama(source)
    words = [f"word {i * i} of {i}\n" for i in range(4000)]
    open(text, "w").write("".join(words))
    for name, flags in OURS.items():
        place = f"{folder}/ours-{len(os.listdir(folder))}"
        subprocess.run([BUILD / "qad", "quantize", source, "--output", place, "--calibration", text, "--calibration-length",
                        "128", "--json", "--method", *flags], check=True, stdout=subprocess.DEVNULL)
        compare(f"by qad, {name}", place)
    for name, settings in THEIRS.items():
        place = f"{folder}/theirs-{len(os.listdir(folder))}"
        theirs = GPTQModel.load(source, QuantizeConfig(**{**dict(bits=4, group_size=64), **settings}), device="cpu")
        theirs.quantize(["".join(words[at:at + 40]) for at in range(0, 1280, 40)], batch_size=1)
        theirs.save(place)
        compare(f"by GPTQModel, {name}", place)
finish()
