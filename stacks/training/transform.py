"""Turns carts, one JSON object a line, into rows of a table.

The files are those of the manifest that was checked, in the version that was
checked. A cart that comes again with a later run replaces its row, so that a run
can be repeated. Within a run nothing tells which of two rows is the later one:
a line may come twice, but two that differ fail the run.
"""

import json
import sys
from urllib.parse import urlparse

import boto3
from awsglue.utils import getResolvedOptions
from pyspark.sql import SparkSession, functions as f

arguments = getResolvedOptions(sys.argv, ["manifest", "manifest_version", "run", "database", "table", "location"])
manifest = urlparse(arguments["manifest"])
body = boto3.client("s3").get_object(
    Bucket=manifest.netloc, Key=manifest.path.lstrip("/"), VersionId=arguments["manifest_version"]
)["Body"].read()
files = [f"s3://{manifest.netloc}/{file['key']}" for file in json.loads(body)["files"]]

spark = SparkSession.builder.getOrCreate()
carts = (
    spark.read.schema("cart string, customer string, items int, total double, opened timestamp, abandoned boolean")
    .json(files)
    .dropDuplicates()
    .withColumn("run", f.lit(arguments["run"]))
)
carts.createOrReplaceTempView("arrived")
unclear = [row.cart for row in spark.sql("SELECT cart FROM arrived GROUP BY cart HAVING count(*) > 1 LIMIT 10").collect()]
if unclear:
    raise ValueError(f"{arguments['manifest']} has rows that differ of the carts {unclear}; allowed is one a cart: send the latest only")
target = f"glue_catalog.{arguments['database']}.{arguments['table']}"
spark.sql(
    f"""
    MERGE INTO {target} AS kept USING arrived ON kept.cart = arrived.cart
    WHEN MATCHED THEN UPDATE SET *
    WHEN NOT MATCHED THEN INSERT *
    """
)
