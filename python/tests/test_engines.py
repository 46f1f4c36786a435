"""The examples for engines, run as they stand: over the emulator and a database of this machine, each row is
paid for once within one budget, also when a worker is killed.

Dask is always tried; Ray and Spark with ``EFFECTS_TEST_RAY=1`` and ``EFFECTS_TEST_SPARK=1``, since they are
large to install.
"""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from decimal import Decimal

import pytest
from conftest import PASSWORD, ROOT, programs

from spark_effects import Emulator

pandas = pytest.importorskip("pandas", reason="pip install -r python/tests/requirements.txt")

ENGINES = ROOT / "examples" / "engines"
ROWS, PAID = 60, 50
BUDGET = f"{PAID * 3 / 100:.2f}"
# Answers to submissions take their time, so that some are under way whenever a worker dies.
SLOW = {"fault": [{"on": "create", "every": 1, "kind": "slow", "seconds": 0.05}]}


def sql(database, statement):
    line = [programs() / "psql", "-XqAt", database, "-c", statement]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout.split()


def surroundings(emulator, folder):
    """The environment of what is run: the command is that of this package."""
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    own = {
        "PATH": path,
        "EFFECTS_API_KEY": emulator.api_key,
        "EFFECTS_BASE_URL": emulator.base_url,
        "EFFECTS_STATE_DIR": str(folder / "state"),
    }
    return {**os.environ, **own}


def rows(count=ROWS):
    return [
        {"template": "glass_ball", "image": f"https://example.com/{n}.jpg", "key": f"row {n}"}
        for n in range(count)
    ]


def is_asked_for(module):
    """Whether an engine is here, and its test is wanted: a reason to skip it otherwise."""
    variable = {"ray": "EFFECTS_TEST_RAY", "pyspark": "EFFECTS_TEST_SPARK"}.get(module)
    if variable and os.environ.get(variable) != "1":
        pytest.skip(f"{module} is large: {variable}=1 tries it")
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"there is no {module} here: pip install {module}")
    if module == "pyspark" and shutil.which("java") is None:
        pytest.skip("pyspark needs Java")


@pytest.mark.parametrize(
    ("example", "module"), [("on_dask", "distributed"), ("on_ray", "ray"), ("on_spark", "pyspark")]
)
def test_an_engine_moves_rows_and_the_journal_keeps_the_money(example, module, database, tmp_path):
    is_asked_for(module)
    scope = f"order of {example}"
    table = tmp_path / "rows.csv"
    pandas.DataFrame(rows()).assign(key=lambda it: example + " " + it.key).to_csv(table, index=False)
    line = [sys.executable, ENGINES / f"{example}.py", table, database, "--budget", BUDGET]
    line += ["--scope", scope, "--out", tmp_path / "results.csv"]
    with Emulator(pictures="stub", latency="200ms..600ms", faults=SLOW) as emulator:
        log = (tmp_path / "log").open("w+")
        around = surroundings(emulator, tmp_path)
        running = subprocess.Popen(line, cwd=tmp_path, env=around, stdout=log, stderr=subprocess.STDOUT)
        try:
            limit = time.monotonic() + 120
            while emulator.counts["accepted"] < PAID // 4:
                log.seek(0)
                assert running.poll() is None, log.read()
                assert time.monotonic() < limit, emulator.counts
                time.sleep(0.01)
            # A worker in the middle of its rows: the journal knows the processes that hold some.
            held = "SELECT process FROM effects.owners WHERE id IN (SELECT owner FROM effects.rows) LIMIT 1"
            [worker] = sql(database, held)
            os.kill(int(worker), signal.SIGKILL)
            assert running.wait(timeout=180) == 0, log.seek(0) or log.read()
        finally:
            running.kill()
            log.seek(0)
            output = log.read()
            log.close()
        print(output[-600:])

        results = pandas.read_csv(tmp_path / "results.csv", dtype={"cost": str})
        assert sorted(results.key) == sorted(f"{example} row {n}" for n in range(ROWS))
        done = results[results.ok]
        doubtful = (results.error == "OutcomeUnknown").sum()
        over = (results.error == "BudgetExceeded").sum()
        assert len(done) + doubtful + over == ROWS, results.error.value_counts()
        # On their way when their process died: listed, and for a person to look into.
        assert doubtful <= 8
        paid = emulator.counts["by_body"]
        assert set(paid.values()) == {1}, "no row is paid for twice"
        assert len(done) <= len(paid) <= len(done) + doubtful
        assert done.task_id.nunique() == len(done)
        # The table's costs, the gateway's books and the budget agree.
        assert sum(map(Decimal, done.cost)) == Decimal("0.03") * len(done)
        assert emulator.spent == Decimal("0.03") * len(paid) <= Decimal(BUDGET)
        assert len(done) + doubtful == PAID, "the budget is spent, and reserved for what is in doubt"
        assert f"{len(done)} of {ROWS} rows" in output
        assert PASSWORD not in output
        assert emulator.api_key not in output

        # Once more, as an engine does that lost what it knew: nothing is sent.
        seen = emulator.counts["creates_seen"]
        again = subprocess.run(line, cwd=tmp_path, env=around, capture_output=True, text=True, timeout=180)
        assert again.returncode == 0, again.stderr
        known = pandas.read_csv(tmp_path / "results.csv")
        assert set(known[known.ok].task_id) == set(done.task_id)
        assert emulator.counts["creates_seen"] == seen


