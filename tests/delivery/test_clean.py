import copy
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlgov.delivery.clean import CleanOptions, clean
from airflow_provider_mlgov.masking import hide_in_text, is_secret, strip_url


def event(**more):
    return {
        "eventTime": "2026-01-01T00:00:00Z",
        "eventType": "COMPLETE",
        "run": {"runId": "r", "facets": more.pop("run", {})},
        "job": {"namespace": "n", "name": "j", "facets": more.pop("job", {})},
        "inputs": more.pop("inputs", []),
        "outputs": more.pop("outputs", []),
    }


def dataset(name="t", **facets):
    return {"namespace": "postgres://h:1", "name": name, "facets": facets}


def test_only_allowed_facets_survive():
    cleaned = clean(
        event(
            run={"nominalTime": {"a": 1}, "spark.logicalPlan": {"plan": "x"}, "mlgov_airflow": {"dagId": "d"}},
            job={"sql": {"query": "select 1"}, "airflow_odd": {"tasks": {}}, "sourceCode": {"sourceCode": "x"}},
            inputs=[
                {
                    **dataset(schema={"fields": []}, spark_stats={}),
                    "inputFacets": {"mlgov_io": {"split": "test"}, "odd": {}},
                }
            ],
            outputs=[{**dataset(), "outputFacets": {"outputStatistics": {"rowCount": 1}, "odd": {}}}],
        )
    )
    assert set(cleaned["run"]["facets"]) == {"nominalTime", "mlgov_airflow"}
    assert set(cleaned["job"]["facets"]) == {"sql"}
    assert set(cleaned["inputs"][0]["facets"]) == {"schema"}
    assert set(cleaned["inputs"][0]["inputFacets"]) == {"mlgov_io"}
    assert set(cleaned["outputs"][0]["outputFacets"]) == {"outputStatistics"}


def test_only_some_environment_variables_are_kept():
    told = [{"name": name, "value": "v"} for name in ("SPARK_HOME", "REGION", "HOME")] + ["odd"]
    document = event(run={"environmentVariables": {"environmentVariables": told}})
    options = CleanOptions(environment=True, environment_names=("SPARK_*", "REGION"))
    kept = clean(document, None, options)["run"]["facets"]["environmentVariables"]["environmentVariables"]
    assert [item["name"] for item in kept] == ["SPARK_HOME", "REGION"]


def test_only_some_properties_of_the_environment_are_kept():
    told = {"_producer": "p", "environment-properties": {"REGION": "eu", "HOME": "/home/ann"}, "more": {"HOME": "x"}}
    options = CleanOptions(environment=True, environment_names=("REGION",))
    kept = clean(event(run={"environment-properties": told}), None, options)["run"]["facets"]["environment-properties"]
    assert kept == {"_producer": "p", "environment-properties": {"REGION": "eu"}}


@pytest.mark.parametrize(
    ("option", "where", "facet"),
    [
        ({"source_code": True}, "job", {"sourceCode": {"sourceCode": "x = 1"}}),
        ({"environment": True}, "run", {"environmentVariables": {"environmentVariables": []}}),
        ({"conf": True}, "run", {"airflow": {"dagRun": {"conf": {"a": 1}}, "task": {"op_kwargs": {"b": 2}}}}),
        ({"stack_traces": True}, "run", {"errorMessage": {"message": "m", "stackTrace": "at line 1"}}),
        ({"facets": frozenset({"gcp"})}, "run", {"gcp": {"a": 1}}),
    ],
)
def test_what_is_off_by_default_can_be_switched_on(option, where, facet):
    document = event(**{where: facet})
    assert clean(document)[where]["facets"] != facet
    assert clean(document, options=CleanOptions(**option))[where]["facets"] == facet


def test_facts_survive_and_secrets_do_not():
    ml = {
        "parameters": [
            {"name": "max_tokens", "value": 5},
            {"name": "api_key", "value": "k"},
            {"name": "API-Key", "value": "k"},
        ],
        "metrics": [{"name": "token_accuracy", "value": 0.5}],
        "access_token": "t",
        "tokenizer": "bpe",
    }
    facet = clean(event(outputs=[dataset(mlgov_ml=ml)]))["outputs"][0]["facets"]["mlgov_ml"]
    assert [item["value"] for item in facet["parameters"]] == [5, "***", "***"]
    assert facet["metrics"] == ml["metrics"]
    assert (facet["access_token"], facet["tokenizer"]) == ("***", "bpe")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("false", "false"),
        ("True", "True"),
        ("NO", "NO"),
        (True, True),
        (0, 0),
        ("hunter2", "***"),
        ("true hunter2", "***"),
        ([1], "***"),
    ],
)
def test_a_tag_called_like_a_secret_may_say_yes_or_no(value, kept):
    tag = {"key": "password", "value": value, "default": "hunter2"}
    (item,) = clean(event(inputs=[dataset(tags={"tags": [tag]})]))["inputs"][0]["facets"]["tags"]["tags"]
    assert item == {"key": "password", "value": kept, "default": "***"}
    other = clean(event(inputs=[dataset(documentation={"x": [tag]})]))["inputs"][0]["facets"]["documentation"]["x"]
    assert other[0]["value"] == "***"


