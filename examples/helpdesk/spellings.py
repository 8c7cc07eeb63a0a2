"""Further spellings of an answer that a fair reader accepts: numbers in words, currency forms, "8-year"."""

import re

ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen").split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
ADJECTIVES = {"days": "day", "years": "year", "months": "month", "minutes": "minute", "hours": "hour", "gears": "gear"}


def in_words(n):
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + ("-" + ONES[n % 10] if n % 10 else "")
    return None


def forms(answer):
    yield answer
    number = re.match(r"(\d+)(?:\.(\d\d))? (.+)$", answer)
    if not number:
        return
    whole, cents, unit = number.groups()
    if unit == "euros":
        for amount in [f"{whole}.{cents}", f"{whole},{cents}"] if cents else [whole]:
            yield from (f"{amount} euros", f"{amount} euro", f"€{amount}", f"€ {amount}", f"{amount} €", f"EUR {amount}", f"{amount} EUR")
    if cents:
        return
    if in_words(int(whole)):
        yield f"{in_words(int(whole))} {unit}"
    if unit in ADJECTIVES:
        yield f"{whole}-{ADJECTIVES[unit]}"


def spellings(answer, also):
    """The answer first, without repeats."""
    return list(dict.fromkeys([*forms(answer), *also]))
