"""What must hold for the data to be worth measuring with; every function returns its problems as lines."""

import itertools
import re

STOP = set("""a an and any are as at be been before but by can could did do does for from get had has have how i if in into is it
its me mine my need no not of off on one or our out should so than that the their them then there they this to up us was we
what when where which who whom whose will with within would you your""".split())

# What the other files are about: a general question holds no word that begins so.
HELPDESK = tuple("""larkspur bike bicycl cycl pedal saddl helmet handlebar tyre handbook helpdesk ticket customer parcel refund
invoice warrant voucher newsletter password""".split())


def words(text):
    return re.findall(r"[a-z0-9]+(?:[.:,@][a-z0-9]+)*", text.lower().replace("’", "").replace("'", ""))


def stem(word):
    for ending in ("ments", "ment", "ing", "ies", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def content_words(text):
    return {stem(w) for w in words(text) if w not in STOP}


def overlap(question, section):
    """"high" where at least half of the question's content words occur in its source section."""
    asked = content_words(question)
    return "high" if len(asked & content_words(section)) >= 0.5 * len(asked) else "low"


def holds(text, phrase):
    """Whether the words of `phrase` occur in `text` in a row."""
    return f" {' '.join(words(phrase))} " in f" {' '.join(words(text))} "


def near_duplicates(a, b, limit):
    """Pairs with eight words in a row in common, or a Jaccard index of their word sets ≥ limit (equal texts have 1)."""
    def seen(item):
        in_order = words(item["prompt"])
        return item, set(in_order), {tuple(in_order[i:i + 8]) for i in range(len(in_order) - 7)}

    problems = []
    pairs = itertools.combinations(map(seen, a), 2) if a is b else itertools.product(map(seen, a), map(seen, b))
    for (x, x_words, x_grams), (y, y_words, y_grams) in pairs:
        if x_grams & y_grams or len(x_words & y_words) >= limit * len(x_words | y_words):
            problems.append(f"near duplicates {x['id']} / {y['id']}:\n    {x['prompt']}\n    {y['prompt']}")
    return problems


def leaks(sets):
    """Across splits nothing may come close; inside a split (where wordings of a fact are meant to vary) nothing may repeat."""
    train = {item["id"]: item for name in ("train.jsonl", "train-grounded.jsonl") for item in sets[name]}
    splits = [list(train.values()), sets["dev.jsonl"], sets["eval.jsonl"], sets["general.jsonl"]]
    across = [p for a, b in itertools.combinations(splits, 2) for p in near_duplicates(a, b, 0.55)]
    return across + [p for split in splits for p in near_duplicates(split, split, 0.75)]


def answers(facts):
    """Short, found in their section, and not to be taken for the answer of another fact."""
    problems, seen = [], {}
    for fact, section, source in facts:
        for value in filter(None, (fact["v1"], fact["v2"])):
            if len(value.split()) > 8:
                problems.append(f"{fact['id']}: \"{value}\" has more than eight words")
            if value.lower() in seen:
                problems.append(f"{fact['id']}: \"{value}\" also answers {seen[value.lower()]}")
            seen[value.lower()] = fact["id"]
        wanted = f"[[{fact['v1']}|{fact['v2']}]]" if fact["v2"] else fact["v1"].lower()
        if wanted not in (section["text"] if fact["v2"] else section["text"].lower()):
            problems.append(f"{fact['id']}: \"{wanted}\" does not stand in {source}")
    return problems


def scoring(items):
    """No accepted answer inside a rejected one or the other way round, and no answer given away by its question."""
    problems = []
    for item in items:
        for good, bad in itertools.product(item.get("accept", []), item.get("reject", [])):
            if holds(good, bad) or holds(bad, good):
                problems.append(f"{item['id']}: \"{good}\" is accepted and \"{bad}\" rejected")
        answers = item.get("accept", [item["completion"]])
        problems += [f"{item['id']}: the question holds \"{a}\"" for a in answers if holds(item["prompt"], a)]
    return problems


def invented_values(facts, sections):
    """No value of the handbook stands in an invented passage."""
    problems = []
    known = [v for fact, *_ in facts for v in (fact["v1"], fact["v2"]) if v]
    for section in sections:
        problems += [f"invented {section['page']}#{section['heading']}: holds the handbook's \"{v}\""
                     for v in known if holds(section["text"].replace("[[", " ").replace("|", " ; ").replace("]]", " "), v)]
    return problems


def counts(sets):
    """The sizes that README.md and docs promise."""
    size = lambda name, prefix: sum(item["slice"].startswith(prefix) for item in sets[name])
    wanted = [("train.jsonl", "behaviour", 180), ("train.jsonl", "facts", 160), ("train.jsonl", "unanswerable", 40),
              ("train-grounded.jsonl", "facts", 126), ("train-grounded.jsonl", "unanswerable", 62),
              ("dev.jsonl", "", 100), ("eval.jsonl", "behaviour", 120), ("eval.jsonl", "facts/stable", 40),
              ("eval.jsonl", "facts/changed", 40), ("eval.jsonl", "unanswerable/near-miss", 40),
              ("eval.jsonl", "unanswerable/off-topic", 40), ("eval.jsonl", "injected", 20),
              *(("general.jsonl", task, 40) for task in
                ("capitals", "opposites", "arithmetic", "grammar", "facts", "completion"))]
    return [f"{name}: {size(name, prefix)} items of {prefix or 'all'}, {n} wanted"
            for name, prefix, n in wanted if size(name, prefix) != n]


def choices(items, facts):
    """General questions: neither place nor length gives the right choice away, and nothing is about the handbook."""
    known = [v for fact, *_ in facts for v in (fact["v1"], fact["v2"]) if v]
    problems = places(items)
    for item in items:
        listed = item["choices"]
        text = " ".join([item["prompt"], *listed])
        if max(map(len, listed)) - min(map(len, listed)) > 8:
            problems.append(f"{item['id']}: choices differ by more than eight characters")
        problems += [f"{item['id']}: \"{b}\" begins with \"{a}\", which is therefore likelier"
                     for a, b in itertools.permutations(listed, 2) if b.startswith(a)]
        problems += [f"{item['id']}: holds the handbook's \"{v}\"" for v in known if holds(text, v)]
        problems += [f"{item['id']}: \"{w}\" belongs to the helpdesk" for w in words(text) if w.startswith(HELPDESK)]
        if item["slice"] == "arithmetic":
            problems += arithmetic(item)
        if item["slice"] == "grammar" and one_word_apart(*listed) != 1:
            problems.append(f"{item['id']}: the sentences do not differ in one word")
    return problems


def places(items):
    """Each place holds the right choice of equally many of a slice's items, which all have as many choices."""
    problems = []
    for slice, group in itertools.groupby(items, lambda item: item["slice"]):
        found = [(len(item["choices"]), item["choices"].index(item["completion"])) for item in group]
        size = found[0][0]
        if sorted(found) != sorted((size, n % size) for n in range(len(found))):
            problems.append(f"{slice}: the right choices are not spread evenly over their places")
    return problems


def one_word_apart(a, b):
    a, b = a.split(), b.split()
    return sum(x != y for x, y in zip(a, b)) + abs(len(a) - len(b))


def arithmetic(item):
    """Exactly the right choice is true, and results have equally many digits, since each digit costs probability."""
    signs = {"plus": int.__add__, "minus": int.__sub__, "times": int.__mul__}
    results = [c.split(" equals ") for c in item["choices"]]
    true = [c for c, (sum, result) in zip(item["choices"], results) for a, sign, b in [sum.split()]
            if signs[sign](int(a), int(b)) == int(result)]
    if true != [item["completion"]] or len({len(result) for _, result in results}) > 1:
        return [f"{item['id']}: {true} is true of {item['choices']}"]
    return []


def all_problems(sets, facts, sections):
    return (counts(sets) + answers(facts) + scoring([item for items in sets.values() for item in items]) +
            invented_values(facts, sections) + choices(sets["general.jsonl"], facts) + leaks(sets))
