"""`on_dask`: spreads the rows of a table over a Dask cluster, whose workers run them with the package's
`Client` (`share`), with one journal and one budget in Postgres. For tables too long for one machine.

    pip install ./python distributed pandas
    export EFFECTS_API_KEY=… PGPASSWORD=…      # on the workers too: neither travels
    python examples/engines/on_dask.py rows.csv postgres://studio@db.example/photos \
        --budget 500 --scope spring-sale --out results.csv

``rows.csv`` has the columns template, image and key, and width, height and tag where they are wanted.
Without ``--scheduler tcp://…`` the cluster is three processes of this machine.

Dask moves shares of the rows, and does a share again whose worker it lost. The journal keeps the money:
such a share finds what was paid for, follows what is under way, and submits the rest.
"""

import argparse

import pandas
from distributed import Client as Dask
from distributed import LocalCluster, progress

from spark_effects import Client

SHARES = 6


def share(rows, journal, budget, scope):
    """One share of the rows, on a worker: a table of what became of each, and what it cost."""
    with Client(journal=journal) as client:
        results = client.map(rows, budget=budget, scope=scope, in_flight=8, fetch=False)
        return results.all().to_pandas()


def on_dask(dask, rows, journal, budget, scope):
    """All shares, as one table."""
    order = (journal, budget, scope)
    shares = [dask.submit(share, rows.iloc[n::SHARES], *order, pure=False) for n in range(SHARES)]
    progress(shares, notebook=False)
    return pandas.concat(dask.gather(shares), ignore_index=True)


def main():
    """Reads the line of arguments, and writes the table."""
    parser = argparse.ArgumentParser(description="Rows on Dask, each paid for once")
    parser.add_argument("rows")
    parser.add_argument("journal")
    parser.add_argument("--budget", required=True)
    parser.add_argument("--scope", required=True)
    parser.add_argument("--out", default="results.csv")
    parser.add_argument("--scheduler")
    asked = parser.parse_args()
    cluster = asked.scheduler or LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None)
    with Dask(cluster) as dask:
        table = on_dask(dask, pandas.read_csv(asked.rows), asked.journal, asked.budget, asked.scope)
    if asked.scheduler is None:
        cluster.close()
    table.to_csv(asked.out, index=False)
    print(f"\n{table.ok.sum()} of {len(table)} rows have their picture, for {table.cost.dropna().sum()} USD")
    print(table[~table.ok].groupby("error").size().to_string())


if __name__ == "__main__":
    main()
