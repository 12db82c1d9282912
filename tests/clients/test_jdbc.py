"""pgjdbc beside Postgres: what it says of the database, batches, fetch size, the switch to binary, errors."""

import time

import jpype
import pytest

import jdbc

OWN = ("lake", "main", "ml", "pg_toast")


def compared(pair, read):
    ours, theirs = (read(url) for url in pair)
    assert list(ours) == list(theirs)
    for name in theirs:
        assert ours[name] == theirs[name], name


def ordered(result):
    return sorted(jdbc.rows(result), key=str)


# Of the driver itself, of the address, or of the version.
NOT_COMPARED = {"getURL", "getDatabaseProductVersion", "getDatabaseMinorVersion", "getConnection", "getClass"}


def test_database_says(described):
    """Every question without arguments."""
    def read(url):
        with jdbc.connect(url) as connection:
            about, found = connection.getMetaData(), {}
            for method in jpype.JClass("java.sql.DatabaseMetaData").class_.getMethods():
                name = str(method.getName())
                if method.getParameterCount() or name in NOT_COMPARED:
                    continue
                try:
                    value = getattr(about, name)()
                except jpype.JException as error:
                    value = str(type(error).__name__)
                if isinstance(value, jpype.JClass("java.sql.ResultSet")):
                    value = [row for row in ordered(value) if row[0] not in OWN]
                    if name == "getCatalogs":
                        value = [row for row in value if row == ["sextant"]]
                    if name == "getTypeInfo":
                        value = [row for row in value if "vec" not in row[0]]
                found[name] = jdbc.plain(value) if not isinstance(value, list) else value
            return dict(sorted(found.items()))

    compared(described, read)


def test_metadata(described):
    def read(url):
        of = jpype.JArray(jpype.JString)
        with jdbc.connect(url) as connection:
            about = connection.getMetaData()
            found = {
                "tables": about.getTables(None, "public", "%", None),
                "two kinds": about.getTables("sextant", None, "%", of(["TABLE", "VIEW"])),
                "by name": about.getTables(None, None, "peo%", None),
                "escaped": about.getTables(None, None, "pg\\_cl%", of(["SYSTEM TABLE"])),
                "schemas": about.getSchemas(None, "sh%"),
                "columns": about.getColumns(None, "public", "%", "%"),
                "one column": about.getColumns(None, "shop", "orders", "c%"),
                "columns of a catalog": about.getColumns(None, "pg_catalog", "pg_tables", None),
                "key": about.getPrimaryKeys(None, "shop", "orders"),
                "no key": about.getPrimaryKeys(None, "public", "rich"),
                "imported": about.getImportedKeys(None, "shop", "orders"),
                "exported": about.getExportedKeys(None, "public", "people"),
                "cross": about.getCrossReference(None, "public", "people", None, "shop", "orders"),
                "unique": about.getIndexInfo(None, "public", "people", True, False),
                "best row": about.getBestRowIdentifier(None, "public", "people", 0, True),
                "version": about.getVersionColumns(None, "public", "people"),
                "rights": about.getTablePrivileges(None, "%", "people"),
                "rights of a view": about.getTablePrivileges(None, "public", "rich"),
                "rights of columns": about.getColumnPrivileges(None, "public", "people", "name"),
                "types of users": about.getUDTs(None, "public", "%", None),
                "functions": about.getFunctions(None, "pg_catalog", "array_app%"),
                "arguments": about.getFunctionColumns(None, "pg_catalog", "array_append", "%"),
                "procedures": about.getProcedures(None, "public", "%"),
                "client": about.getClientInfoProperties(),
            }
            return {name: [row for row in ordered(result) if row[1] not in OWN] for name, result in found.items()}

    compared(described, read)


TYPES = {
    "b": "bool", "s": "smallint", "i": "int", "l": "bigint", "r": "real", "f": "float8", "n": "numeric(12,4)", "t": "text",
    "c": "char(4)", "v": "varchar(9)", "y": "bytea", "d": "date", "h": "time", "ts": "timestamp", "tz": "timestamptz",
    "iv": "interval", "u": "uuid", "j": "json", "jb": "jsonb", "ia": "int[]", "ta": "text[]", "fa": "float8[]", "la": "bigint[]",
}
VALUES = """true, 1, 2, 9007199254740993, 0.5, -1.25, 12.34, 'é', 'ab', 'vc', '\\x00ff', '2024-02-29', '10:11:12.5',
    '2024-01-02 03:04:05.678', '2024-01-02 03:04:05.678+00', '1 day 02:00:00', '550e8400-e29b-41d4-a716-446655440000', '{"a": 1}',
    '{"b": [1, null]}', '{1,NULL,3}', '{"a,b",NULL,"q\\"x"}', '{0.5,NULL}', '{9007199254740993}'"""


