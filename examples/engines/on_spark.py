"""`on_spark`: spreads the rows of a table over a Spark cluster, whose workers run them with the
package's `Client` (`share`), with one journal and one budget in Postgres. For tables too long for one
machine.

    pip install ./python pyspark pandas pyarrow      # and Java 17 or later
    export EFFECTS_API_KEY=… PGPASSWORD=…            # on the workers too: neither travels
    python examples/engines/on_spark.py rows.csv postgres://studio@db.example/photos \
        --budget 500 --scope spring-sale --out results.csv

``rows.csv`` has the columns template, image and key, and width, height and tag where they are wanted.
Without ``--master spark://…`` the cluster is three processes of this machine.

Spark moves partitions of the rows, and does one again whose worker it lost; an action on the table does
all of them again, unless it is kept. The journal keeps the money: a partition that is done again finds
what was paid for, follows what is under way, and submits the rest.
"""

import argparse

from pyspark.sql import SparkSession

from spark_effects import Client

SHARES = 6
COLUMNS = {
    "key": "string",
    "template": "string",
    "ok": "boolean",
    "task_id": "string",
    "cost": "decimal(12, 6)",
    "url": "string",
    "error": "string",
    "message": "string",
}


def on_spark(spark, rows, journal, budget, scope):
    """What became of each row, and what it cost, as a table of Spark's: done by the actions on it."""

    def share(parts):
        with Client(journal=journal) as client:
            for part in parts:
                results = client.map(part, budget=budget, scope=scope, in_flight=8, fetch=False)
                yield results.all().to_pandas()[list(COLUMNS)]

    schema = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    return rows.repartition(SHARES).mapInPandas(share, schema)


def main():
    """Reads the line of arguments, and writes the table."""
    parser = argparse.ArgumentParser(description="Rows on Spark, each paid for once")
    parser.add_argument("rows")
    parser.add_argument("journal")
    parser.add_argument("--budget", required=True)
    parser.add_argument("--scope", required=True)
    parser.add_argument("--out", default="results.csv")
    parser.add_argument("--master", default="local[3, 4]")
    asked = parser.parse_args()
    spark = SparkSession.builder.master(asked.master).appName("effects").getOrCreate()
    rows = spark.read.csv(asked.rows, header=True)
    table = on_spark(spark, rows, asked.journal, asked.budget, asked.scope).toPandas()
    spark.stop()
    table.to_csv(asked.out, index=False)
    print(f"\n{table.ok.sum()} of {len(table)} rows have their picture, for {table.cost.dropna().sum()} USD")
    print(table[~table.ok].groupby("error").size().to_string())


if __name__ == "__main__":
    main()
