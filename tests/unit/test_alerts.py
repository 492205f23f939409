"""The alert rules: each asks for what consumers show; Prometheus' own tool tests them where there is one."""

import os
import re
import shutil
import subprocess

import pytest
import yaml
from prometheus_client import CollectorRegistry
from support.alerts import FOLDER, GIVEN_BY_PROMETHEUS, grouped_by, is_shown, read_rules, selectors
from support.compose import ROOT, read_compose

from consumers.prometheus import PrometheusMetrics
from consumers.settings import Settings

RULES = read_rules()


@pytest.fixture
def samples() -> dict[str, list[dict[str, str]]]:
    """What a consumer shows, with the labels of each sample."""
    metrics = PrometheusMetrics()
    for consumer in ("chats", "feedback"):
        metrics.batch(consumer, 1, 0.1)
        metrics.loop(consumer, "topic", age=0, lag=0)
    return collect(metrics.registry)


def collect(registry: CollectorRegistry) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for family in registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


@pytest.mark.parametrize("name", RULES)
def test_a_rule_asks_for_what_is_shown(name: str, samples: dict[str, list[dict[str, str]]]) -> None:
    expression = RULES[name]["expr"]
    asked = selectors(expression)
    assert asked
    for metric, labels in asked:
        assert is_shown(metric, labels, samples), (metric, labels)
    known = {key for metric, _ in asked for labels in samples[metric] for key in labels}
    assert grouped_by(expression) <= known | GIVEN_BY_PROMETHEUS
    texts = " ".join(RULES[name]["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", texts)) <= known | GIVEN_BY_PROMETHEUS


@pytest.mark.parametrize(
    ("expression", "asked"),
    [
        ("a", [("a", {})]),
        ('sum(rate(a{b="c", d!="e"}[5m])) / sum(f)', [("a", {"b": "c"}), ("f", {})]),
        ('changes(a{job="x"}[30m]) > 2 and on () absent(b)', [("a", {"job": "x"}), ("b", {})]),
    ],
)
def test_what_an_expression_asks_for(expression: str, asked: list[tuple[str, dict[str, str]]]) -> None:
    assert selectors(expression) == asked


def test_a_metric_or_label_that_is_not_shown_is_found(samples: dict[str, list[dict[str, str]]]) -> None:
    assert not is_shown("feedback_outcome_total", {}, samples)
    assert not is_shown("feedback_outcomes_total", {"outcome": "dead"}, samples)
    assert not is_shown("feedback_outcomes_total", {"result": "dead-lettered"}, samples)
    assert is_shown("feedback_outcomes_total", {"outcome": "dead-lettered", "job": "x"}, samples)


def test_each_rule_has_a_test_that_fires_it_and_one_line_for_whoever_is_woken() -> None:
    document = yaml.safe_load((FOLDER / "alerts.test.yml").read_text())
    fired = {
        test["alertname"]
        for case in document["tests"]
        for test in case["alert_rule_test"]
        if test.get("exp_alerts")
    }
    # As the other dead letters, with other metrics.
    assert set(RULES) - fired == {"FeedbackChatDeadLetters"}
    for rule in RULES.values():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "action"}


def test_prometheus_itself_agrees() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        assert not os.environ.get("CI"), "CI=true skips nothing: put promtool into the PATH, as .ci/run does"
        pytest.skip("promtool is not on this machine (Debian, Ubuntu: apt-get install prometheus)")
    for words in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts.test.yml"]):
        done = subprocess.run([promtool, *words], cwd=FOLDER, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_consumer_of_the_set_up_is_scraped() -> None:
    document = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert [FOLDER / name for name in document["rule_files"] if not (FOLDER / name).is_file()] == []
    (job,) = document["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    services = read_compose().ours
    consumers = [name for name, item in services.items() if item["command"][:2] == ["feedback", "run"]]
    assert sorted(found["names"]) == sorted(consumers)
    assert str(found["port"]) == services["chats"]["environment"]["FEEDBACK_HTTP_PORT"]
    assert job["job_name"] in (FOLDER / "alerts.yml").read_text()


def test_the_watchdog_gives_time_for_its_alert() -> None:
    (limit,) = re.findall(r"feedback_loop_age_seconds\) > (\d+)", RULES["FeedbackLoopIsSilent"]["expr"])
    scrapes = 2 * 15
    assert int(limit) + scrapes < Settings.model_fields["stall_seconds"].default


def test_operations_says_what_to_do_about_each() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert [name for name in RULES if f"`{name}`" not in text] == []
