"""What the checks of scripts/interop share: PASS/FAIL lines, running qad, the models in its cache."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
CACHE = pathlib.Path(os.environ.get("QAD_CACHE", "~/.cache/qad")).expanduser()
SMOLLM2 = CACHE / "models" / "smollm2-135m-instruct.gguf"
TINY_GPT2 = CACHE / "models" / "tiny-gpt2"
ALL = "INTEROP_ALL" in os.environ

_failures = 0


def check(name, passed, detail=""):
    """One line on stdout; `passed` must be a bool made so that NaN is False."""
    global _failures
    _failures += not passed
    print(f"{'PASS' if passed else 'FAIL'} {name}{': ' if detail else ''}{detail}", flush=True)


def finish():
    """Exits with 1 where a check failed."""
    sys.exit(1 if _failures else 0)


def run_json(*command):
    """The JSON document that a program prints; its stderr goes to ours."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def dump_logits(model, ids, *flags):
    """Our logits for `ids`, one row per position."""
    return run_json(BUILD / "bench" / "dump_logits", model, "--ids", ",".join(map(str, ids)), *flags)["logits"]
