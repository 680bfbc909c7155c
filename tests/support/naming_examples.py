"""OpenLineage namespace and name, and the types and qualifiedNames that come of them: parents first."""

from __future__ import annotations

from airflow_provider_mlgov.model import identity

QUERY = "SELECT " + "x, " * 1000

EXAMPLES = [
    # files
    ("file", "/data/a.csv", ["fs_path file:///data/a.csv@air"]),
    ("file", "/data//b/./c/", ["fs_path file:///data/b/c@air"]),
    ("file", "/", ["fs_path file:///@air"]),
    ("file", "relative/a.csv", ["fs_path file:relative/a.csv@air"]),
    ("file:/warehouse", "default.t1", ["fs_path file:///warehouse/default.t1@air"]),
    ("file://", "/data/a.csv", ["fs_path file:///data/a.csv@air"]),
    ("file://Host", "/data/a.csv", ["fs_path file://host/data/a.csv@plat"]),
    ("sftp://user@host:22", "in/a.csv", ["fs_path sftp://host:22/in/a.csv@plat"]),
    # s3
    (
        "s3://Bucket",
        "Raw/a.csv",
        [
            "aws_s3_v2_bucket s3a://bucket@plat",
            "aws_s3_v2_directory s3a://bucket/Raw/@plat",
            "aws_s3_v2_directory s3a://bucket/Raw/a.csv/@plat",
        ],
    ),
    ("s3://bucket", "/", ["aws_s3_v2_bucket s3a://bucket@plat"]),
    ("s3a://bucket", "/a/", ["aws_s3_v2_bucket s3a://bucket@plat", "aws_s3_v2_directory s3a://bucket/a/@plat"]),
    ("s3", "bucket/a", ["mlgov_dataset s3/bucket%2Fa@cat"]),
    # hdfs
    ("hdfs://nn:8020", "/Data/a/", ["hdfs_path hdfs://nn:8020/Data/a@plat"]),
    ("hdfs://nameservice", "/a", ["hdfs_path hdfs://nameservice/a@plat"]),
    # hive
    ("hive://meta:9083", "Sales.Orders", ["hive_db sales@plat", "hive_table sales.orders@plat"]),
    ("hive://meta:9083", "hive.sales.orders", ["hive_db sales@plat", "hive_table sales.orders@plat"]),
    ("hive://meta:9083", "spark.sales.orders", ["hive_db spark:sales@plat", "hive_table sales.orders@plat"]),
    ("hive://meta:9083", "orders", ["mlgov_dataset hive:%2F%2Fmeta:9083/orders@cat"]),
    # postgres
    (
        "postgres://Db:5433",
        "shop.public.orders",
        ["rdbms_instance db:5433@plat", "rdbms_db db:5433/shop@plat", "rdbms_table db:5433/shop.public.orders@plat"],
    ),
    (
        "postgresql://user:secret@db",
        "shop.public.a.b",
        ["rdbms_instance db:5432@plat", "rdbms_db db:5432/shop@plat", "rdbms_table db:5432/shop.public.a.b@plat"],
    ),
    (
        "postgresql+psycopg2://db",
        "shop.public.orders",
        ["rdbms_instance db:5432@plat", "rdbms_db db:5432/shop@plat", "rdbms_table db:5432/shop.public.orders@plat"],
    ),
    (
        "postgres://[::1]",
        "d.s.t",
        ["rdbms_instance [::1]:5432@plat", "rdbms_db [::1]:5432/d@plat", "rdbms_table [::1]:5432/d.s.t@plat"],
    ),
    ("postgres://db:5432", "public.orders", ["mlgov_dataset postgres:%2F%2Fdb:5432/public.orders@cat"]),
    ("postgres://db:5432", "pg_catalog.pg_class", ["mlgov_dataset postgres:%2F%2Fdb:5432/pg_catalog.pg_class@cat"]),
    (
        "postgres://db:5432",
        "Shop.Orders",
        ["rdbms_instance db:5432@plat", "rdbms_db db:5432/shop@plat", "rdbms_table db:5432/shop.public.orders@plat"],
    ),
    ("postgres://db:5432/shop", "a.b.c", ["mlgov_dataset postgres:%2F%2Fdb:5432%2Fshop/a.b.c@cat"]),
    ("postgres://db:port", "a.b.c", ["mlgov_dataset postgres:%2F%2Fdb:port/a.b.c@cat"]),
    # mysql
    (
        "mysql://my:3307",
        "crm.people",
        ["rdbms_instance my:3307@plat", "rdbms_db my:3307/crm@plat", "rdbms_table my:3307/crm.people@plat"],
    ),
    ("mysql://my", "people", ["mlgov_dataset mysql:%2F%2Fmy/people@cat"]),
    # sqlite
    (
        "sqlite:///data/shop.db",
        "orders",
        [
            "rdbms_instance sqlite:///data/shop.db@air",
            "rdbms_db sqlite:///data/shop.db/main@air",
            "rdbms_table sqlite:///data/shop.db/main.orders@air",
        ],
    ),
    (
        "sqlite://host/shop.db",
        "other.orders",
        [
            "rdbms_instance sqlite://host/shop.db@air",
            "rdbms_db sqlite://host/shop.db/other@air",
            "rdbms_table sqlite://host/shop.db/other.orders@air",
        ],
    ),
    (
        "sqlite:/data/shop.db",
        "orders",
        [
            "rdbms_instance sqlite:///data/shop.db@air",
            "rdbms_db sqlite:///data/shop.db/main@air",
            "rdbms_table sqlite:///data/shop.db/main.orders@air",
        ],
    ),
    ("sqlite", "orders", ["mlgov_dataset sqlite/orders@cat"]),
    # other relational databases
    (
        "duckdb://shop.duckdb",
        "shop.main.orders",
        [
            "rdbms_instance duckdb://shop.duckdb@air",
            "rdbms_db duckdb://shop.duckdb/shop@air",
            "rdbms_table duckdb://shop.duckdb/shop.main.orders@air",
        ],
    ),
    (
        "mssql://Db:1433",
        "shop.dbo.Orders",
        ["rdbms_instance db:1433@plat", "rdbms_db db:1433/shop@plat", "rdbms_table db:1433/shop.dbo.Orders@plat"],
    ),
    (
        "sqlserver://db",
        "shop.dbo.orders",
        ["rdbms_instance db:1433@plat", "rdbms_db db:1433/shop@plat", "rdbms_table db:1433/shop.dbo.orders@plat"],
    ),
    (
        "sqlserver://db:1433/INST",
        "shop.dbo.orders",
        ["rdbms_instance db:1433@plat", "rdbms_db db:1433/shop@plat", "rdbms_table db:1433/shop.dbo.orders@plat"],
    ),
    (
        "sqlserver://db:1433",
        "shop.orders",
        ["rdbms_instance db:1433@plat", "rdbms_db db:1433/shop@plat", "rdbms_table db:1433/shop.dbo.orders@plat"],
    ),
    (
        "sqlserver://w.sql.azuresynapse.net:1433",
        "sales.orders",
        ["mlgov_dataset sqlserver:%2F%2Fw.sql.azuresynapse.net:1433/sales.orders@cat"],
    ),
    (
        "sqlserver://db/INST",
        "shop.dbo.orders",
        [
            r"rdbms_instance db\inst:1433@plat",
            r"rdbms_db db\inst:1433/shop@plat",
            r"rdbms_table db\inst:1433/shop.dbo.orders@plat",
        ],
    ),
    (
        r"mssql://db\inst:1433",
        "shop.dbo.orders",
        [
            r"rdbms_instance db\inst:1433@plat",
            r"rdbms_db db\inst:1433/shop@plat",
            r"rdbms_table db\inst:1433/shop.dbo.orders@plat",
        ],
    ),
    ("mssql://db/shop", "shop.dbo.t", ["mlgov_dataset mssql:%2F%2Fdb%2Fshop/shop.dbo.t@cat"]),
    ("sqlserver://db:1433", "dbo.orders", ["mlgov_dataset sqlserver:%2F%2Fdb:1433/dbo.orders@cat"]),
    (
        "fabric-warehouse://x.datawarehouse.fabric.microsoft.com",
        "wh.dbo.t",
        [
            "rdbms_instance x.datawarehouse.fabric.microsoft.com:1433@plat",
            "rdbms_db x.datawarehouse.fabric.microsoft.com:1433/wh@plat",
            "rdbms_table x.datawarehouse.fabric.microsoft.com:1433/wh.dbo.t@plat",
        ],
    ),
    (
        "oracle://db:1521",
        "SALES.HR.EMP",
        ["rdbms_instance db:1521@plat", "rdbms_db db:1521/SALES@plat", "rdbms_table db:1521/SALES.HR.EMP@plat"],
    ),
    (
        "oracle://a:1521,b:1521",
        "SALES.HR.EMP",
        [
            "rdbms_instance a:1521,b:1521@plat",
            "rdbms_db a:1521,b:1521/SALES@plat",
            "rdbms_table a:1521,b:1521/SALES.HR.EMP@plat",
        ],
    ),
    (
        "teradata://td",
        "dw.orders",
        ["rdbms_instance td:1025@plat", "rdbms_db td:1025/dw@plat", "rdbms_table td:1025/dw.orders@plat"],
    ),
    (
        "db2://db:50000",
        "SHOP.PUB.ORDERS",
        ["rdbms_instance db:50000@plat", "rdbms_db db:50000/SHOP@plat", "rdbms_table db:50000/SHOP.PUB.ORDERS@plat"],
    ),
    (
        "crate://c:4200",
        "crate.doc.t",
        ["rdbms_instance c:4200@plat", "rdbms_db c:4200/crate@plat", "rdbms_table c:4200/crate.doc.t@plat"],
    ),
    ("crate://c:4200", "doc.t", ["mlgov_dataset crate:%2F%2Fc:4200/doc.t@cat"]),
    ("db2://db:50000", "SHOP.ORDERS", ["mlgov_dataset db2:%2F%2Fdb:50000/SHOP.ORDERS@cat"]),
    (
        "oceanbase://ob:2881",
        "shop.orders",
        ["rdbms_instance ob:2881@plat", "rdbms_db ob:2881/shop@plat", "rdbms_table ob:2881/shop.orders@plat"],
    ),
    (
        "clickhouse://ch:8123",
        "default.events",
        ["rdbms_instance ch:8123@plat", "rdbms_db ch:8123/default@plat", "rdbms_table ch:8123/default.events@plat"],
    ),
    (
        "redshift://Cluster.eu-west-1:5439",
        "dw.public.t",
        [
            "rdbms_instance cluster.eu-west-1:5439@plat",
            "rdbms_db cluster.eu-west-1:5439/dw@plat",
            "rdbms_table cluster.eu-west-1:5439/dw.public.t@plat",
        ],
    ),
    (
        "redshift://c:5439",
        "dw.t",
        ["rdbms_instance c:5439@plat", "rdbms_db c:5439/dw@plat", "rdbms_table c:5439/dw.public.t@plat"],
    ),
    (
        "cassandra://c1:9042",
        "keys.t",
        ["rdbms_instance c1:9042@plat", "rdbms_db c1:9042/keys@plat", "rdbms_table c1:9042/keys.t@plat"],
    ),
    (
        "snowflake://Org-Acc",
        "DB.S.T@1",
        [
            "rdbms_instance snowflake://org-acc@plat",
            "rdbms_db snowflake://org-acc/DB@plat",
            "rdbms_table snowflake://org-acc/DB.S.T@1@plat",
        ],
    ),
    (
        "snowflake://loc.eu-west-1.aws",
        "DB.S.a.b",
        [
            "rdbms_instance snowflake://loc.eu-west-1.aws@plat",
            "rdbms_db snowflake://loc.eu-west-1.aws/DB@plat",
            "rdbms_table snowflake://loc.eu-west-1.aws/DB.S.A.B@plat",
        ],
    ),
    ("snowflake://org-acc", "S.T", ["mlgov_dataset snowflake:%2F%2Forg-acc/S.T@cat"]),
    (
        "spanner://proj:inst",
        "db.s.t",
        [
            "rdbms_instance spanner://proj:inst@plat",
            "rdbms_db spanner://proj:inst/db@plat",
            "rdbms_table spanner://proj:inst/db.s.t@plat",
        ],
    ),
    (
        "spanner://proj:inst",
        "db..t",
        [
            "rdbms_instance spanner://proj:inst@plat",
            "rdbms_db spanner://proj:inst/db@plat",
            "rdbms_table spanner://proj:inst/db.t@plat",
        ],
    ),
    (
        "spanner://proj:inst",
        "db.t",
        [
            "rdbms_instance spanner://proj:inst@plat",
            "rdbms_db spanner://proj:inst/db@plat",
            "rdbms_table spanner://proj:inst/db.t@plat",
        ],
    ),
    (
        "azurekusto://c.kusto.windows.net",
        "db/t",
        [
            "rdbms_instance azurekusto://c.kusto.windows.net@plat",
            "rdbms_db azurekusto://c.kusto.windows.net/db@plat",
            "rdbms_table azurekusto://c.kusto.windows.net/db.t@plat",
        ],
    ),
    (
        "azurecosmos://h.documents.azure.com/dbs/db",
        "colls/c",
        [
            "rdbms_instance azurecosmos://h.documents.azure.com@plat",
            "rdbms_db azurecosmos://h.documents.azure.com/db@plat",
            "rdbms_table azurecosmos://h.documents.azure.com/db.c@plat",
        ],
    ),
    # glue
    (
        "arn:aws:glue:eu-west-1:123",
        "table/Sales/Orders",
        ["hive_db sales@glue-eu-west-1-123", "hive_table sales.orders@glue-eu-west-1-123"],
    ),
    ("arn:aws:s3:::b", "x", ["mlgov_dataset arn:aws:s3:::b/x@cat"]),
    # other stores of files
    (
        "abfss://Box@acc.dfs.core.windows.net",
        "/Raw/a.csv",
        [
            "adls_gen2_account abfss://acc@plat",
            "adls_gen2_container abfss://box@acc@plat",
            "adls_gen2_directory abfss://box@acc/Raw@plat",
            "adls_gen2_directory abfss://box@acc/Raw/a.csv@plat",
        ],
    ),
    (
        "wasbs://box@acc.blob.core.windows.net",
        "/",
        ["adls_gen2_account abfss://acc@plat", "adls_gen2_container abfss://box@acc@plat"],
    ),
    ("abfss://box", "a", ["mlgov_dataset abfss:%2F%2Fbox/a@cat"]),
    (
        "ofs://svc",
        "/vol/bucket/k1/k2",
        [
            "ozone_volume ofs://vol@plat",
            "ozone_bucket ofs://vol.bucket@plat",
            "ozone_key ofs://svc/vol/bucket/k1@plat",
            "ozone_key ofs://svc/vol/bucket/k1/k2@plat",
        ],
    ),
    (
        "o3fs://bucket.vol.svc",
        "k1",
        [
            "ozone_volume o3fs://vol@plat",
            "ozone_bucket o3fs://vol.bucket@plat",
            "ozone_key o3fs://bucket.vol.svc/k1@plat",
        ],
    ),
    ("ofs://svc", "/", ["mlgov_dataset ofs:%2F%2Fsvc/%2F@cat"]),
    ("dbfs://ws", "/mnt/a", ["fs_path dbfs://ws/mnt/a@plat"]),
    # hbase
    ("hbase://zk:2181", "Shop:Orders", ["hbase_namespace Shop@plat", "hbase_table Shop:Orders@plat"]),
    ("hbase://zk:2181", "orders", ["hbase_namespace default@plat", "hbase_table default:orders@plat"]),
    # kafka
    ("kafka://k1:9092,k2:9092", "Clicks", ["kafka_topic clicks@plat"]),
    # ml
    ("mlgov://shop", "models/churn", ["ml_project ml/shop@cat", "mlgov_model ml/shop/models/churn@cat"]),
    (
        "mlgov://shop",
        "models/churn/builds/b%2F1",
        [
            "ml_project ml/shop@cat",
            "mlgov_model ml/shop/models/churn@cat",
            "mlgov_model_build ml/shop/models/churn/builds/b%2F1@cat",
        ],
    ),
    # platforms that Atlas has no types for
    (
        "trino://Host:8080",
        "Cat.Sch.T",
        [
            "mlgov_container trino://host:8080@plat",
            "mlgov_container trino://host:8080/cat@plat",
            "mlgov_container trino://host:8080/cat.sch@plat",
            "mlgov_trino_table trino://host:8080/cat.sch.t@plat",
        ],
    ),
    (
        "presto://p:8080",
        "hive.s.t",
        [
            "mlgov_container presto://p:8080@plat",
            "mlgov_container presto://p:8080/hive@plat",
            "mlgov_container presto://p:8080/hive.s@plat",
            "mlgov_trino_table presto://p:8080/hive.s.t@plat",
        ],
    ),
    ("trino://host:8080", "sch.t", ["mlgov_dataset trino:%2F%2Fhost:8080/sch.t@cat"]),
    (
        "awsathena://athena.eu-west-1.amazonaws.com",
        "AwsDataCatalog.shop.Orders",
        [
            "mlgov_container awsathena://athena.eu-west-1.amazonaws.com@plat",
            "mlgov_container awsathena://athena.eu-west-1.amazonaws.com/awsdatacatalog@plat",
            "mlgov_container awsathena://athena.eu-west-1.amazonaws.com/awsdatacatalog.shop@plat",
            "mlgov_athena_table awsathena://athena.eu-west-1.amazonaws.com/awsdatacatalog.shop.orders@plat",
        ],
    ),
    (
        "unitycatalog://uc:443",
        "main.shop.orders",
        [
            "mlgov_container unitycatalog://uc:443@plat",
            "mlgov_container unitycatalog://uc:443/main@plat",
            "mlgov_container unitycatalog://uc:443/main.shop@plat",
            "mlgov_unity_table unitycatalog://uc:443/main.shop.orders@plat",
        ],
    ),
    (
        "milvus://m:19530",
        "default.vectors",
        [
            "mlgov_container milvus://m:19530@plat",
            "mlgov_container milvus://m:19530/default@plat",
            "mlgov_milvus_collection milvus://m:19530/default.vectors@plat",
        ],
    ),
    (
        "bigtable://proj:inst",
        "events",
        ["mlgov_container bigtable://proj:inst@plat", "mlgov_bigtable_table bigtable://proj:inst/events@plat"],
    ),
    (
        "bigquery",
        "proj.set.T",
        [
            "mlgov_container bigquery/proj@plat",
            "mlgov_container bigquery/proj.set@plat",
            "mlgov_bigquery_table bigquery/proj.set.T@plat",
        ],
    ),
    (
        "bigquery",
        "example.com:proj.set.t$20260131",
        [
            "mlgov_container bigquery/example.com:proj@plat",
            "mlgov_container bigquery/example.com:proj.set@plat",
            "mlgov_bigquery_table bigquery/example.com:proj.set.t@plat",
        ],
    ),
    (" bigquery ", " t ", ["mlgov_dataset bigquery/t@cat"]),
    (
        "gs://Bucket",
        "Raw/a.csv",
        [
            "mlgov_gcs_bucket gs://bucket@plat",
            "mlgov_gcs_directory gs://bucket/Raw/@plat",
            "mlgov_gcs_directory gs://bucket/Raw/a.csv/@plat",
        ],
    ),
    ("gs://bucket", "/", ["mlgov_gcs_bucket gs://bucket@plat"]),
    ("gs", "bucket/a", ["mlgov_dataset gs/bucket%2Fa@cat"]),
    (
        "pubsub",
        "topic:proj:clicks",
        ["mlgov_container pubsub/proj@plat", "mlgov_pubsub_topic pubsub/topic:proj:clicks@plat"],
    ),
    (
        "pubsub",
        "subscription:example.com:proj:s",
        [
            "mlgov_container pubsub/example.com:proj@plat",
            "mlgov_pubsub_subscription pubsub/subscription:example.com:proj:s@plat",
        ],
    ),
    ("pubsub", "clicks", ["mlgov_dataset pubsub/clicks@cat"]),
    # names as a platform folds them
    (
        "snowflake://org-acc",
        "db.s.orders",
        [
            "rdbms_instance snowflake://org-acc@plat",
            "rdbms_db snowflake://org-acc/DB@plat",
            "rdbms_table snowflake://org-acc/DB.S.ORDERS@plat",
        ],
    ),
    # partitions, and tables that are not ready yet
    (
        "s3://lake",
        "sales/dt=2026-01-31/hour=3/part-0.parquet",
        ["aws_s3_v2_bucket s3a://lake@plat", "aws_s3_v2_directory s3a://lake/sales/@plat"],
    ),
    (
        "s3://lake",
        "dt=2026-01-31/a",
        [
            "aws_s3_v2_bucket s3a://lake@plat",
            "aws_s3_v2_directory s3a://lake/dt=2026-01-31/@plat",
            "aws_s3_v2_directory s3a://lake/dt=2026-01-31/a/@plat",
        ],
    ),
    (
        "postgres://db:5432",
        "shop.public.orders__dbt_tmp",
        ["rdbms_instance db:5432@plat", "rdbms_db db:5432/shop@plat", "rdbms_table db:5432/shop.public.orders@plat"],
    ),
    # fallback
    (
        "kafka://k:9092",
        "表" * 1000,
        [f"mlgov_dataset kafka:%2F%2Fk:9092/{'表' * 129}~{identity.token('表' * 1000)}@cat"],
    ),
    ("file", "/models/lr=0.01.pkl", ["fs_path file:///models/lr=0.01.pkl@air"]),
    ("file", "/t/dt=1/lr=0.01.pkl", ["fs_path file:///t@air"]),
    ("s3://b", "a/" * 101, [f"mlgov_dataset s3:%2F%2Fb/{'a%2F' * 101}@cat"]),
    ("jdbc", QUERY.strip(), [f"mlgov_dataset jdbc/{QUERY.strip()[:503]}~{identity.token(QUERY.strip())}@cat"]),
]
