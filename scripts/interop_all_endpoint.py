"""A real endpoint under the same flow: llama.cpp's server on the loopback, with the GGUF that the arm `gguf` runs in this process."""

import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from checks import BUILD, SMOLLM2, check, finish, run_json

THREADS, START_SECONDS = 1, 60  # of either side: the server's threads wait in a loop, which two on one core do not bear
ALIKE = 0.5  # of greedy beginnings at least: both sides round activations, each in its own way
BEGINNING = 3  # tokens
QUESTIONS = ["What is the capital of France?", "How many days has a week?", "Name a colour.", "Is ice cold?",
             "What do bees make?", "日本の首都はどこですか？ Answer in “English” — naïvely."]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url, server):
    for _ in range(10 * START_SECONDS):
        if server.poll() is not None:
            sys.exit(f"llama_cpp.server ended with {server.returncode}")
        try:
            urllib.request.urlopen(f"{url}/models", timeout=1)
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("llama_cpp.server does not start")


def counted(url, question):
    """Tokens of a prompt as the server counts them; it says so only where the answer is not streamed."""
    request = {"model": "any", "messages": [{"role": "user", "content": question}], "max_tokens": 1, "temperature": 0}
    done = urllib.request.urlopen(urllib.request.Request(f"{url}/chat/completions", json.dumps(request).encode(),
                                                         {"Content-Type": "application/json"}), timeout=60)
    return json.load(done)["usage"]["prompt_tokens"]


def samples(folder, arm):
    lines = (folder / "outputs" / "samples" / f"{arm}.jsonl").read_text().splitlines()
    return {sample["item"]: sample for sample in map(json.loads, lines)}


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    (folder / "pages").mkdir()
    (folder / "pages" / "bees.md").write_text("# Bees\n\nBees make honey.\n")
    (folder / "train.jsonl").write_text(json.dumps({"prompt": "Is fire hot?", "completion": "Yes"}) + "\n")
    (folder / "eval.jsonl").write_text("".join(json.dumps({"id": str(i), "prompt": question, "completion": "honey"}) + "\n"
                                               for i, question in enumerate(QUESTIONS)))
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    arm = f"endpoint: {url}, model: any, timeout: 60s"
    (folder / "config.yaml").write_text(
        f"model: {SMOLLM2}\ndata: {{train: train.jsonl, eval: eval.jsonl, documents: [pages]}}\n"
        f"arms: [gguf, gguf + rag, {{name: served, {arm}}}, {{name: served rag, prompting: rag, {arm}, "
        "price_per_million_tokens: {prompt: 1, output: 2}}]\n"
        f"eval: {{max_new_tokens: {BEGINNING}, repetitions: 1, bootstrap: 100}}\n"
        "decide: {horizon_months: 1}\n")
    log = open(folder / "server.log", "w")
    server = subprocess.Popen([sys.executable, "-m", "llama_cpp.server", "--model", SMOLLM2, "--host", "127.0.0.1", "--port", str(port),
                               "--n_ctx", "2048", "--n_threads", str(THREADS), "--n_threads_batch", str(THREADS)],
                              stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(url, server)
        report = run_json(BUILD / "qad", "eval", "--config", folder / "config.yaml", "--threads", THREADS, "--json")
        for local, remote in (("gguf", "served"), ("gguf+rag", "served-rag")):
            ours, theirs = samples(folder, local), samples(folder, remote)
            check(f"{remote}: every item has an answer", set(ours) == set(theirs) and all(s["output"] for s in theirs.values()))
            alike = sum(ours[item]["output"].strip() == theirs[item]["output"].strip() for item in ours) / len(ours)
            check(f"{remote}: greedy answers are alike", alike >= ALIKE, f"{alike:.0%}")
        ours = samples(folder, "gguf")
        pairs = [(ours[str(i)]["prompt_tokens"], counted(url, question)) for i, question in enumerate(QUESTIONS)]
        check("prompts have the tokens that the endpoint counts", all(a == b for a, b in pairs), " ".join(f"{a}/{b}" for a, b in pairs))
        rows = {(row["arm"], row["metric"]): row["value"] for row in report["rows"]}
        check("first tokens are timed apart", 0 < rows["served", "ttft_p50"] < rows["served", "latency_p50"],
              f"{rows['served', 'ttft_p50']:.3f} of {rows['served', 'latency_p50']:.3f} s")
        price = (rows["served rag", "prompt_tokens"] + 2 * rows["served rag", "output_tokens"]) / 1e6
        check("tokens have their price", abs(rows["served rag", "query_price"] - price) <= 1e-12)
        asked = run_json(BUILD / "qad", "ask", "--config", folder / "config.yaml", "--arm", "served", "--json", QUESTIONS[0])
        check("qad ask", bool(asked["answer"]), asked["answer"])
    finally:
        server.terminate()
        server.wait()
    (folder / "outputs" / "cache" / "eval--served.json").unlink()
    (folder / "eval.jsonl").write_text(json.dumps({"id": "0", "prompt": QUESTIONS[0], "completion": "honey"}) + "\n")
    gone = subprocess.run([BUILD / "qad", "eval", "--config", folder / "config.yaml", "--json"], capture_output=True, text=True)
    check("an endpoint that is gone", gone.returncode == 1 and "is the endpoint up?" in gone.stderr, gone.stderr.strip().splitlines()[-1])
finish()
