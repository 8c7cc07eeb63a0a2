"""GPTQ and AWQ folders, both ways, against GPTQModel: the logits of what qad writes there, and of what it writes here."""

import os

os.cpu_count = lambda: 8  # it refuses fewer cores' worth of workers

import tempfile  # noqa: E402
import subprocess  # noqa: E402

import numpy  # noqa: E402
import torch  # noqa: E402
from gptqmodel import BACKEND, GPTQModel, QuantizeConfig  # noqa: E402
from transformers import AutoModelForCausalLM, LlamaConfig  # noqa: E402

from checks import BUILD, check, dump_logits, finish  # noqa: E402
from vocabulary import byte_tokenizer  # noqa: E402

# Its CPU kernels multiply in 16 bits.
TOLERANCE = 0.02
OURS = {"gptq 4 bits": ["gptq"], "gptq 4 bits, as the inputs lie": ["gptq", "--no-act-order"],
        "gptq 8 bits": ["gptq", "--bits", "8"], "gptq 3 bits": ["gptq", "--bits", "3"], "gptq 2 bits": ["gptq", "--bits", "2"],
        "gptq 4 bits, a whole row": ["gptq", "--group-size", "-1"], "awq+gptq": ["awq+gptq"],
        "gptq with zeros (v2)": ["gptq", "--asymmetric"], "awq": ["awq"]}
THEIRS = {"gptq": {}, "gptq, desc_act": dict(desc_act=True), "gptq 8 bits": dict(bits=8)}


def compare(name, place):
    ids = torch.randint(0, 256, (33,)).tolist()
    model = GPTQModel.load(place, device="cpu", backend=BACKEND.TORCH).model
    with torch.inference_mode():
        want = model(torch.tensor([ids])).logits[0].float().numpy()
    got = numpy.array(dump_logits(place, ids, "--exact"), dtype=numpy.float32)
    distance = float(numpy.linalg.norm(got - want) / numpy.linalg.norm(want))
    check(name, distance <= TOLERANCE, f"distance {distance:.4f}")


torch.manual_seed(0)
with tempfile.TemporaryDirectory() as folder:
    source, text = f"{folder}/model", f"{folder}/text.txt"
    config = LlamaConfig(vocab_size=288, hidden_size=256, intermediate_size=512, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512)
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(0.06 * torch.randn_like(parameter))
    model.save_pretrained(source)
    byte_tokenizer().save_pretrained(source)
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
