"""Statements that tools which cannot be installed here send about the catalogs, as on Postgres.

They are written from the tools' own source and from logs of Postgres. What only one of the servers has
(Sextant's functions, types and schemas) is left out of what is compared.
"""

import psycopg
import pytest

# Npgsql 8: PostgresDatabaseInfo.LoadBackendTypes; also what Power BI sends.
NPGSQL_TYPES = """
SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid
FROM (
    SELECT
        typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind,
        elemtyp.oid AS elemtypoid, elemtyp.typname AS elemtypname, elemcls.relkind AS elemrelkind,
        CASE WHEN elemproc.proname='array_recv' THEN 'a' ELSE elemtyp.typtype END AS elemtyptype
    FROM (
        SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid,
            CASE WHEN proc.proname='array_recv' THEN 'a' ELSE typ.typtype END AS typtype,
            CASE
                WHEN proc.proname='array_recv' THEN typ.typelem
                WHEN typ.typtype='r' THEN rngsubtype
                WHEN typ.typtype='m' THEN (SELECT rngtypid FROM pg_range WHERE rngmultitypid = typ.oid)
                WHEN typ.typtype='d' THEN typ.typbasetype
            END AS elemtypoid
        FROM pg_type AS typ
        LEFT JOIN pg_class AS cls ON (cls.oid = typ.typrelid)
        LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive
        LEFT JOIN pg_range ON (pg_range.rngtypid = typ.oid)
    ) AS typ
    LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = elemtypoid
    LEFT JOIN pg_class AS elemcls ON (elemcls.oid = elemtyp.typrelid)
    LEFT JOIN pg_proc AS elemproc ON elemproc.oid = elemtyp.typreceive
) AS t
JOIN pg_namespace AS ns ON (ns.oid = typnamespace)
WHERE
    (typtype IN ('b', 'r', 'm', 'e', 'd') OR -- Base, range, multirange, enum, domain
    (typtype = 'c' AND relkind='c') OR -- User-defined free-standing composites (not table composites) by default
    (typtype = 'p' AND typname IN ('record', 'void', 'unknown')) OR -- Some special supported pseudo-types
    (typtype = 'a' AND (  -- Array of...
        elemtyptype IN ('b', 'r', 'm', 'e', 'd') OR -- Array of base, range, multirange, enum, domain
        (elemtyptype = 'p' AND elemtypname IN ('record', 'void')) OR -- Arrays of special supported pseudo-types
        (elemtyptype = 'c' AND elemrelkind='c') -- Array of user-defined free-standing composites (not table composites) by default
    )))
ORDER BY CASE
       WHEN typtype IN ('b', 'e', 'p') THEN 0           -- First base types, enums, pseudo-types
       WHEN typtype = 'c' THEN 1                        -- Composites after (fields loaded later in 2nd pass)
       WHEN typtype = 'r' THEN 2                        -- Ranges after
       WHEN typtype = 'm' THEN 3                        -- Multiranges after
       WHEN typtype = 'd' AND elemtyptype <> 'a' THEN 4 -- Domains over non-arrays after
       WHEN typtype = 'a' THEN 5                        -- Arrays after
       WHEN typtype = 'd' AND elemtyptype = 'a' THEN 6  -- Domains over arrays last
END
"""
NPGSQL_FIELDS = """
SELECT typ.oid, att.attname, att.atttypid
FROM pg_type AS typ
JOIN pg_namespace AS ns ON (ns.oid = typ.typnamespace)
JOIN pg_class AS cls ON (cls.oid = typ.typrelid)
JOIN pg_attribute AS att ON (att.attrelid = typ.typrelid)
WHERE (typ.typtype = 'c' AND cls.relkind='c') AND attnum > 0 AND NOT attisdropped
ORDER BY typ.oid, att.attnum
"""
NPGSQL_ENUMS = """
SELECT pg_type.oid, enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid=enumtypid ORDER BY oid, enumsortorder
"""
STATEMENTS = {
    "npgsql types": NPGSQL_TYPES,
    "npgsql fields": NPGSQL_FIELDS,
    "npgsql enums": NPGSQL_ENUMS,
    "npgsql schema of columns": """
        SELECT current_database() AS "TABLE_CATALOG", ns.nspname AS table_schema, cls.relname, attname, attnum,
            CASE WHEN atthasdef THEN (SELECT pg_get_expr(adbin, cls.oid) FROM pg_attrdef WHERE adrelid = cls.oid AND adnum = attr.attnum) END AS column_default,
            CASE WHEN ((cls.relkind = ANY (ARRAY['r', 'p'])) OR (cls.relkind = ANY (ARRAY['v', 'f']))
                AND pg_column_is_updatable(cls.oid, attr.attnum, false)) AND attr.attidentity NOT IN ('a') THEN 'true' ELSE 'false' END AS is_updatable,
            CASE WHEN attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable, typ.typname, attr.atttypmod
        FROM pg_attribute AS attr JOIN pg_type AS typ ON attr.atttypid = typ.oid JOIN pg_class AS cls ON cls.oid = attr.attrelid
            JOIN pg_namespace AS ns ON ns.oid = cls.relnamespace
        WHERE ns.nspname IN ('public', 'shop') AND relkind = 'r' AND attnum > 0 ORDER BY 2, 3, attnum""",
    "metabase tables": """
        SELECT n.nspname AS schema, c.relname AS name, CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED TABLE' WHEN 'v' THEN 'VIEW'
            WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE NULL END AS type, d.description AS description,
            stat.n_live_tup IS NULL OR stat.n_live_tup >= 0 AS estimated
        FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
            LEFT JOIN pg_catalog.pg_description AS d ON ((c.oid = d.objoid) AND (d.objsubid = 0)) AND (d.classoid = 'pg_class'::regclass)
            LEFT JOIN pg_stat_user_tables AS stat ON (n.nspname = stat.schemaname) AND (c.relname = stat.relname)
        WHERE ((c.relnamespace = n.oid) AND (n.nspname !~ '^information_schema|catalog_history|pg_|^lake$|^ml$') AND c.relkind IN ('r', 'p', 'v', 'f', 'm'))
        ORDER BY type ASC, schema ASC, name ASC""",
    "metabase columns": """
        SELECT c.column_name AS name, c.data_type, c.ordinal_position - 1 AS position, c.table_schema AS schema, c.table_name, pk.column_name IS NOT NULL AS is_key,
            col_description(CAST(CAST(format('%I.%I', CAST(c.table_schema AS TEXT), CAST(c.table_name AS TEXT)) AS REGCLASS) AS OID), c.ordinal_position) AS comment,
            ((column_default IS NULL) OR (LOWER(column_default) = 'null')) AND (is_nullable = 'NO') AND NOT (is_identity <> 'NO') AS required
        FROM information_schema.columns AS c LEFT JOIN (SELECT tc.table_schema, tc.table_name, kc.column_name FROM information_schema.table_constraints AS tc
            INNER JOIN information_schema.key_column_usage AS kc ON (tc.constraint_name = kc.constraint_name) AND (tc.table_schema = kc.table_schema) AND (tc.table_name = kc.table_name)
            WHERE tc.constraint_type = 'PRIMARY KEY') AS pk ON (c.table_schema = pk.table_schema) AND (c.table_name = pk.table_name) AND (c.column_name = pk.column_name)
        WHERE c.table_schema !~ '^information_schema|catalog_history|pg_|^lake$|^ml$' ORDER BY schema, table_name, position""",
    "metabase foreign keys": """
        SELECT fk_ns.nspname AS fk_schema, fk_table.relname AS fk_table, fk_column.attname AS fk_column, pk_ns.nspname AS pk_schema, pk_table.relname, pk_column.attname
        FROM pg_constraint c JOIN pg_class fk_table ON c.conrelid = fk_table.oid JOIN pg_namespace fk_ns ON c.connamespace = fk_ns.oid
            JOIN pg_attribute fk_column ON c.conrelid = fk_column.attrelid JOIN pg_class pk_table ON c.confrelid = pk_table.oid
            JOIN pg_namespace pk_ns ON pk_table.relnamespace = pk_ns.oid JOIN pg_attribute pk_column ON c.confrelid = pk_column.attrelid
        WHERE fk_ns.nspname !~ '^information_schema|catalog_history|pg_' AND c.contype = 'f' AND fk_column.attnum = ANY(c.conkey) AND pk_column.attnum = ANY(c.confkey)
        ORDER BY fk_schema, fk_table""",
    "dbeaver columns": """
        SELECT c.relname, a.*, pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value, dsc.description, dep.objid
        FROM pg_catalog.pg_attribute a INNER JOIN pg_catalog.pg_class c ON (a.attrelid=c.oid)
            LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid=ad.adrelid AND a.attnum = ad.adnum)
            LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid)
            LEFT OUTER JOIN pg_depend dep on dep.refobjid = a.attrelid AND dep.deptype = 'i' and dep.refobjsubid = a.attnum and dep.classid = dep.refclassid
        WHERE NOT a.attisdropped AND c.relkind not in ('i','I','c') AND c.oid = 'shop.orders'::regclass and a.attnum > 0 ORDER BY a.attnum""",
    "dbeaver databases": "SELECT db.datname, pg_encoding_to_char(db.encoding), db.datallowconn, db.datistemplate FROM pg_catalog.pg_database db WHERE datname = 'sextant'",
    "dbeaver schemas": "SELECT n.nspname, d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass WHERE nspname NOT IN ('lake', 'main', 'ml', 'pg_toast', 'public') ORDER BY nspname",
    "dbeaver keywords": "select string_agg(word, ',' order by word) from pg_catalog.pg_get_keywords() where word <> ALL ('{a,abs,absolute,action}'::text[]) and catcode = 'R'",
    "datagrip relations": """
        select T.relkind as table_kind, T.relname as table_name, pg_catalog.array_to_string(T.reloptions, ', ') as options, T.relpersistence = 't' as is_temporary,
            (select pg_catalog.array_agg(inhparent::bigint order by inhseqno)::varchar from pg_catalog.pg_inherits where T.oid = inhrelid) as ancestors,
            T.relispartition as is_partition, pg_catalog.pg_get_userbyid(T.relowner) as owner, am.amname
        from pg_catalog.pg_class T left join pg_catalog.pg_am am on am.oid = T.relam where relnamespace = 'shop'::regnamespace and relkind in ('r', 'm', 'v', 'f', 'p') order by table_kind, table_name""",
    "datagrip time zones": "select name, is_dst from pg_catalog.pg_timezone_names where name in ('UTC', 'Asia/Tokyo') order by 1",
    "datagrip access methods": "select amname, amtype from pg_catalog.pg_am where amname <> 'ivf' order by 1",
    "grafana columns": """
        SELECT column_name, data_type FROM information_schema.columns WHERE
            CASE WHEN array_length(parse_ident('shop.orders'),1) = 2 THEN quote_ident(table_schema) = (parse_ident('shop.orders'))[1]
                AND quote_ident(table_name) = (parse_ident('shop.orders'))[2]
            ELSE quote_ident(table_name) = 'shop.orders' AND quote_ident(table_schema) IN
                (SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END FROM
                    generate_series(array_lower(string_to_array(current_setting('search_path'),','),1), array_upper(string_to_array(current_setting('search_path'),','),1)) as i,
                    string_to_array(current_setting('search_path'),',') s) END
        ORDER BY ordinal_position""",
    "tableau tables": """
        SELECT NULL::text AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c
        WHERE c.relnamespace = n.oid AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND has_table_privilege(c.oid, 'SELECT') AND c.relkind = 'r' ORDER BY 2, 3""",
    "looker sessions": "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND pid = pg_backend_pid() AND state = 'active'",
    "pgadmin settings": "SELECT set_config('bytea_output','hex',false) FROM pg_show_all_settings() WHERE name = 'bytea_output'",
    "pgadmin roles": """
        SELECT roles.rolname, roles.rolsuper, CASE WHEN roles.rolsuper THEN true ELSE roles.rolcreaterole END as can_create_role,
            CASE WHEN roles.rolsuper THEN true ELSE roles.rolcreatedb END AS can_create_db,
            CASE WHEN 'pg_signal_backend'=ANY(ARRAY(WITH RECURSIVE cte AS (
                SELECT pg_roles.oid,pg_roles.rolname FROM pg_roles WHERE pg_roles.oid = roles.oid
                UNION ALL SELECT m.roleid, pgr.rolname FROM cte cte_1 JOIN pg_auth_members m ON m.member = cte_1.oid JOIN pg_roles pgr ON pgr.oid = m.roleid)
                SELECT rolname FROM cte)) THEN True ELSE False END as can_signal_backend
        FROM pg_catalog.pg_roles as roles WHERE rolname = current_user""",
    "definitions of functions": "select oid, pg_get_functiondef(oid) from pg_proc where prokind <> 'a' and prolang in (12, 13) and oid < 16384 and proname < 'd' order by oid",
    "definitions of all functions": "select md5(string_agg(pg_get_functiondef(oid), '' order by oid)) from pg_proc where prokind <> 'a' and prolang in (12, 13) and oid < 16384",
    "definition of an aggregate": "select pg_get_functiondef('max(int)'::regprocedure)",
    "functions by name": "select 'lower(text)'::regprocedure, 'lower(text)'::regprocedure::oid, 'array_append'::regproc, to_regproc('nothing') is null",
    "one of several functions": "select 'lower'::regproc",
    "no such function": "select 'lower(bool)'::regprocedure",
    "functions of a schema": "select count(*), count(distinct proname) from pg_proc where oid < 16384",
    "types of prepared statements": "select name, statement, parameter_types from pg_prepared_statements",
    "rights": "select grantee, table_schema, table_name, privilege_type, is_grantable from information_schema.role_table_grants where table_schema in ('public', 'shop') order by 1, 2, 3, 4",
    "kinds of tables": "select table_schema, table_name, table_type, is_insertable_into from information_schema.tables where table_schema in ('public', 'shop') order by 1, 2",
}


