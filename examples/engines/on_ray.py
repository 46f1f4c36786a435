"""`on_ray`: spreads the rows of a table over a Ray cluster, whose workers run them with the package's
`Client` (`share`), with one journal and one budget in Postgres. For tables too long for one machine.

    pip install ./python ray pandas
    export EFFECTS_API_KEY=… PGPASSWORD=…      # on the workers too: neither travels
    python examples/engines/on_ray.py rows.csv postgres://studio@db.example/photos \
        --budget 500 --scope spring-sale --out results.csv

``rows.csv`` has the columns template, image and key, and width, height and tag where they are wanted.
Without ``--cluster ray://…`` the cluster is three processes of this machine.

Ray moves shares of the rows, and does a share again whose worker it lost. The journal keeps the money:
such a share finds what was paid for, follows what is under way, and submits the rest.
"""

import argparse

import pandas
import ray

from spark_effects import Client

SHARES = 6


@ray.remote(max_retries=5)
def share(rows, journal, budget, scope):
    """One share of the rows, on a worker: a table of what became of each, and what it cost."""
    with Client(journal=journal) as client:
        results = client.map(rows, budget=budget, scope=scope, in_flight=8, fetch=False)
        return results.all().to_pandas()


def on_ray(rows, journal, budget, scope):
    """All shares, as one table."""
    shares = [share.remote(rows.iloc[n::SHARES], journal, budget, scope) for n in range(SHARES)]
    return pandas.concat(ray.get(shares), ignore_index=True)


def main():
    """Reads the line of arguments, and writes the table."""
    parser = argparse.ArgumentParser(description="Rows on Ray, each paid for once")
    parser.add_argument("rows")
    parser.add_argument("journal")
    parser.add_argument("--budget", required=True)
    parser.add_argument("--scope", required=True)
    parser.add_argument("--out", default="results.csv")
    parser.add_argument("--cluster")
    asked = parser.parse_args()
    if asked.cluster:
        ray.init(asked.cluster)
    else:
        ray.init("local", num_cpus=3, include_dashboard=False)
    table = on_ray(pandas.read_csv(asked.rows), asked.journal, asked.budget, asked.scope)
    ray.shutdown()
    table.to_csv(asked.out, index=False)
    print(f"\n{table.ok.sum()} of {len(table)} rows have their picture, for {table.cost.dropna().sum()} USD")
    print(table[~table.ok].groupby("error").size().to_string())


if __name__ == "__main__":
    main()
