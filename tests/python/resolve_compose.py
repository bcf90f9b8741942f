"""Prints what Docker Compose would make of its files, as JSON: variables put in, files laid over each other.

resolve_compose.py FILE [FILE...]; variables are taken from the environment. Exit code 1 if one is missing.
https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md, 13-merge.md
"""

import json
import os
import re
import sys

import yaml

VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?:(:?[-?])([^}]*))?\}|(\w+))")
# Lists that a second file adds to. Of others, what it says counts.
ADDED_TO = {"volumes", "ports", "networks", "cap_add"}


def put_in(text):
    def value(match):
        if match.group(0) == "$$":
            return "$"
        name, operator, word = match.group(1) or match.group(4), match.group(2) or "", match.group(3)
        found = os.environ.get(name)
        missing = found is None or (operator.startswith(":") and found == "")
        if missing and operator.endswith("?"):
            sys.exit(f"{name} is missing: {word}")
        if missing and operator.endswith("-"):
            return word
        return found or ""

    return VARIABLE.sub(value, text)


def resolved(node):
    if isinstance(node, dict):
        return {key: resolved(value) for key, value in node.items()}
    if isinstance(node, list):
        return [resolved(value) for value in node]
    return put_in(node) if isinstance(node, str) else node


def as_mapping(node):
    """Short forms of networks and depends_on are lists of names."""
    return {name: {} for name in node} if isinstance(node, list) else node


def laid_over(below, above, key=None):
    if key in {"networks", "depends_on"}:
        below, above = as_mapping(below), as_mapping(above)
    if isinstance(below, dict) and isinstance(above, dict):
        merged = dict(below)
        for name, value in above.items():
            merged[name] = laid_over(below[name], value, name) if name in below else value
        return merged
    if isinstance(below, list) and isinstance(above, list) and key in ADDED_TO:
        return below + [item for item in above if item not in below]
    return above


project = {}
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        project = laid_over(project, yaml.safe_load(file))
json.dump(resolved({key: value for key, value in project.items() if not key.startswith("x-")}), sys.stdout)