# What does not give what Postgres gives, and why.
DIFFERENT = {
    "datagrip time zones": "pg_timezone_names is empty",
    "kinds of tables": "views take no INSERT",
}
# What gives the same rows under other types, and why.
TYPES_DIFFER = {
    "npgsql types": "of text and \"char\" CASE makes text",
    "dbeaver columns": "arrays of aclitem are arrays of text",
    "dbeaver databases": "names that functions give are text",
    "datagrip relations": "names that functions give are text",
}


def outcome(url, name):
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            cursor = connection.execute(STATEMENTS[name])
        except psycopg.Error as error:
            return (error.sqlstate, str(error).splitlines()[0]), []
        columns = [(column.name, column.type_code) for column in cursor.description]
        rows = cursor.fetchall()
    if name == "npgsql types":
        # Ids of information_schema's types are a database's own, as is our vector.
        rows = sorted((row for row in rows if row[0] == "pg_catalog" and row[1] < 16384), key=str)
    if name == "dbeaver columns":
        rows = [row[:1] + row[2:] for row in rows]
    return columns, rows


@pytest.mark.parametrize("name", STATEMENTS)
def test_statement(described, name):
    (ours, our_rows), (theirs, their_rows) = (outcome(url, name) for url in described)
    if name in DIFFERENT:
        assert (ours, our_rows) != (theirs, their_rows), "the same now"
        return
    assert our_rows == their_rows
    assert (ours == theirs) == (name not in TYPES_DIFFER), (ours, theirs)


