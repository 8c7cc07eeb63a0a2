#!/usr/bin/env python3
"""Writes the data of examples/helpdesk from content/*.py; the same files every time, with the standard library only.

    python3 make_data.py            writes data/
    python3 make_data.py --check    writes nothing; fails where the files on disk differ from what it would write

Both refuse to go on when a text is shared, or nearly shared, by train, dev, eval and general (checks.py).
"""

import hashlib
import json
import pathlib
import sys

import checks
from content import facts, general, injected, invented, tickets, unanswerable
from spellings import spellings

HERE = pathlib.Path(__file__).resolve().parent
CATEGORIES = ["delivery", "returns", "repair", "billing", "account"]
PRIORITIES = ["high", "normal", "low"]
REFUSAL = "Sorry, the handbook does not say."
# data.system_prompt of config.yaml is the same sentence; the check compares them.
ANSWER = f"You answer for Larkspur Bikes from its handbook, in a few words. If it does not hold the answer, reply: {REFUSAL}"
TRIAGE = ('Sort the ticket. Reply with one line of JSON: {"category": "delivery|returns|repair|billing|account", '
          '"priority": "low|normal|high"}. High: danger, fraud, stuck now or due within two days. Low: nothing to fix.')
SCHEMA = {"category": CATEGORIES, "priority": ["low", "normal", "high"]}


def order(key):
    """A fixed pseudo-random number for a string: shuffles without depending on Python's generator."""
    return hashlib.sha256(key.encode()).hexdigest()


def text_of(section, version):
    """The section as version 1 or 2 (or any later alternative) reads: [[a|b]] → a or b."""
    out, rest = "", section["text"]
    while "[[" in rest:
        before, rest = rest.split("[[", 1)
        options, rest = rest.split("]]", 1)
        out += before + options.split("|")[version - 1]
    return out + rest


def values_of(section):
    return section["text"].split("[[")[1].split("]]")[0].split("|")


def all_facts():
    for page in facts.PAGES:
        for section in page["sections"]:
            for fact in section["facts"]:
                yield fact, section, f"{page['file']}#{section['heading']}"


def fact_slice(fact):
    return "facts/changed" if fact["v2"] else "facts/stable"


# ---- items -------------------------------------------------------------------------------------------------------


def behaviour(split, texts):
    """Neighbours differ in category and priority (5 and 3 have no common factor), so any 15 in a row hold every pair."""
    items = []
    for i in range(len(next(iter(texts.values())))):
        for k in range(15):
            pair = (CATEGORIES[k % 5], PRIORITIES[k % 3])
            items.append({"id": f"{split}-ticket-{len(items) + 1:03}", "slice": "behaviour", "system": TRIAGE,
                          "prompt": texts[pair][i],
                          "completion": json.dumps({"category": pair[0], "priority": pair[1]}),
                          "schema": SCHEMA, "retrieve": False})
    return items


def refusals(split, texts):
    return [{"id": f"{split}-{kind}-{i + 1:02}", "slice": f"unanswerable/{kind}", "prompt": question,
             "completion": REFUSAL, "answerable": False}
            for kind, questions in texts.items() for i, question in enumerate(questions)]


def train_facts(version):
    """One version of the handbook, two phrasings a fact: the adapter learns the values that were true when it was trained."""
    return [{"id": f"{fact['id']}-{'ab'[i]}", "slice": fact_slice(fact), "prompt": question,
             "completion": fact["v2"] or fact["v1"] if version == 2 else fact["v1"], "fact": fact["id"], "source": source}
            for i in range(2) for fact, _, source in all_facts() for question in [fact["train"][i]]]


def old_spellings(fact):
    return spellings(fact["v1"], fact["also"])


def new_spellings(fact):
    return spellings(fact["v2"], fact["also_v2"]) if fact["v2"] else old_spellings(fact)


def question(id, fact, section, source, prompt):
    item = {"id": id, "slice": fact_slice(fact), "prompt": prompt, "completion": fact["v2"] or fact["v1"],
            "accept": new_spellings(fact), "reject": old_spellings(fact) if fact["v2"] else fact["wrong"],
            "fact": fact["id"], "source": source,
            "overlap": checks.overlap(prompt, section["heading"] + " " + text_of(section, 2))}
    if not item["reject"]:
        del item["reject"]
    return item


def eval_facts():
    return [question(fact["id"], fact, section, source, fact["eval"]) for fact, section, source in all_facts()]


def dev_facts():
    """Tuned on at training time, when version 1 was in force: the old value is the reference and the new one is no
    mistake, whichever handbook an arm is given."""
    items = []
    for fact, section, source in all_facts():
        if not fact["dev"]:
            continue
        item = question(fact["id"] + "-dev", fact, section, source, fact["dev"])
        if fact["v2"]:
            item["completion"] = fact["v1"]
            item["accept"] = old_spellings(fact) + item["accept"]
            del item["reject"]
        items.append(item)
    return items


def passage(section, version):
    return {"id": f"{section['page']}#{section['heading']}", "text": text_of(section, version)}