def prepare(url):
    connection = jdbc.connect(url)
    statement = connection.createStatement()
    statement.execute("create table v (" + ", ".join(f"{name} {of}" for name, of in TYPES.items()) + ")")
    statement.execute(f"insert into v values ({VALUES})")
    statement.execute("insert into v (i) values (3)")
    return connection


def test_the_switch_to_binary(server, postgres):
    """The driver names a statement when it runs it the third time, and asks for binary values then."""
    def read(url):
        found = {}
        with prepare(url) as connection:
            statement = connection.prepareStatement("select * from v where i >= ? order by i")
            statement.unwrap(jpype.JClass("org.postgresql.PGStatement")).setPrepareThreshold(3)
            for run in range(6):
                statement.setInt(1, 2)
                result = statement.executeQuery()
                found[f"columns {run}"] = jdbc.columns(result)
                found[f"rows {run}"] = jdbc.rows(result)
            for number, name in enumerate(TYPES, 1):
                result = statement.executeQuery()
                result.next()
                found[f"text of {name}"] = jdbc.plain(result.getBytes(number) if name == "y" else result.getString(number))
            named = connection.prepareStatement("select name like 'S_%', statement from pg_prepared_statements where name <> '' order by 2")
            found["named"] = jdbc.rows(named.executeQuery())
            # A table that changes under a statement the server has planned.
            connection.createStatement().execute("alter table v add column more int default 7")
            statement.setInt(1, 3)
            try:
                found["changed"] = jdbc.rows(statement.executeQuery())
            except jpype.JException as error:
                found["changed"] = jdbc.error(error)
        return found

    compared([server.url(), postgres.database("jdbc_binary")], read)


def test_parameters(server, postgres):
    def read(url):
        found = {}
        with prepare(url) as connection:
            sql, of = jdbc.java().sql, jpype.JClass
            utc = of("java.time.ZoneOffset").UTC
            statement = connection.prepareStatement("insert into v values (" + ", ".join("?" * len(TYPES)) + ")")
            values = [
                ("Boolean", True), ("Short", 5), ("Int", 6), ("Long", 2**40), ("Float", 1.5), ("Double", 2.25),
                ("BigDecimal", of("java.math.BigDecimal")("3.25")), ("String", "text'\\"), ("String", "ch"), ("String", "var"),
                ("Bytes", jpype.JArray(jpype.JByte)([0, -1])), ("Date", sql.Date.valueOf("2024-02-29")), ("Time", sql.Time.valueOf("10:11:12")),
                ("Timestamp", sql.Timestamp.valueOf("2024-01-02 03:04:05.678")),
                ("Object", of("java.time.OffsetDateTime").of(2024, 1, 2, 3, 4, 5, 678000000, utc)),
                ("Object", of("org.postgresql.util.PGInterval")("1 day 02:00:00")),
                ("Object", of("java.util.UUID").fromString("550e8400-e29b-41d4-a716-446655440000")), ("json", '{"a": [1]}'), ("jsonb", '{"b": 2}'),
                ("Array", connection.createArrayOf("int4", jpype.JArray(of("java.lang.Object"))([jpype.JInt(1), None]))),
                ("Array", connection.createArrayOf("text", jpype.JArray(of("java.lang.Object"))(["a,b", None]))),
                ("Array", connection.createArrayOf("float8", jpype.JArray(of("java.lang.Object"))([jpype.JDouble(0.5)]))),
                ("Array", connection.createArrayOf("int8", jpype.JArray(of("java.lang.Object"))([jpype.JLong(2**40)]))),
            ]
            for run in range(7):
                for number, (how, value) in enumerate(values, 1):
                    if how in ("json", "jsonb"):
                        held = of("org.postgresql.util.PGobject")()
                        held.setType(how)
                        held.setValue(value)
                        statement.setObject(number, held)
                    else:
                        getattr(statement, f"set{how}")(number, value)
                found[f"inserted {run}"] = statement.executeUpdate()
            found["rows"] = jdbc.rows(connection.createStatement().executeQuery("select distinct on (i) * from v order by i"))
            local = connection.prepareStatement("select ?::date, ?::timestamp, ?::timestamptz, ?::time")
            local.setObject(1, of("java.time.LocalDate").of(2024, 2, 29))
            local.setObject(2, of("java.time.LocalDateTime").of(2024, 2, 29, 1, 2, 3))
            local.setObject(3, of("java.time.OffsetDateTime").of(2024, 2, 29, 1, 2, 3, 0, utc))
            local.setObject(4, of("java.time.LocalTime").of(1, 2, 3))
            for run in range(6):
                found[f"local {run}"] = jdbc.rows(local.executeQuery())
            nulls = connection.prepareStatement("select ?::int, ?, ?::text[]")
            for number, kind in [(1, sql.Types.INTEGER), (2, sql.Types.VARCHAR), (3, sql.Types.ARRAY)]:
                nulls.setNull(number, kind)
            found["nulls"] = jdbc.rows(nulls.executeQuery())
            about = connection.prepareStatement("select i, t from v where n > ? and d = ? and t like ?").getParameterMetaData()
            found["parameters"] = [(about.getParameterType(i), about.getParameterTypeName(i)) for i in (1, 2, 3)]
        return found

    compared([server.url(), postgres.database("jdbc_parameters")], read)


