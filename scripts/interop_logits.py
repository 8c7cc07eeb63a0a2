"""Logits of qad in exact mode (f32) against transformers in f32: random Llama and GPT-2 models, tiny-gpt2, SmolLM2."""

import tempfile

import numpy
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedTokenizerFast

from checks import SMOLLM2, TINY_GPT2, check, dump_logits, finish

VOCAB = 288  # 256 bytes and some that are never used
# f32 has eps = 6e-8: a sum of k products is off by about eps·√k of its terms' norm, k ≤ 1536 here, and up to 30 layers
# add their errors: 6e-8 · √1536 · √30 = 1.3e-5 of the largest logit.
TOLERANCE = 1.3e-5

LLAMAS = {
    "llama, grouped queries": dict(num_key_value_heads=2),
    "llama, tied head": dict(num_key_value_heads=4, tie_word_embeddings=True),
    "llama, biases and rope_theta": dict(num_key_value_heads=1, attention_bias=True, mlp_bias=True, rope_theta=1e5),
}
GPT2S = {"gpt2": {}, "gpt2, hidden 60": dict(n_embd=60, n_head=3)}


def byte_tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({text: i for i, text in enumerate(alphabet + ["<|endoftext|>"])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")


def random_model(config):
    """Weights large enough that logits differ, and norms and biases that are not 1 and 0."""
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn_like(parameter)
            parameter.copy_(parameter + 0.2 * noise if parameter.dim() == 1 else 0.2 * noise)
    return model


def compare(name, model, place, ids):
    with torch.inference_mode():
        want = model(torch.tensor([ids])).logits[0].numpy()
    got = numpy.array(dump_logits(place, ids, "--exact"), dtype=numpy.float32)
    if got.shape != want.shape:
        return check(name, False, f"shape {got.shape}, expected {want.shape}")
    worst, largest = numpy.abs(got - want).max(), numpy.abs(want).max()
    check(name, bool(worst <= TOLERANCE * largest), f"worst {worst:.2e} of {largest:.3g}")


def random_ids(vocab, count):
    return torch.randint(0, vocab, (count,)).tolist()


def compare_random(name, config):
    with tempfile.TemporaryDirectory() as folder:
        model = random_model(config)
        model.save_pretrained(folder)
        byte_tokenizer().save_pretrained(folder)
        for count in (1, 33):
            compare(f"{name}, {count} tokens", model, folder, random_ids(VOCAB, count))


torch.manual_seed(0)
for name, traits in LLAMAS.items():
    compare_random(name, LlamaConfig(vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
                                     num_attention_heads=4, max_position_embeddings=128, **traits))
for name, traits in GPT2S.items():
    compare_random(name, GPT2Config(**{**dict(vocab_size=VOCAB, n_embd=64, n_layer=2, n_head=4, n_positions=128,
                                              bos_token_id=0, eos_token_id=0), **traits}))
compare("tiny-gpt2", AutoModelForCausalLM.from_pretrained(TINY_GPT2).eval(), TINY_GPT2, random_ids(50257, 64))
smollm2 = AutoModelForCausalLM.from_pretrained(SMOLLM2.parent, gguf_file=SMOLLM2.name, dtype=torch.float32).eval()
compare("SmolLM2-135M-Instruct Q4_1", smollm2, SMOLLM2, random_ids(smollm2.config.vocab_size, 64))
finish()