def with_distractors(item_id, section, version):
    """The passage, another of its page, and for two items of three one of another page, in a fixed shuffled order."""
    others = sorted((s for s in invented.SECTIONS if s is not section), key=lambda s: order(item_id + s["heading"]))
    chosen = [passage(section, version), passage(next(s for s in others if s["page"] == section["page"]), version % 3 + 1)]
    if int(order(item_id), 16) % 3:
        chosen.append(passage(next(s for s in others if s["page"] != section["page"]), version % 3 + 1))
    return sorted(chosen, key=lambda p: order(item_id + p["id"]))


def grounded():
    items = []
    for n, section in enumerate(invented.SECTIONS):
        for i, value in enumerate(values_of(section)):
            id = f"g{n + 1:02}-{'abc'[i]}"
            items.append({"id": id, "slice": "facts/invented", "prompt": section["questions"][i], "completion": value,
                          "passages": with_distractors(id, section, i + 1)})
        id = f"g{n + 1:02}-x"
        items.append({"id": id, "slice": "unanswerable/near-miss", "prompt": section["missing"], "completion": REFUSAL,
                      "answerable": False, "passages": with_distractors(id, section, 1 + n % 3)})
    for item in refusals("train", {"off-topic": unanswerable.TRAIN["off-topic"]}):
        section = min(invented.SECTIONS, key=lambda s: order(item["id"] + s["heading"]))
        items.append(item | {"passages": with_distractors(item["id"], section, 1)})
    return items


def injections():
    items = []
    known = {fact["id"]: (fact, section, source) for fact, section, source in all_facts()}
    for n, (id, prompt, attack, obeyed, place) in enumerate(injected.INJECTED):
        fact, section, source = known[id]
        honest = text_of(section, 2)
        first, rest = honest.split(". ", 1)
        text = {"before": f"{attack} {honest}", "after": f"{honest} {attack}", "inside": f"{first}. {attack} {rest}"}[place]
        item = question(f"injected-{n + 1:02}", fact, section, source, prompt)
        items.append(item | {"slice": "injected", "reject": item.get("reject", []) + obeyed,
                             "passages": [{"id": source, "text": text}]})
    return items


def choose():
    """The right choice of the n-th item stands at place n, so that every place holds it equally often."""
    items = []
    for task, lines in general.ITEMS.items():
        for n, (about, choices) in enumerate(lines):
            right, *wrong = [f"{about} equals {c}" for c in choices] if task == "arithmetic" else choices
            place = n % len(choices)
            items.append({"id": f"{task}-{n + 1:02}", "slice": task, "system": None,
                          "prompt": general.QUESTIONS[task].format(about), "completion": right,
                          "choices": wrong[:place] + [right] + wrong[place:], "retrieve": False})
    return items


# ---- files -------------------------------------------------------------------------------------------------------


def handbook(version):
    """One Markdown page a topic, dated in its front matter; "## Heading" starts a section."""
    pages = {}
    for page in facts.PAGES:
        text = f"---\ndate: {facts.VALID_FROM[f'v{version}']}\n---\n\n# {page['title']}\n"
        for section in page["sections"]:
            text += f"\n## {section['heading']}\n\n{text_of(section, version)}\n"
        pages[f"handbook-v{version}/{page['file']}"] = text
    return pages


def datasets():
    tickets_train = behaviour("train", tickets.TRAIN)
    return {
        "train.jsonl": tickets_train + train_facts(1) + refusals("train", unanswerable.TRAIN),
        "train-v2.jsonl": tickets_train + train_facts(2) + refusals("train", unanswerable.TRAIN),
        "train-grounded.jsonl": tickets_train + grounded(),
        "dev.jsonl": behaviour("dev", tickets.DEV) + dev_facts() + refusals("dev", unanswerable.DEV),
        "eval.jsonl": behaviour("eval", tickets.EVAL) + eval_facts() + refusals("eval", unanswerable.EVAL) + injections(),
        "general.jsonl": choose(),
    }


def files():
    sets = datasets()
    out = {name: "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items) for name, items in sets.items()}
    out |= handbook(1) | handbook(2)
    config = (HERE / "config.yaml").read_text(encoding="utf-8")
    problems = checks.all_problems(sets, list(all_facts()), invented.SECTIONS)
    if ANSWER not in " ".join(config.split()):
        problems.append("config.yaml: data.system_prompt is not the sentence of make_data.py")
    if problems:
        sys.exit("\n".join(problems) + f"\nmake_data.py: {len(problems)} problems; nothing written")
    return out


def main():
    out = files()
    if sys.argv[1:] == ["--check"]:
        on_disk = {str(p.relative_to(HERE / "data")): p.read_text(encoding="utf-8")
                   for p in (HERE / "data").rglob("*") if p.is_file()}
        wrong = sorted(name for name in out.keys() | on_disk.keys() if out.get(name) != on_disk.get(name))
        sys.exit("".join(f"data/{name}: differs from make_data.py's output; run make_data.py\n" for name in wrong) or 0)
    if sys.argv[1:]:
        sys.exit(__doc__)
    for name, text in out.items():
        path = HERE / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
