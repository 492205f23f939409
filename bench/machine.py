"""On what was measured, and with which versions."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import httpx
import psutil
import psycopg

from bench.rig import Rig
from local.jars import LOCK

_PACKAGES: Final = ("aiokafka", "faststream", "mlflow-tracing", "psycopg", "pydantic")


def machine() -> dict[str, object]:
    """Describe the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "measured": datetime.now(UTC).date().isoformat(),
    }


def versions(rig: Rig) -> dict[str, str]:
    """Ask each part for its version."""
    with psycopg.connect(rig.postgres) as session:
        (postgres,) = session.execute("SHOW server_version").fetchone() or ("",)
    jars = [line for line in LOCK.read_text().splitlines() if "kafka-clients" in line]
    return {
        "python": platform.python_version(),
        "mlflow": httpx.get(f"{rig.mlflow}/version", timeout=30).text,
        "postgres": str(postgres).split()[0],
        "kafka": jars[0].split(":")[2].split()[0],
    } | {name: version(name) for name in _PACKAGES}
