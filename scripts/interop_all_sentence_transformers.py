"""Vectors that `qad index` puts into its file against those of sentence-transformers itself: all-MiniLM-L6-v2, texts of all lengths in one batch."""

import json
import pathlib
import random
import sqlite3
import tempfile

import numpy
from sentence_transformers import SentenceTransformer

from checks import BUILD, CACHE, TINY_GPT2, check, finish, run_json

MINILM = CACHE / "models" / "all-minilm-l6-v2"
TOLERANCE = 1e-4  # of each component of a vector of length 1
PAGES = 200
LENGTHS = (1, 5, 30, 120, 290)  # words; the longest go beyond the 256 tokens that the model sees
WORDS = ("The quick brown fox, naïve café — 日本語 한국어 привет İstanbul don't 3.14 e-mail@x.org (brackets) “quotes” 😀 ½ "
         "return refund bicycle handlebar antidisestablishmentarianism unaffable").split()


def project(folder):
    chance = random.Random(2)
    (folder / "pages").mkdir()
    for page in range(PAGES):
        text = " ".join(chance.choices(WORDS, k=LENGTHS[page % len(LENGTHS)]))
        (folder / "pages" / f"{page}.md").write_text(f"# Page {page}\n\n{text}\n")
    for name in ("train", "eval"):
        (folder / f"{name}.jsonl").write_text(json.dumps({"prompt": "Which page?", "completion": "none"}) + "\n")
    (folder / "config.yaml").write_text(
        f"model: {TINY_GPT2}\ndata: {{train: train.jsonl, eval: eval.jsonl, documents: [pages]}}\n"
        "prompting: {rag: {retriever: dense, chunk_tokens: 1000}}\n")


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    project(folder)
    report = run_json(BUILD / "qad", "index", "--config", folder / "config.yaml", "--json")
    rows = sqlite3.connect(report["index"]).execute(
        "SELECT heading || char(10) || body, vector FROM chunks JOIN vectors ON vectors.chunk = chunks.rowid").fetchall()
texts = [text for text, _ in rows]
ours = numpy.stack([numpy.frombuffer(vector, numpy.float32) for _, vector in rows])
model = SentenceTransformer(str(MINILM), device="cpu")
theirs = model.encode(texts)
cut = sum(len(model.tokenizer(text)["input_ids"]) > model.max_seq_length for text in texts)
check("every page has a vector", len(texts) >= PAGES and ours.shape == theirs.shape, f"{ours.shape} and {theirs.shape}")
check("some are longer than the model sees", cut > 0, f"{cut} of {len(texts)}")
worst = float(numpy.abs(ours - theirs).max())  # NaN where any is
check("embeddings of all-MiniLM-L6-v2", worst <= TOLERANCE, f"worst component {worst:.1e} apart")
finish()
