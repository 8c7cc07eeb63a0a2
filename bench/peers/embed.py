"""Embedding passages: `qad index` beside sentence-transformers, the same model (all-MiniLM-L6-v2), texts and threads.

    ~/.cache/qad/venv-peers/bin/python bench/peers/embed.py [--texts 1500] [--threads N] [--rounds 3]

Needs the environment of `scripts/interop --all` and a release build. Texts are pieces of 20 to 180 words of the licences in
/usr/share/common-licenses. Both work in f32, in turn; sentence-transformers sorts by length and pads batches of 32, its
default. qad's seconds are those of `qad index` as a whole, FTS5 and the file among them, less what the same takes without vectors.
Vectors must agree to 1e-4, or nothing is shown.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import sqlite3
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = pathlib.Path(os.environ.get("QAD_CACHE", pathlib.Path.home() / ".cache" / "qad"))
QAD = ROOT / "build" / "release" / "qad"
LICENCES = ["GPL-3", "LGPL-2.1", "MPL-2.0", "Apache-2.0", "GFDL-1.3"]
TOLERANCE = 1e-4


def pieces(count):
    words = " ".join((pathlib.Path("/usr/share/common-licenses") / name).read_text() for name in LICENCES).split()
    chance, texts = random.Random(0), []
    while len(texts) < count:
        length = chance.randint(20, 180)
        at = chance.randrange(len(words) - length)
        texts.append(" ".join(words[at:at + length]))
    return texts


def project(folder, texts):
    (folder / "pages").mkdir()
    for i, text in enumerate(texts):
        (folder / "pages" / f"{i:06}.md").write_text(f"# {i}\n\n{text}\n")
    item = json.dumps({"prompt": "Which page?", "completion": "none"}) + "\n"
    for name in ("train", "eval"):
        (folder / f"{name}.jsonl").write_text(item)
    for retriever in ("bm25", "dense"):
        (folder / f"{retriever}.yaml").write_text(
            f"model: tiny-gpt2\noutput: {retriever}\ndata: {{train: train.jsonl, eval: eval.jsonl, documents: [pages]}}\n"
            f"prompting: {{rag: {{retriever: {retriever}, chunk_tokens: 400}}}}\n")


def index(folder, retriever, threads):
    done = subprocess.run([QAD, "index", "--config", folder / f"{retriever}.yaml", "--rebuild", "--json", "--threads", str(threads)],
                          stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1500)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    import numpy
    import sentence_transformers
    import torch
    torch.set_num_threads(options.threads)
    model = sentence_transformers.SentenceTransformer(str(CACHE / "models" / "all-minilm-l6-v2"), device="cpu")
    model.encode(["warm"])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        project(folder, pieces(options.texts))
        ours, theirs = [], []
        for _ in range(options.rounds):
            without = index(folder, "bm25", options.threads)["seconds"]
            report = index(folder, "dense", options.threads)
            ours.append(report["seconds"] - without)
            rows = sqlite3.connect(report["index"]).execute(
                "SELECT heading || char(10) || body, vector FROM chunks JOIN vectors ON vectors.chunk = chunks.rowid").fetchall()
            texts = [text for text, _ in rows]
            began = time.perf_counter()
            vectors = model.encode(texts)
            theirs.append(time.perf_counter() - began)
        apart = max(float(numpy.abs(numpy.frombuffer(blob, numpy.float32) - vector).max()) for (_, blob), vector in zip(rows, vectors))
        if not apart <= TOLERANCE:
            raise SystemExit(f"vectors are {apart} apart")
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"{options.texts} texts, {options.threads} threads, {datetime.date.today()}; sentence-transformers {sentence_transformers.__version__}, "
          f"torch {torch.__version__}; largest difference of a component {apart:.1e}\n\n"
          "| qad, texts/s | sentence-transformers, texts/s | ratio | target |\n|--:|--:|--:|--:|\n"
          f"| {options.texts / a:.0f} ({options.texts / max(ours):.0f}–{options.texts / min(ours):.0f}) | "
          f"{options.texts / b:.0f} ({options.texts / max(theirs):.0f}–{options.texts / min(theirs):.0f}) | {b / a:.2f} | ≥ 3 |")


if __name__ == "__main__":
    main()