def test_own_functions_and_relations(described):
    """What Sextant has and Postgres has not is listed where Postgres lists its own."""
    with psycopg.connect(described[0], autocommit=True) as connection:
        ask = lambda text: connection.execute(text).fetchall()
        assert ask("""select proname, prokind, pg_get_function_result(oid), pg_get_function_arguments(oid) from pg_proc
            where proname in ('ab_assign', 'ab_ttest', 'p_adjust', 'ab_report') order by 1""") == [
            ("ab_assign", "f", "text", "experiment text, unit text, weights double precision[], variants text[], "
             "algorithm text DEFAULT NULL, seed bigint DEFAULT NULL"),
            ("ab_report", "f", "SETOF record", ask("select pg_get_function_arguments('ab_report'::regproc)")[0][0]),
            ("ab_ttest", "a", "record", ask("select pg_get_function_arguments('ab_ttest'::regproc)")[0][0]),
            ("p_adjust", "w", "double precision", ask("select pg_get_function_arguments('p_adjust'::regproc)")[0][0]),
        ]
        assert "The arm of a unit" in ask("select obj_description('ab_assign'::regproc, 'pg_proc')")[0][0]
        assert ask("select description like 'Welch%' from pg_description where objoid = 'ab_ttest'::regproc") == [(True,)]
        listed = ask("select table_schema, table_name, table_type from information_schema.tables where table_schema in ('lake', 'ml')")
        assert ("lake", "snapshots", "VIEW") in listed and ("ml", "feature_views", "VIEW") in listed
        for schema, name, _ in listed:
            columns = ask(f"select column_name from information_schema.columns where table_schema = '{schema}' and table_name = '{name}' order by ordinal_position")
            attributes = ask(f"select attname from pg_attribute where attrelid = '{schema}.{name}'::regclass and attnum > 0 order by attnum")
            described_as = [(column.name,) for column in connection.execute(f"select * from {schema}.{name}").description]
            assert columns == attributes == described_as, name
        assert ask("select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where nspname in ('lake', 'ml')") == [(len(listed),)]
        assert ask("select c.oid::regclass::text from pg_class c where relname = 'lineage'") == [("ml.lineage",)]
