"""A strict reader of Prometheus' text format 0.0.4, for what the router's /metrics gives."""
import collections
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|\Z)')
SAMPLE = re.compile(r"([^{ ]+)(?:\{(.*)\})? ([0-9.eE+-]+|NaN|[+-]Inf)\Z")
ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")

Family = collections.namedtuple("Family", "type help samples")  # samples: {labels: value}


def _labels(text):
    found, at = [], 0
    while at < len(text):
        match = LABEL.match(text, at)
        if not match:
            raise ValueError(f"no label at {text[at:]!r}")
        value = re.sub(r"\\.", lambda escape: ESCAPES[escape[0]], match[2])
        found.append((match[1], value))
        at = match.end()
        if match[3] == "," and at == len(text):
            raise ValueError("a comma without a label behind it")
    names = [name for name, _ in found]
    if len(set(names)) != len(names):
        raise ValueError(f"a label comes twice: {text}")
    return frozenset(found)


def parse(text):
    """{name: Family}; ValueError names what is not well-formed.

    Every family has its HELP, then its TYPE, then its samples, in one piece; no family
    and no sample comes twice.
    """
    if not text.endswith("\n"):
        raise ValueError("the last line does not end")
    families, helped, current = {}, None, None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            helped = line[7:].split(" ", 1)
            current = None
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            if not helped or helped[0] != name or name in families:
                raise ValueError(f"TYPE of {name} without its HELP, or a second one")
            if not NAME.match(name) or kind not in TYPES:
                raise ValueError(line)
            if kind == "counter" and not name.endswith("_total"):
                raise ValueError(f"the counter {name} does not end with _total")
            current = name
            families[name] = Family(kind, helped[1], {})
        else:
            match = SAMPLE.match(line)
            if not match or match[1] != current:
                raise ValueError(f"no sample of {current}: {line!r}")
            labels = _labels(match[2] or "")
            if labels in families[current].samples:
                raise ValueError(f"a sample comes twice: {line}")
            families[current].samples[labels] = float(match[3])
    return families


def value(families, name, **labels):
    """One sample's value; 0 where the family has none with these labels."""
    return families[name].samples.get(frozenset(labels.items()), 0)