def share_of(line, environment, folder):
    """One task of an array, as a shell of the cluster runs it."""
    return subprocess.Popen(
        line, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def ends(shares):
    """The exit codes of tasks, once all are over."""
    outputs = [share.communicate(timeout=120)[1] for share in shares]
    assert all(PASSWORD not in text for text in outputs)
    return [share.returncode for share in shares], outputs


def check_array(start, emulator, folder, tasks):
    """Runs the tasks of an array: one is killed and started again; all of it is run once more."""
    shares = [start(task) for task in range(tasks)]
    limit = time.monotonic() + 60
    while emulator.counts["accepted"] < 4:
        assert time.monotonic() < limit, emulator.counts
        time.sleep(0.01)
    # The shell has become the command.
    shares[1].kill()
    shares[1].communicate()
    shares[1] = start(1)
    codes, outputs = ends(shares)
    # Over the budget, or in doubt: for a person. Nothing else is wrong.
    assert set(codes) <= {0, 6, 8}, outputs
    assert 6 in codes, outputs
    tables = [pandas.read_csv(file, dtype=str) for file in sorted(folder.glob("pictures/*.csv"))]
    assert len(tables) == tasks
    table = pandas.concat(tables)
    assert sorted(table.key) == sorted(row["key"] for row in rows(24))
    paid = emulator.counts["by_body"]
    assert set(paid.values()) == {1}
    done = table[table.status == "completed"]
    assert sum(map(Decimal, done.cost)) == Decimal("0.03") * len(done)
    doubtful = (table.status == "unknown").sum() + (table.status == "doubtful").sum()
    assert len(done) + doubtful == 20, table.status.value_counts()
    assert emulator.spent == Decimal("0.03") * len(paid) <= Decimal("0.60")
    pictures = [file for file in folder.glob("pictures/*/*") if file.suffix in (".png", ".webp", ".jpg")]
    assert len(pictures) == len(done)
    seen = emulator.counts["creates_seen"]
    ends([start(task) for task in range(tasks)])
    assert emulator.counts["creates_seen"] == seen


def lines_of(folder, count):
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows(count)))


def test_a_job_array_shares_one_journal(database, tmp_path):
    lines_of(tmp_path, 24)
    script = ENGINES / "job_array.sbatch"
    with Emulator(pictures="stub", latency="200ms..600ms", faults=SLOW) as emulator:
        order = {
            "ROWS": "rows.jsonl",
            "OUT": "pictures",
            "JOURNAL": database,
            "BUDGET": "0.60",
            "SCOPE": "array",
        }
        around = {**surroundings(emulator, tmp_path), **order, "SLURM_ARRAY_TASK_COUNT": "4"}

        def start(task):
            return share_of(["sh", script], {**around, "SLURM_ARRAY_TASK_ID": str(task)}, tmp_path)

        check_array(start, emulator, tmp_path, 4)


def pod(job):
    """The one container of a Job."""
    [container] = job["spec"]["template"]["spec"]["containers"]
    return container


def test_a_Kubernetes_Job_shares_one_journal(database, tmp_path):  # noqa: N802
    yaml = pytest.importorskip("yaml", reason="pip install -r python/tests/requirements.txt")
    validator = pytest.importorskip(
        "kubernetes_validate", reason="pip install -r python/tests/requirements.txt"
    )
    text = (ENGINES / "kubernetes_job.yaml").read_text()
    job = yaml.safe_load(text)
    validator.validate(job, validator.latest_version(), strict=True)
    container = pod(job)
    environment = {one["name"]: one for one in container["env"]}
    # Secrets are in no file: pods read them.
    for name in ("EFFECTS_API_KEY", "PGPASSWORD"):
        assert environment[name].keys() == {"name", "valueFrom"}
        assert "secretKeyRef" in environment[name]["valueFrom"]
    assert int(environment["SHARES"]["value"]) == job["spec"]["completions"]
    assert not re.search(r"postgres://[^@\s]*:", text), "no password in the URL"

    lines_of(tmp_path, 24)
    with Emulator(pictures="stub", latency="200ms..600ms", faults=SLOW) as emulator:
        secrets = {"api-key": emulator.api_key, "database-password": PASSWORD}
        values = {
            name: one.get("value") or secrets[one["valueFrom"]["secretKeyRef"]["key"]]
            for name, one in environment.items()
        }
        given = {"JOURNAL": database.replace(f":{PASSWORD}", ""), "BUDGET": "0.60", "SHARES": "4"}
        around = {**surroundings(emulator, tmp_path), **values, **given, "SCOPE": "job"}
        line = [*container["command"], *container["args"]]

        def start(task):
            return share_of(line, {**around, "JOB_COMPLETION_INDEX": str(task)}, tmp_path)

        check_array(start, emulator, tmp_path, 4)
