"""Log-in, TLS and rights, as a client meets them."""

import os
import subprocess

import psycopg
import pytest

PASSWORD = "geheim' ü"


@pytest.fixture
def secured(servers, tmp_path):
    """A server with the superuser `sextant` and the user `bob`."""
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    server = servers(tmp_path / "lake", "--superuser-password-file", str(secret))
    with enter(server) as connection:
        connection.execute("create role bob login password 'bob'")
    return server


def enter(server, user="sextant", password=PASSWORD, **options):
    options = {"autocommit": True, "host": "127.0.0.1", "port": server.port, "dbname": "sextant", **options}
    return psycopg.connect(user=user, password=password, **options)


def refused(server, user, password, **options):
    with pytest.raises(psycopg.OperationalError) as caught:
        enter(server, user, password, **options).close()
    return str(caught.value)


def state(connection, statement):
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        return error.sqlstate
    return None


def test_log_in(secured):
    with enter(secured, "bob", "bob") as connection:
        assert connection.execute("select current_user, session_user").fetchone() == ("bob", "bob")
        assert connection.info.parameter_status("is_superuser") == "off"
    for user, password in [("bob", "wrong"), ("nobody", "wrong")]:
        message = refused(secured, user, password)
        assert f'password authentication failed for user "{user}"' in message
    with enter(secured) as connection:
        connection.execute("alter role bob nologin")
    assert "is not permitted to log in" in refused(secured, "bob", "bob")
    with enter(secured) as connection:
        connection.execute("alter role bob login valid until '2000-01-01'")
    assert "password authentication failed" in refused(secured, "bob", "bob")


def test_psql_logs_in(secured):
    def psql(password):
        return subprocess.run(
            ["psql", "-XAt", "-h", "127.0.0.1", "-p", str(secured.port), "-U", "bob", "-d", "sextant", "-c",
             "select current_user"],
            capture_output=True, text=True, env={**os.environ, "PGPASSWORD": password},
        )

    assert psql("bob").stdout == "bob\n"
    assert psql("wrong").returncode == 2


def test_a_verifier_of_postgres_is_kept(secured, postgres):
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as theirs:
        theirs.execute("create role verified login password 'theirs'")
        verifier = theirs.execute("select rolpassword from pg_authid where rolname = 'verified'").fetchone()[0]
    with enter(secured) as ours:
        ours.execute(f"create role verified login password '{verifier}'")
        kept = ours.execute("select rolpassword from pg_authid where rolname = 'verified'").fetchone()[0]
    assert kept == verifier
    enter(secured, "verified", "theirs").close()


def test_roles_outlive_a_restart_and_reach_other_servers(secured, servers):
    other = servers(secured.data)
    enter(other, "bob", "bob").close()
    with enter(secured) as connection:
        connection.execute("alter role bob password 'new'")
    assert "authentication failed" in refused(other, "bob", "bob")
    secured.kill()
    secured.start()
    enter(secured, "bob", "new").close()


def test_passwords_are_shown_to_nobody(secured):
    with enter(secured) as connection, enter(secured, "bob", "bob") as bob:
        connection.execute("create role eve login password 'very-secret'")
        shown = connection.execute("select string_agg(query, ' ') from pg_stat_activity").fetchone()[0]
        assert "very-secret" not in shown
        hidden = bob.execute("select query from pg_stat_activity where usename = 'sextant'").fetchall()
        assert hidden == [("<insufficient privilege>",)]


NEEDS = [
    ("select", "select * from t"),
    ("insert", "insert into t values (9)"),
    ("update", "update t set a = 7"),
    ("delete", "delete from t"),
    ("truncate", "truncate t"),
    ("select, update", "update t set a = a + 1 where a > 0"),
    ("select, delete", "delete from t where a > 100"),
]


