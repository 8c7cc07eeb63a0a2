"""qad tokenize against `tokenizers` (SmolLM2) and `tiktoken` (GPT-2) on random Unicode text, special tokens off."""

import base64
import concurrent.futures
import os
import random
import tempfile

import tiktoken
from gguf import GGUFReader
from tokenizers import Tokenizer, models, pre_tokenizers

from checks import ALL, BUILD, CACHE, SMOLLM2, TINY_GPT2, check, finish, run_json

TEXTS = 2000 if ALL else 200
# GPT-2's split: contractions, words, numbers, the rest, white space (openai/gpt-2, src/encoder.py).
GPT2_SPLIT = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""

# Ranges that exercise letters with and without case, marks, digits of several scripts, blanks, emoji, private use.
RANGES = [(0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x17F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x5FF),
          (0x660, 0x669), (0x900, 0x97F), (0x1100, 0x11FF), (0x2000, 0x206F), (0x2150, 0x218F), (0x3040, 0x30FF),
          (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xE000, 0xE0FF), (0x1F300, 0x1F64F)]
PIECES = ["I'm", "they'LL", " 2026", "3.14159", "\n\n", "\t", "  ", "   x", "\r\n", "<|im_start|>", "<|endoftext|>",
          "''", " café", "naïve ", "😀👍🏽", "a\u0301", "Ⅷ", "½", "\u00a0", "\u3000", "\u200d",
          "def f(x):\n    return x\n"]


def random_text(source):
    return "".join(source.choice(PIECES) if source.random() < 0.3 else chr(source.randint(*source.choice(RANGES)))
                   for _ in range(source.randint(1, 120)))


def smollm2_reference():
    """The pipeline of SmolLM2's tokenizer.json (digits one by one, byte-level BPE) with the vocabulary of the GGUF."""
    fields = GGUFReader(SMOLLM2).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def gpt2_reference():
    lines = (CACHE / "vocab" / "gpt2.tiktoken").read_text().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}
    encoding = tiktoken.Encoding("gpt2", pat_str=GPT2_SPLIT, mergeable_ranks=ranks, special_tokens={})
    return encoding.encode_ordinary


def tokenize(model, text):
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        return run_json(BUILD / "qad", "tokenize", model, "--no-special", "--json", "--file", file.name)["ids"]


def compare(name, model, reference, texts):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        got = list(pool.map(lambda text: tokenize(model, text), texts))
    wrong = [text for text, ids in zip(texts, got) if ids != reference(text)]
    check(f"{name}: {len(texts)} texts, {sum(map(len, got))} tokens", not wrong,
          f"{len(wrong)} differ, first {min(wrong, key=len)!r}" if wrong else "")


source = random.Random(0)
texts = PIECES + [random_text(source) for _ in range(TEXTS)]
compare("SmolLM2", SMOLLM2, smollm2_reference(), texts)
compare("GPT-2", TINY_GPT2, gpt2_reference(), texts)
finish()