@pytest.mark.parametrize("key", ["hiv_positive", "patient.hiv-positive"])
def test_a_tag_of_a_listed_name_says_nothing(key):
    tags = {"tags": [{"key": key, "value": "Yes"}]}
    cleaned = clean(event(inputs=[dataset(tags=tags)]), options=CleanOptions(masked_names=frozenset({"HIV-positive"})))
    assert cleaned["inputs"][0]["facets"]["tags"]["tags"][0]["value"] == "***"


def test_columns_may_be_called_like_secrets():
    facets = {
        "schema": {"fields": [{"name": "password", "type": "text"}]},
        "columnLineage": {"fields": {"token": {"inputFields": [{"namespace": "n", "name": "t", "field": "secret"}]}}},
    }
    assert clean(event(inputs=[dataset(**facets)]))["inputs"][0]["facets"] == facets


def test_the_masker_sees_texts_but_no_identities():
    cleaned = clean(
        event(run={"errorMessage": {"message": "hunter2 failed"}}, inputs=[dataset("hunter2.t")]),
        lambda text: text.replace("hunter2", "***"),
    )
    assert cleaned["run"]["facets"]["errorMessage"]["message"] == "*** failed"
    assert cleaned["inputs"][0]["name"] == "hunter2.t"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("postgres://user:pw@host:5432/db", "postgres://host:5432/db"),
        ("https://ghp_token@github.com/a/b", "https://github.com/a/b"),
        ("abfss://container@account.dfs.core.windows.net/x", "abfss://container@account.dfs.core.windows.net/x"),
        ("s3://b/k?versionId=3&X-Amz-Signature=abc&x=1", "s3://b/k?versionId=3&x=1"),
        ("https://h/p?token=abc&x=1", "https://h/p?x=1"),
        ("https://h/p?token=abc", "https://h/p"),
        ("jdbc:sqlserver://h;user=u;password=p;database=d", "jdbc:sqlserver://h;user=u;database=d"),
        ("s3://bucket/token=5/part", "s3://bucket/token=5/part"),
        ("plain@text", "plain@text"),
        ("wasbs://c@acc.blob.core.windows.net/f?sig=HUNTER", "wasbs://c@acc.blob.core.windows.net/f"),
        ("postgres://me@host:5432", "postgres://host:5432"),
        ("postgres://u:p@ss/w@h/db", "postgres://h/db"),
        ("postgres://u:p@ss@h/db", "postgres://h/db"),
        ("postgres://u:pa/ss@h:5432/db", "postgres://h:5432/db"),
        ("postgres://u:p?a#b@10.0.0.1/db", "postgres://10.0.0.1/db"),
        ("x://u:p@host.org/a/b@v2/c", "x://host.org/a/b@v2/c"),
        ("x://u:p@host/a/b@v2", "x://host/a/b@v2"),
        ("http://host:8080/a/b@c.org/d", "http://host:8080/a/b@c.org/d"),
        ("x://[::1]:80/a@b/c", "x://[::1]:80/a@b/c"),
        ("jdbc:oracle:thin:scott/tiger@h", "jdbc:oracle:thin:@h"),
        ("jdbc:oracle:thin:scott/tiger@//h:1521/s", "jdbc:oracle:thin:@//h:1521/s"),
        ("jdbc:oracle:thin:@h:1521:s", "jdbc:oracle:thin:@h:1521:s"),
        ("f?sig=HUNTER", "f"),
        ("/x?token=a&b=1;Signature=c", "/x?b=1"),
        ("select a = ? and b = ?", "select a = ? and b = ?"),
    ],
)
def test_urls_lose_credentials(text, kept):
    assert strip_url(text) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("login failed: password=hunter2 for x", "login failed: password=*** for x"),
        ('{"api_key": "abc", "max_tokens": 5}', '{"api_key": ***, "max_tokens": 5}'),
        ("max_tokens=5", "max_tokens=5"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer ***"),
        ("select * from t where a = 1", "select * from t where a = 1"),
        ("password: x", "password: ***"),
        ("DB_PASSWORD=x PGPASSWORD=x my_api_token=x", "DB_PASSWORD=*** PGPASSWORD=*** my_api_token=***"),
        ("tokens: 12, password_length=8, max_tokens=5", "tokens: 12, password_length=8, max_tokens=5"),
        ("run --password x --token=x --depth 3", "run --password *** --token=*** --depth 3"),
        ("['--password', 'x', '--depth', '3']", "['--password', ***, '--depth', '3']"),
        ("Authorization: Token x", "Authorization: Token ***"),
        ("authorization: bearer x", "authorization: bearer ***"),
        ("sent Bearer x", "sent Bearer ***"),
        ("Bearer token is missing", "Bearer token is missing"),
        ("CREATE USER u IDENTIFIED BY 'x''y z'", "CREATE USER u IDENTIFIED BY ***"),
        ("create user u identified by tiger;", "create user u identified by ***;"),
        ("a thing identified by its name", "a thing identified by its name"),
        ("ALTER ROLE u PASSWORD 'x y'", "ALTER ROLE u PASSWORD ***"),
        ("select password::text from t", "select password::text from t"),
        ("connect(dsn='host=h password=x')", "connect(dsn='host=h password=***')"),
        ('token == b\'x\' and password = "a\\"b"', "token == *** and password = ***"),
        ('{\\"password\\": \\"x\\"}', '{\\"password\\": ***}'),
        ("password='cut off", "password=***"),
        ("at postgres://u:p@ss/w@h/db: refused", "at postgres://h/db: refused"),
        ("the password:\nLogin failed", "the password:\nLogin failed"),
        ("password:\nLogin failed", "password:\nLogin failed"),
        ('connect(password="""x\ny""", port=5)', "connect(password=***, port=5)"),
        ("connect(password=b'''x''', port=5)", "connect(password=***, port=5)"),
        ("OPTIONS (password='it''s x', user='u')", "OPTIONS (password=***, user='u')"),
        ("dblink('host=h password=''x'' user=u')", "dblink('host=h password=*** user=u')"),
        ("password='', user='u'", "password=***, user='u'"),
        ("a:\n  password: |\n    x\n    y\n\n  user: u\n", "a:\n  password: ***\n  user: u\n"),
        ("password: >-\n  x\nuser: u", "password: ***\nuser: u"),
        ("password:\n  x\nuser: u", "password: ***\nuser: u"),
        ("passwords:\n- x\n- y\nuser: u", "passwords: ***\nuser: u"),
        ("- token:\n    x\n- user: u", "- token: ***\n- user: u"),
        ("conn:\n  user: u\n  password: x", "conn:\n  user: u\n  password: ***"),
        ("tokens:\n  12", "tokens:\n  12"),
        ("DB_PASS=x first_pass=5 bypass=1", "DB_PASS=*** first_pass=5 bypass=1"),
        ("fernet_key=x encryption_key: x secret_id=x", "fernet_key=*** encryption_key: *** secret_id=***"),
        ("primary_key=id sort_key=x", "primary_key=id sort_key=x"),
        ("failed: ('host', 'h'), ('password', 'x')", "failed: ('host', 'h'), ('password', ***)"),
        ("name in ('password', 'token')", "name in ('password', 'token')"),
        ("select('token', 'id'), ('token', 'id', 'a')", "select('token', 'id'), ('token', 'id', 'a')"),
        (
            "<name>javax.jdo.option.ConnectionPassword</name>\n<value>x</value>",
            "<name>javax.jdo.option.ConnectionPassword</name>\n<value>***</value>",
        ),
        ("<name>fs.defaultFS</name><value>hdfs:/</value>", "<name>fs.defaultFS</name><value>hdfs:/</value>"),
        ("SharedAccessSignature=sv=1&ss=b&sig=x;a=b", "SharedAccessSignature=***;a=b"),
        ("sv=1&sig=x&se=2", "sv=1&sig=***&se=2"),
    ],
)
def test_texts_lose_assigned_secrets(text, kept):
    assert hide_in_text(text) == hide_in_text(kept) == kept