@pytest.mark.parametrize("privilege, statement", NEEDS)
def test_each_statement_needs_its_privilege(secured, privilege, statement):
    with enter(secured) as admin, enter(secured, "bob", "bob") as bob:
        admin.execute("create table t (a int)")
        admin.execute("insert into t values (1), (2)")
        assert state(bob, statement) == "42501"
        assert admin.execute("select a from t order by a").fetchall() == [(1,), (2,)]
        admin.execute(f"grant {privilege} on t to bob")
        assert state(bob, statement) is None
        admin.execute("alter table t rename to u")
        assert state(bob, statement.replace(" t", " u")) is None
        admin.execute(f"revoke {privilege} on u from bob")
        assert state(bob, statement.replace(" t", " u")) == "42501"


def test_a_prepared_statement_does_not_outlive_its_rights(secured):
    with enter(secured) as admin, enter(secured, "bob", "bob") as bob:
        admin.execute("create table t (a int)")
        admin.execute("grant select on t to bob")
        for _ in range(2):
            bob.execute("select a from t where a = %s", (1,), prepare=True)
        admin.execute("revoke select on t from bob")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            bob.execute("select a from t where a = %s", (1,), prepare=True)


def test_other_users_connections_are_theirs(secured):
    with enter(secured) as admin, enter(secured, "bob", "bob") as bob:
        pid = admin.execute("select pg_backend_pid()").fetchone()[0]
        assert state(bob, f"select pg_terminate_backend({pid})") == "42501"
        assert state(bob, f"select pg_cancel_backend({pid})") == "42501"
        admin.execute("select 1")


def test_connection_limits(servers, tmp_path):
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    options = ["--superuser-password-file", str(secret), "--max-connections", "5"]
    server = servers(tmp_path / "lake", *options, "--superuser-reserved-connections", "2")
    with enter(server) as admin:
        admin.execute("create role bob login password 'bob'")
        admin.execute("create role one login password 'one' connection limit 1")
        with enter(server, "one", "one"):
            assert 'too many connections for role "one"' in refused(server, "one", "one")
            with enter(server, "bob", "bob"):
                assert "reserved for roles with the SUPERUSER" in refused(server, "bob", "bob")
                enter(server).close()


KEYS = {
    "pkcs8-rsa": "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
    "pkcs1-rsa": "openssl genrsa -traditional 2048",
    "sec1-ec": "openssl ecparam -name prime256v1 -genkey -noout",
    "ed25519": "openssl genpkey -algorithm ED25519",
}


def certificate(folder, command):
    """A key and a certificate for 127.0.0.1 that is its own authority."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    key.write_text(subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout)
    subprocess.run(
        ["openssl", "req", "-x509", "-new", "-key", str(key), "-out", str(cert), "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )
    return key, cert


@pytest.mark.parametrize("kind", KEYS)
def test_tls_with_every_kind_of_key(servers, tmp_path, kind):
    key, cert = certificate(tmp_path, KEYS[kind])
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    options = ["--tls-cert", str(cert), "--tls-key", str(key), "--tls-require"]
    server = servers(tmp_path / "lake", *options, "--superuser-password-file", str(secret))
    verified = {"sslmode": "verify-full", "sslrootcert": str(cert)}
    # The signature of an Ed25519 certificate names no hash to bind to.
    binding = {} if kind == "ed25519" else {"channel_binding": "require"}
    with enter(server, **verified, **binding) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert "encrypted connections only" in refused(server, "sextant", PASSWORD, sslmode="disable")
    assert "authentication failed" in refused(server, "sextant", "wrong", **verified)


def test_a_key_that_cannot_be_loaded_stops_the_start(tmp_path):
    key, cert = certificate(tmp_path, KEYS["pkcs8-rsa"])
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", str(key), "-out", str(locked), "-passout", "pass:x"], check=True
    )
    for path, words in [(locked, "encrypted"), (tmp_path / "none.pem", "cannot load TLS key"), (cert, "key")]:
        found = subprocess.run(
            [os.environ["SEXTANT_BINARY"], "serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "lake"),
             "--tls-cert", str(cert), "--tls-key", str(path)],
            capture_output=True, text=True, timeout=20,
        )
        assert found.returncode == 1 and words in found.stderr, found.stderr
        assert len(found.stderr.strip().splitlines()) == 1
