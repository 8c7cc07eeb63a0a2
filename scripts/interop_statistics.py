"""The statistics of a whole evaluation against statsmodels and scipy: three endpoints that are right by the toss of a loaded coin,
asked by `qad eval`; intervals, p-values and their correction come out of results.json."""

import http.server
import json
import pathlib
import tempfile
import threading

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from checks import ALL, BUILD, TINY_GPT2, check, finish, run_json

RATES = {"good": 0.8, "fair": 0.6, "poor": 0.5}  # of right answers
ITEMS, CLUSTERS, OF_CLUSTER = 120, 40, 2
EXACT = 1e-9
RESAMPLES = 50_000 if ALL else 20_000
MONTE_CARLO = 0.01  # of an end of the interval: one item, 1 of 122, and no more


def items():
    for i in range(ITEMS):
        yield {"id": f"one-{i}", "slice": "one", "prompt": f"one-{i}", "completion": "yes"}
    for i in range(CLUSTERS * OF_CLUSTER):
        yield {"id": f"two-{i}", "slice": "two", "prompt": f"two-{i}", "completion": "yes", "fact": f"fact-{i // OF_CLUSTER}"}


def answer_of(model, question):
    """What is hard for one is hard for the others, and items of a cluster are alike."""
    slice_name, number = question.split("-")
    cluster = int(number) // OF_CLUSTER if slice_name == "two" else int(number)
    shared = np.random.default_rng([1, slice_name == "two", cluster]).random()
    own = np.random.default_rng([2, sum(map(ord, model + question))]).random()
    return "yes" if 0.5 * shared + 0.5 * own < 0.2 + 0.6 * RATES[model] else "no"


class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = request["messages"][-1]["content"]
        text = answer_of(request["model"], question) if question in QUESTIONS else "yes"
        body = f"data: {json.dumps({'choices': [{'delta': {'content': text}, 'finish_reason': 'stop'}]})}\n\ndata: [DONE]\n\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


QUESTIONS = {item["prompt"] for item in items()}


def evaluate(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (folder / "train.jsonl").write_text('{"prompt": "Is fire hot?", "completion": "yes"}\n')
    (folder / "eval.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items()))
    arms = ", ".join(f'{{name: {name}, endpoint: "http://127.0.0.1:{server.server_address[1]}/v1", model: {name}}}'
                     for name in RATES)
    pairs = ", ".join(f"{{better: {a}, than: {b}, slice: {s}, metric: contains}}" for a, b, s in PAIRS)
    (folder / "config.yaml").write_text(
        f"model: {TINY_GPT2}\ndata: {{train: train.jsonl, eval: eval.jsonl}}\narms: [{arms}]\n"
        f"eval: {{max_new_tokens: 4, repetitions: 1, bootstrap: {RESAMPLES}}}\ncomparisons: [{pairs}]\n")
    run_json(BUILD / "qad", "eval", "--config", folder / "config.yaml", "--json")
    server.shutdown()
    return json.loads((folder / "outputs" / "results.json").read_text())


PAIRS = [("good", "fair", "one"), ("fair", "poor", "one"), ("good", "poor", "one"), ("good", "fair", "two"), ("fair", "poor", "two")]


def scores(folder, arm):
    lines = (folder / "outputs" / "samples" / f"{arm}.jsonl").read_text().splitlines()
    return {sample["item"]: (sample["scores"]["contains"], sample["cluster"], sample["slice"]) for sample in map(json.loads, lines)}


def near(name, got, want, tolerance):
    check(name, abs(got - want) <= tolerance, f"{got:.6f} {want:.6f}")


def sign_flip(totals):
    """Of all ways to turn the signs of the totals, those whose sum is as far from zero: counted by convolution."""
    totals = [abs(int(total)) for total in totals if total]
    ways = np.ones(1)
    for total in totals:
        step = np.zeros(2 * total + 1)
        step[0] = step[-1] = 0.5
        ways = np.convolve(ways, step)
    return ways


def p_of(totals):
    ways, middle = sign_flip(totals), sum(abs(int(t)) for t in totals)
    seen = abs(int(sum(totals)))
    return min(1.0, float(ways[np.abs(np.arange(len(ways)) - middle) >= seen].sum()))


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    results = evaluate(folder)
    rows = {(row["arm"], row["slice"], row["metric"]): row for row in results["rows"]}
    answered = {name: scores(folder, name) for name in RATES}
    for name in RATES:
        right = [score for score, _, slice_name in answered[name].values() if slice_name == "one"]
        low, high = proportion_confint(sum(right), len(right), method="wilson")
        row = rows[name, "one", "contains"]
        check(f"{name}: answers are neither all right nor all wrong", 0 < sum(right) < len(right))
        near(f"{name}: Wilson's lower end", row["low"], low, EXACT)
        near(f"{name}: Wilson's upper end", row["high"], high, EXACT)
    compared = {(c["better"], c["than"], c["slice"]): c for c in results["comparisons"] if c["declared"]}
    p_values = []
    for better, than, slice_name in PAIRS:
        pair, name = compared[better, than, slice_name], f"{better} − {than} on {slice_name}"
        totals = {}
        for item, (score, cluster, its_slice) in answered[better].items():
            if its_slice == slice_name:
                totals.setdefault(cluster, []).append(score - answered[than][item][0])
        sums = [sum(of) for of in totals.values()]
        if slice_name == "one":
            won, lost = sum(s > 0 for s in sums), sum(s < 0 for s in sums)
            near(f"{name}: exact McNemar", pair["p_value"], float(mcnemar([[0, won], [lost, 0]], exact=True).pvalue), EXACT)
        near(f"{name}: signs of clusters turned", pair["p_value"], p_of(sums), EXACT)
        p_values.append(pair["p_value"])
        clusters = np.array([[sum(of), len(of)] for of in totals.values()] + [[1, 1], [-1, 1]], dtype=float)
        interval = stats.bootstrap((np.arange(len(clusters)),), lambda at, axis=-1: clusters[at.astype(int), 0].sum(axis=axis)
                                   / clusters[at.astype(int), 1].sum(axis=axis), n_resamples=RESAMPLES, method="percentile",
                                   vectorized=True, batch=1000, rng=np.random.default_rng(3)).confidence_interval
        near(f"{name}: the bootstrap's lower end", pair["low"], interval.low, MONTE_CARLO)
        near(f"{name}: the bootstrap's upper end", pair["high"], interval.high, MONTE_CARLO)
    for (better, than, slice_name), want in zip(PAIRS, multipletests(p_values, method="holm")[1]):
        near(f"{better} − {than} on {slice_name}: Holm", compared[better, than, slice_name]["p_adjusted"], want, EXACT)
finish()
