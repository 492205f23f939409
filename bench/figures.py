"""From runs to figures and ratios, and to `bench/results.json` and back."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from bench.size import Samples

FIGURES: Final[Mapping[str, Sequence[str]]] = {
    "bulk_per_s": (),
    "raw_bulk_per_s": ("raw_bulk_at_once_per_s",),
    "rest_per_s": (),
    "raw_rest_per_s": ("log_feedback_per_s",),
    "discard_per_s": ("discard_4_per_s", "getmany_per_s"),
    "latency_half_load_p99_ms": ("latency_half_load_p50_ms", "half_load_per_s"),
    "latency_quiet_p50_ms": ("latency_quiet_p99_ms",),
    "rss_backlog_mb": ("rss_settled",),
    "phoenix_sync_per_s": ("bulk_beside_phoenix_per_s",),
    "naive_per_s": (
        "naive_1k_per_s",
        "naive_100k_per_s",
        "pipeline_1k_per_s",
        "pipeline_100k_per_s",
        "pipeline_1m_per_s",
        "pipeline_spread_per_s",
    ),
    "copy_per_s": (),
    "api_per_s": ("bare_api_per_s",),
    "api_p99_ms": ("bare_api_p99_ms",),
    "streams_s": ("stream_alone_s", "streams_first_words_p99_ms"),
    "streams_rss_mb": ("streams_rss_first_round_mb", "streams_rss_start_mb"),
}
"""The figures of `bench/results.json`, each with the samples that belong to it; ``naive_per_s`` is at 1 M."""

_WORKERS: Final = tuple(f"workers_{label}_{count}_per_s" for label in ("many", "one") for count in (1, 2, 4))


@dataclass(frozen=True, slots=True)
class Ratio:
    """One sample in times of another."""

    over: str
    under: str
    beside: Sequence[str] = ()


RATIOS: Final[Mapping[str, Ratio]] = {
    "bulk_vs_log_feedback": Ratio("bulk_per_s", "log_feedback_per_s"),
    "bulk_vs_raw_bulk": Ratio("bulk_per_s", "raw_bulk_per_s"),
    "rest_vs_raw_rest": Ratio("rest_per_s", "raw_rest_per_s"),
    # Seconds of one feedback at 1 M in times of those at 1 k.
    "cost_1m_vs_1k": Ratio("pipeline_1k_per_s", "pipeline_1m_per_s"),
    "workers_4_vs_1": Ratio("workers_many_4_per_s", "workers_many_1_per_s", _WORKERS),
    "bulk_vs_phoenix": Ratio("bulk_beside_phoenix_per_s", "phoenix_sync_per_s"),
    "raw_bulk_vs_copy": Ratio("raw_bulk_per_s", "copy_per_s"),
    "api_vs_bare": Ratio("api_per_s", "bare_api_per_s"),
}


def percentile(values: Sequence[float], share: float) -> float:
    """Give the smallest value that so many percent of the values do not exceed."""
    return sorted(values)[max(math.ceil(len(values) * share / 100) - 1, 0)]


def spread(runs: Sequence[float]) -> float:
    """Give how far the runs lie apart, as a share of their median."""
    return (max(runs) - min(runs)) / median(runs)


def ratio_runs(ratio: Ratio, samples: Samples) -> list[float]:
    """Give a ratio for each run, as both were measured in turns; else the ratio of the medians.

    Empty where something was not measured.
    """
    over, under = samples.get(ratio.over), samples.get(ratio.under)
    if not over or not under:
        return []
    if len(over) != len(under):
        return [median(over) / median(under)]
    return [one / other for one, other in zip(over, under, strict=True)]


def runs_of(name: str, samples: Samples) -> list[float]:
    """Give the runs of a sample or of a ratio."""
    return ratio_runs(RATIOS[name], samples) if name in RATIOS else list(samples.get(name, ()))


def merge(old: Samples, new: Samples) -> dict[str, list[float]]:
    """Give the old samples, but the new ones where something was measured again."""
    return {name: list(runs) for name, runs in {**old, **new}.items()}


def to_results(
    samples: Samples, machine: Mapping[str, Any], versions: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Give what `bench/results.json` holds."""
    beside = dict(FIGURES) | {name: ratio.beside for name, ratio in RATIOS.items()}

    def told(names: Mapping[str, Any]) -> dict[str, Any]:
        found = {name: _figure(runs_of(name, samples)) for name in names if runs_of(name, samples)}
        for name, figure in found.items():
            if detail := {more: _figure(samples[more]) for more in beside[name] if more in samples}:
                figure["detail"] = detail
        return found

    return {
        "machine": dict(machine),
        "versions": dict(versions),
        "ratios": told(RATIOS),
        "figures": told(FIGURES),
    }


def samples_of(results: Mapping[str, Any]) -> dict[str, list[float]]:
    """Give the samples that results were made from."""
    samples: dict[str, list[float]] = {}
    for name, figure in results.get("figures", {}).items():
        samples[name] = figure["runs"]
    for part in ("figures", "ratios"):
        for figure in results.get(part, {}).values():
            samples |= {name: more["runs"] for name, more in figure.get("detail", {}).items()}
    return samples


def _figure(runs: Sequence[float]) -> dict[str, Any]:
    return {"median": _rounded(median(runs)), "runs": [_rounded(run) for run in runs]}


def _rounded(value: float) -> float:
    """Give four digits that count: more than any run repeats."""
    if value == 0:
        return 0
    digits = 4 - 1 - math.floor(math.log10(abs(value)))
    return round(value, digits) if digits > 0 else round(value)
