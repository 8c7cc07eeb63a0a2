"""Goldens for src/results and src/evaluate/logistic.h, made by scipy 1.17.1, statsmodels 0.15.0 and scikit-learn 1.9.1.

    python testdata/make_statistics_goldens.py      writes testdata/statistics/goldens.json and logistic.json
"""
import itertools
import json
import pathlib

import numpy as np
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

OUT = pathlib.Path(__file__).parent / "statistics"


def wilson():
    cases = [(0, 4, .95), (4, 4, .95), (40, 40, .95), (120, 120, .95), (17, 40, .95), (1, 3, .9), (250, 1000, .99)]
    rows = []
    for k, n, confidence in cases:
        low, high = proportion_confint(k, n, alpha=1 - confidence, method="wilson")
        rows.append({"k": k, "n": n, "confidence": confidence, "low": low, "high": high})
    return rows


def mcnemar_exact():
    rows = []
    for b, c in [(0, 0), (1, 0), (5, 0), (6, 0), (10, 2), (7, 7), (30, 18), (400, 330), (3, 60)]:
        rows.append({"b": b, "c": c, "p": float(mcnemar([[0, b], [c, 0]], exact=True).pvalue)})
    return rows


def clustered():
    """All 2^k sign patterns counted one by one."""
    rows = []
    for totals in [[1, 1, 1, 1, 1, 1], [2, 1, -1, 3, 0, 2, 1], [3, -3, 1], [2, 2, 2, -1, 1, 1, 4, -2, 1, 1]]:
        sums = [abs(sum(s * t for s, t in zip(signs, totals))) for signs in itertools.product((-1, 1), repeat=len(totals))]
        rows.append({"totals": totals, "p": float(np.mean(np.array(sums) >= abs(sum(totals))))})
    return rows


def holm():
    rows = []
    for p in [[.01, .04, .03, .005], [.2, .9, .0001], [.5, .6], [.02, .02, .02]]:
        rows.append({"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()})
    return rows


def power():
    """Power of exact McNemar, summed over every (wins, losses) table."""
    rows = []
    for n, discordance, difference in [(30, .3, .275), (60, .2, .165), (120, .1, .085), (120, .3, .145)]:
        wins, losses = (discordance + difference) / 2, (discordance - difference) / 2
        total = 0.0
        for b in range(n + 1):
            for c in range(n + 1 - b):
                if b + c > 0 and stats.binomtest(b, b + c).pvalue <= .05:
                    total += stats.multinomial.pmf([b, c, n - b - c], n, [wins, losses, 1 - wins - losses])
        rows.append({"n": n, "discordance": discordance, "difference": difference, "power": float(total)})
    return rows


def binomial():
    return [{"n": n, "k": k, "p": p, "upper": float(stats.binom.sf(k - 1, n, p)), "lower": float(stats.binom.cdf(k, n, p))}
            for n, k, p in [(10, 3, .5), (100, 70, .5), (1000, 400, .45), (1000, 1, .001), (5000, 2700, .5), (20, 20, .3)]]


def bootstrap():
    """100,000 resamples of whole clusters; ours draws other ones, so the test allows for Monte Carlo error."""
    rng = np.random.default_rng(0)
    rows = []
    for clusters, size in [(40, 1), (30, 3)]:
        shared = rng.normal(0, .3, clusters)
        values = (shared[:, None] + rng.normal(.1, .2, (clusters, size))).round(6)
        draws = rng.integers(0, clusters, (100_000, clusters))
        means = values.mean(axis=1)[draws].mean(axis=1)
        tail = min((means <= 0).mean(), (means >= 0).mean())
        rows.append({"values": values.ravel().tolist(), "clusters": [f"c{i}" for i in range(clusters) for _ in range(size)],
                     "mean": values.mean(), "low": np.quantile(means, .025), "high": np.quantile(means, .975),
                     "deviation": means.std(), "p": min(1.0, 2 * tail)})
    return rows


def logistic():
    """A small ticket set: scikit-learn's defaults for TfidfVectorizer and LogisticRegression (C = 1)."""
    rng = np.random.default_rng(1)
    topics = {"billing": "invoice charged refund card payment twice receipt tax amount".split(),
              "delivery": "parcel late courier tracking address lost box arrived broken".split(),
              "account": "password login email locked profile reset sign device code".split(),
              "product": "size colour battery manual spare wheel brake fits model".split()}
    # No articles: NormalizeAnswer drops them, scikit-learn does not.
    filler = "please help me with my is it was and today yesterday order since have hello thanks".split()
    texts, labels = [], []
    for label, words in topics.items():
        for _ in range(60):
            # A third of the cue words comes from other topics, so that nobody gets everything right.
            other = [w for l in topics if l != label for w in topics[l]]
            cue = [rng.choice(words) if rng.random() < .66 else rng.choice(other) for _ in range(3)]
            text = list(rng.choice(filler, 9)) + cue
            rng.shuffle(text)
            texts.append(" ".join(text))
            labels.append(label)
    order = rng.permutation(len(texts))
    texts, labels = [texts[i] for i in order], [labels[i] for i in order]
    train, test = slice(0, 120), slice(120, 240)
    vectorizer = TfidfVectorizer()
    features = vectorizer.fit_transform(texts[train])
    model = LogisticRegression(C=1.0, tol=1e-8, max_iter=10_000).fit(features, labels[train])
    probabilities = model.predict_proba(vectorizer.transform(texts[test]))
    return {"train": [{"text": t, "label": l} for t, l in zip(texts[train], labels[train])],
            "test": [{"text": t, "label": l} for t, l in zip(texts[test], labels[test])],
            "classes": model.classes_.tolist(), "probabilities": probabilities.round(6).tolist(),
            "accuracy": float((model.predict(vectorizer.transform(texts[test])) == labels[test]).mean())}


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    normal = [[p, float(stats.norm.ppf(p))] for p in (1e-9, .025, .5, .8, .995)]
    goldens = {"wilson": wilson(), "mcnemar": mcnemar_exact(), "clustered": clustered(), "holm": holm(), "power": power(),
               "binomial": binomial(), "bootstrap": bootstrap(), "normal": normal}
    (OUT / "goldens.json").write_text(json.dumps(goldens, indent=1) + "\n")
    (OUT / "logistic.json").write_text(json.dumps(logistic(), indent=1) + "\n")