@pytest.mark.parametrize("rewrite", ["false", "true"])
def test_batches(server, postgres, rewrite):
    def read(url):
        found = {}
        with jdbc.connect(url, reWriteBatchedInserts=rewrite) as connection:
            plain = connection.createStatement()
            plain.execute("create table b (id int primary key, name text, at timestamptz)")
            connection.setAutoCommit(False)
            statement = connection.prepareStatement("insert into b (id, name) values (?, ?)")
            for number in range(1000):
                statement.setInt(1, number)
                statement.setString(2, f"name {number}")
                statement.addBatch()
            found["inserted"] = list(statement.executeBatch())
            connection.commit()
            found["count"] = jdbc.rows(plain.executeQuery("select count(*), sum(id), count(distinct name) from b"))
            for text in ["update b set name = 'x' where id < 10", "delete from b where id >= 990", "insert into b values (5000, 'y', null)"]:
                plain.addBatch(text)
            found["mixed"] = list(plain.executeBatch())
            connection.rollback()
            statement.setInt(1, 2000)
            statement.setString(2, "before")
            statement.addBatch()
            plain.addBatch("select nothing")
            plain.addBatch("delete from b")
            try:
                plain.executeBatch()
            except jpype.JException as error:
                found["failed"] = (error.getSQLState(), list(error.getUpdateCounts()))
            connection.rollback()
            keys = connection.prepareStatement("insert into b (id, name) values (?, ?)", jpype.JArray(jpype.JString)(["id", "at"]))
            for number in range(3000, 3005):
                keys.setInt(1, number)
                keys.setString(2, "k")
                keys.addBatch()
            keys.executeBatch()
            found["keys"] = jdbc.rows(keys.getGeneratedKeys())
            connection.commit()
            found["left"] = jdbc.rows(plain.executeQuery("select count(*) from b"))
        return found

    compared([server.url(), postgres.database(f"jdbc_batches_{rewrite}")], read)


def test_fetch_size_and_cursors(server, postgres):
    def read(url):
        found = {}
        with jdbc.connect(url) as connection:
            of = jpype.JClass("java.sql.ResultSet")
            plain = connection.createStatement()
            plain.execute("create table f (id int primary key, name text)")
            plain.execute("insert into f select g, 'n' || g from generate_series(1, 1000) g")
            connection.setAutoCommit(False)
            statement = connection.prepareStatement("select id, name from f where id > ? order by id")
            statement.setFetchSize(50)
            for run in range(6):
                statement.setInt(1, run)
                found[f"fetched {run}"] = [row[0] for row in jdbc.rows(statement.executeQuery())] == list(range(run + 1, 1001))
            statement.setMaxRows(7)
            found["most"] = jdbc.rows(statement.executeQuery())
            # Two results are read in turns.
            first, second = (connection.createStatement() for _ in range(2))
            for one in (first, second):
                one.setFetchSize(10)
            left, right = (one.executeQuery("select id from f order by id") for one in (first, second))
            turns = []
            for _ in range(25):
                left.next(), right.next()
                turns.append((left.getInt(1), right.getInt(1)))
            found["turns"] = turns
            connection.commit()
            scroll = connection.createStatement(of.TYPE_SCROLL_INSENSITIVE, of.CONCUR_UPDATABLE)
            result = scroll.executeQuery("select id, name from f where id <= 5 order by id")
            found["last"] = (result.last(), result.getRow(), result.previous(), result.getInt(1), result.absolute(2), result.getString(2))
            result.updateString(2, "changed")
            result.updateRow()
            result.moveToInsertRow()
            result.updateInt(1, 2000)
            result.updateString(2, "new")
            result.insertRow()
            result.absolute(1)
            result.deleteRow()
            connection.commit()
            found["changed"] = jdbc.rows(plain.executeQuery("select * from f where id in (1, 2, 2000) order by id"))
            copy = connection.unwrap(jpype.JClass("org.postgresql.PGConnection")).getCopyAPI()
            reader = jdbc.java().io.StringReader("5000\tcopied\n5001\t\\N\n")
            found["copied"] = copy.copyIn("copy f from stdin", reader)
            writer = jdbc.java().io.StringWriter()
            found["out"] = (copy.copyOut("copy (select * from f where id >= 5000 order by id) to stdout csv", writer), str(writer.toString()))
            connection.commit()
        return found

    compared([server.url(), postgres.database("jdbc_fetch")], read)


