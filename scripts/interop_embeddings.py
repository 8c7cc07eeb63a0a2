"""Vectors that `qad index` puts into its file against transformers' on the same texts: all-MiniLM-L6-v2, mean over tokens."""

import json
import pathlib
import random
import sqlite3
import tempfile

import numpy
import torch
from tokenizers import Tokenizer
from transformers import BertModel

from checks import ALL, BUILD, CACHE, TINY_GPT2, check, finish, run_json

MINILM = CACHE / "models" / "all-minilm-l6-v2"
MOST_TOKENS = 256
TOLERANCE = 1e-4  # of each component of a vector of length 1
PAGES = 400 if ALL else 60
WORDS = ("The quick brown fox, naïve café — 日本語 한국어 привет İstanbul don't 3.14 e-mail@x.org (brackets) “quotes” 😀 ½ "
         "return refund bicycle handlebar antidisestablishmentarianism unaffable").split()


def reference():
    raw = json.loads((MINILM / "tokenizer.json").read_text())
    raw.update(truncation=None, padding=None, added_tokens=[])  # special tokens in a text are words
    tokenizer = Tokenizer.from_str(json.dumps(raw))
    tokenizer.enable_truncation(MOST_TOKENS)
    model = BertModel.from_pretrained(MINILM, add_pooling_layer=False).eval()

    def embed(text):
        with torch.inference_mode():
            hidden = model(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state[0]
        return torch.nn.functional.normalize(hidden.mean(dim=0), dim=0).numpy()
    return embed


with tempfile.TemporaryDirectory() as folder:
    folder, chance = pathlib.Path(folder), random.Random(1)
    (folder / "pages").mkdir()
    for page in range(PAGES):
        text = " ".join(chance.choices(WORDS, k=chance.choice((1, 5, 30, 120, 400))))
        (folder / "pages" / f"{page}.md").write_text(f"# Page {page}\n\n{text}\n")
    item = json.dumps({"prompt": "Which page?", "completion": "none"})
    for name in ("train", "eval"):
        (folder / f"{name}.jsonl").write_text(item + "\n")
    (folder / "config.yaml").write_text(
        f"model: {TINY_GPT2}\ndata: {{train: train.jsonl, eval: eval.jsonl, documents: [pages]}}\n"
        "prompting: {rag: {retriever: hybrid, chunk_tokens: 300}}\n")
    report = run_json(BUILD / "qad", "index", "--config", folder / "config.yaml", "--json")
    rows = sqlite3.connect(report["index"]).execute(
        "SELECT heading || char(10) || body, vector FROM chunks JOIN vectors ON vectors.chunk = chunks.rowid").fetchall()
    embed = reference()
    worst = max(float(numpy.abs(numpy.frombuffer(vector, numpy.float32) - embed(text)).max()) for text, vector in rows)
    check("embeddings of all-MiniLM-L6-v2", bool(worst <= TOLERANCE), f"{len(rows)} texts, worst component {worst:.1e} apart")
finish()
