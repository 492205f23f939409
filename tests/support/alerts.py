"""The alert rules, and what their expressions ask for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"

GIVEN_BY_PROMETHEUS = {"job", "instance"}
"""Labels that the scrape adds."""


def read_rules() -> dict[str, dict[str, Any]]:
    """Give the alerts by name."""
    document = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    return {rule["alert"]: rule for group in document["groups"] for rule in group["rules"]}


def selectors(expression: str) -> list[tuple[str, dict[str, str]]]:
    """Give each metric that an expression selects, with the labels that must be equal to something."""
    found: list[tuple[str, dict[str, str]]] = []

    def visit(expr: Any) -> None:
        if isinstance(expr, promql.VectorSelector):
            matchers = [matcher for matcher in expr.matchers.matchers if matcher.op == promql.MatchOp.Equal]
            found.append((str(expr.name), {matcher.name: matcher.value for matcher in matchers}))

    promql.walk(promql.parse(expression), visit)
    return found


def grouped_by(expression: str) -> set[str]:
    """Give the labels that an expression sums, or takes the greatest, by."""
    found: set[str] = set()

    def visit(expr: Any) -> None:
        if isinstance(expr, promql.AggregateExpr) and expr.modifier is not None:
            found.update(expr.modifier.labels)

    promql.walk(promql.parse(expression), visit)
    return found


def is_shown(name: str, labels: Mapping[str, str], samples: Mapping[str, list[dict[str, str]]]) -> bool:
    """Tell whether a scrape holds what a selector asks for; ``samples`` are the labels by name."""
    asked = {key: value for key, value in labels.items() if key not in GIVEN_BY_PROMETHEUS}
    return any(asked.items() <= found.items() for found in samples.get(name, []))