WRONG = [
    "select * from nowhere", "select nothing", "selec 1", "select 1/0", "select 'x'::int", "select nofunction(1)",
    "insert into e values (null)", "create table e (a int)", "drop table nowhere", "select 1 where", "set nothing = 1",
]


def test_errors_transactions_and_timeouts(server, postgres):
    def read(url):
        found = {}
        with jdbc.connect(url, ApplicationName="jdbc") as connection:
            statement = connection.createStatement()
            statement.execute("create table e (a int primary key)")
            for wrong in WRONG:
                try:
                    statement.execute(wrong)
                except jpype.JException as error:
                    found[wrong] = jdbc.error(error)
            statement.execute("select 1; insert into e values (1), (2); select 2")
            several = []
            while True:
                several.append((statement.getUpdateCount(), jdbc.rows(statement.getResultSet()) if statement.getResultSet() else None))
                if not statement.getMoreResults() and statement.getUpdateCount() == -1:
                    break
            found["several"] = several
            connection.setAutoCommit(False)
            statement.executeUpdate("insert into e values (3)")
            savepoint = connection.setSavepoint("here")
            statement.executeUpdate("insert into e values (4)")
            connection.rollback(savepoint)
            connection.releaseSavepoint(savepoint)
            connection.commit()
            found["kept"] = jdbc.rows(statement.executeQuery("select a from e order by a"))
            try:
                statement.executeQuery("select nothing")
            except jpype.JException:
                pass
            try:
                statement.executeQuery("select 1")
            except jpype.JException as error:
                found["failed"] = jdbc.error(error)
            connection.rollback()
            connection.setReadOnly(True)
            try:
                statement.executeUpdate("insert into e values (9)")
            except jpype.JException as error:
                found["read only"] = jdbc.error(error)
            connection.rollback()
            connection.setReadOnly(False)
            connection.setAutoCommit(True)
            levels = ["TRANSACTION_SERIALIZABLE", "TRANSACTION_REPEATABLE_READ"]
            found["isolation"] = [works(connection, level) for level in levels]
            statement.setQueryTimeout(1)
            started = time.monotonic()
            try:
                statement.executeQuery("select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b where (a - b) % 2 > 1")
            except jpype.JException as error:
                found["timeout"] = jdbc.error(error)
            found["in time"] = time.monotonic() - started < 10
            found["alive"] = jdbc.rows(statement.executeQuery("select current_setting('application_name')"))
            connection.setSchema("public")
            found["schema"] = connection.getSchema()
            found["catalog"] = connection.getCatalog() in ("sextant", "jdbc_errors")
            found["valid"] = connection.isValid(5)
            statement.execute("drop table if exists nowhere")
            warning = statement.getWarnings()
            found["warning"] = (warning.getSQLState(), warning.getMessage())
            call = connection.prepareCall("{call upper(?)}")
            call.setString(1, "abc")
            found["call"] = jdbc.rows(call.executeQuery())
            escaped = statement.executeQuery("select {fn concat('a', 'b')}, {d '2024-02-29'}, {ts '2024-01-01 00:00:00'}, {fn now()} is not null")
            found["escapes"] = jdbc.rows(escaped)
        return found

    def works(connection, name):
        connection.setTransactionIsolation(getattr(jpype.JClass("java.sql.Connection"), name))
        return connection.getTransactionIsolation() == getattr(jpype.JClass("java.sql.Connection"), name)

    compared([server.url(), postgres.database("jdbc_errors")], read)


def test_days_and_times(server, postgres):
    """Values at the ends of their types, as text and, after the switch, in binary."""
    days = ["0001-01-01", "1582-10-15", "1969-12-31", "1970-01-01", "2024-02-29", "9999-12-31", "infinity", "-infinity"]

    def read(url):
        found = {}
        with jdbc.connect(url, prepareThreshold=2) as connection:
            for zone in ["UTC", "Europe/Berlin"]:
                connection.createStatement().execute(f"set time zone '{zone}'")
                statement = connection.prepareStatement("select ?::date, ?::timestamp, ?::timestamptz")
                for day in days:
                    for run in range(3):
                        for number in (1, 2, 3):
                            statement.setObject(number, day, jdbc.java().sql.Types.OTHER)
                        result = statement.executeQuery()
                        result.next()
                        texts = [result.getString(number) for number in (1, 2, 3)]
                        found[zone, day, run] = texts, jdbc.plain(result.getObject(1)), jdbc.plain(result.getTimestamp(3))
        return found

    compared([server.url(), postgres.database("jdbc_days")], read)