@pytest.mark.parametrize(
    "piece",
    [
        *r"""a a- a-- a= a=" a:' password= password=" password\" password='\ password( \ \" = '' ? ?a= &a= ;a= --""".split(),
        *"a://u:x/ ://u:x@ a://u:x@y/ http://a@ jdbc:oracle:thin:a/ --token Bearer _ -".split(),
        *(" ", "\n", "a ", "user a ", "identified with ", "identified by ", "password: ", "password ", "password ''' "),
        *(
            "password='''",
            'password="""',
            "password=''",
            "password:\n",
            "password: |\n  ",
            " password:\n",
            "  \n",
            "password:\n  x\n",
        ),
        *(
            "('password', '",
            "('password', 'x\\'",
            "<name>password</name><value>",
            "<name>password",
            "<name> ",
            "&sig=",
            "&",
        ),
        *("SharedAccessSignature=&", "SharedAccessSignature=", "a_pass", "db_pass_"),
    ],
)
def test_long_texts_take_linear_time(piece):
    for text in (
        piece * (100_000 // len(piece)),
        "password" + piece * (100_000 // len(piece)),
        "a://u:" + piece * 20_000,
    ):
        began = time.thread_time()
        hide_in_text(text)
        assert time.thread_time() - began < 1


@pytest.mark.parametrize(
    ("namespace", "name", "kept"),
    [
        ("abfss://c@acc.dfs.core.windows.net", "f?sig=HUNTER", ("abfss://c@acc.dfs.core.windows.net", "f")),
        ("http://h", "/p?token=HUNTER&page=2", ("http://h", "/p?page=2")),
        ("postgres", "ann:HUNTER@h:5432/db", ("postgres", "h:5432/db")),
        ("https", "HUNTER@github.com/a", ("https", "github.com/a")),
        ("jdbc", "oracle:thin:ann/HUNTER@//h:1521/s", ("jdbc", "oracle:thin:@//h:1521/s")),
        ("jdbc", "teradata://h/DATABASE=d,PASSWORD=HUNTER", ("jdbc", "teradata://h/DATABASE=d")),
        ("file", "/a/b@c/d", ("file", "/a/b@c/d")),
    ],
)
def test_identities_lose_secret_parameters(namespace, name, kept):
    found = clean(event(inputs=[{"namespace": namespace, "name": name}]))["inputs"][0]
    assert (found["namespace"], found["name"]) == kept


@pytest.mark.parametrize("name", ["password", "API_KEY", "api-key", "apiKey", "Authorization", "private_key", "token"])
def test_secret_names(name):
    assert is_secret(name)


@pytest.mark.parametrize("name", ["max_tokens", "tokens", "password_length", "secretary", "keys", 5, None])
def test_other_names(name):
    assert not is_secret(name)


def test_a_long_text_is_cut_with_a_marker():
    cleaned = clean(event(job={"sql": {"query": "x" * 2000}}), options=CleanOptions(value_limit=1000))
    assert cleaned["job"]["facets"]["sql"]["query"] == "x" * 1000 + "… [mlgov: 1000 characters cut]"


def test_a_large_event_loses_texts_then_facets_but_never_names():
    fields = [{"name": f"c{number}", "type": "int"} for number in range(2000)]
    document = event(
        job={"sql": {"query": "x" * 50_000}},
        inputs=[dataset(f"t{number}", schema={"fields": fields}) for number in range(4)],
    )
    kept = clean(document, options=CleanOptions(event_limit=100_000))
    assert len(json.dumps(kept)) < 110_000
    assert kept["job"]["facets"]["sql"]["query"].endswith("characters cut]")
    assert [item["name"] for item in kept["inputs"]] == ["t0", "t1", "t2", "t3"]
    assert any("mlgovCut" in item["facets"]["schema"] for item in kept["inputs"])


def test_ten_thousand_columns_with_lineage_stay_whole():
    names = [f"a_column_of_a_wide_table_{number}" for number in range(10_000)]
    schema = {"fields": [{"name": name, "type": "varchar(200)", "description": "what it is"} for name in names]}
    step = {"type": "DIRECT", "subtype": "IDENTITY", "description": "", "masking": False}
    source = {"namespace": "postgres://warehouse.example.org:5432", "name": "shop.public.orders"}
    lineage = {
        "fields": {name: {"inputFields": [{**source, "field": name, "transformations": [step]}]} for name in names}
    }
    document = event(inputs=[dataset("a", schema=schema)], outputs=[dataset("b", schema=schema, columnLineage=lineage)])
    assert clean(document) == document


def test_what_is_no_json_becomes_json():
    deep = current = {}
    for _ in range(100):
        current["a"] = current = {}
    cleaned = clean(event(run={"mlgov_x": {"n": float("nan"), "s": "\ud800", "set": {1}, "o": object, "deep": deep}}))
    json.dumps(cleaned, allow_nan=False).encode()
    assert cleaned["run"]["facets"]["mlgov_x"]["n"] == "nan"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.sampled_from(["password", "name", "value"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_any_json_is_cleaned_without_being_changed(facet, whole):
    document = event(run={"mlgov_x": facet})
    before = copy.deepcopy(document)
    once = clean(document)
    assert repr(document) == repr(before)
    json.dumps(once, allow_nan=False).encode()
    assert clean(once) == once
    clean({"run": whole, "job": whole, "inputs": whole, "outputs": [whole], "dataset": whole})


def test_names_that_the_options_add_are_masked_too():
    facet = {"parameters": [{"name": "customer_id", "value": "4711"}, {"name": "depth", "value": 3}]}
    told = event(outputs=[dataset(mlgov_ml=facet)])
    kept = clean(told, options=CleanOptions(masked_names=frozenset({"Customer-ID"})))
    parameters = kept["outputs"][0]["facets"]["mlgov_ml"]["parameters"]
    assert parameters == [{"name": "customer_id", "value": "***"}, {"name": "depth", "value": 3}]
