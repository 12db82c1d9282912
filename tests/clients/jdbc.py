"""pgjdbc in a Java machine within this process, so that a JRE is enough to drive it."""

import glob
import os

import jpype

DRIVER = ["/usr/share/java/postgresql.jar"]


def java():
    """The packages of Java; the machine is started once and ends with the process."""
    if not jpype.isJVMStarted():
        options = ["-Xmx192m", "-Xrs", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Duser.timezone=UTC"]
        jpype.startJVM(machine(), *options, classpath=DRIVER, convertStrings=True)
    return jpype.JPackage("java")


def machine():
    found = sorted(glob.glob("/usr/lib/jvm/*/lib/server/libjvm.so"))
    return found[-1] if found and "JAVA_HOME" not in os.environ else jpype.getDefaultJVMPath()


def connect(url, **settings):
    """A connection to `postgres://user:password@host:port/database`."""
    who, where = url.removeprefix("postgres://").split("@")
    properties = java().util.Properties()
    user, _, password = who.partition(":")
    for name, value in {"user": user, "password": password, **settings}.items():
        properties.setProperty(name, str(value))
    return jpype.JClass("org.postgresql.Driver")().connect(f"jdbc:postgresql://{where}", properties)


def plain(value):
    """A value of Java as one of Python that can be compared."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, jpype.JArray):
        return [plain(held) for held in value]
    if isinstance(value, jpype.JClass("java.sql.Array")):
        return [value.getBaseTypeName(), plain(value.getArray())]
    if isinstance(value, (jpype.JClass("java.lang.Boolean"), jpype.JClass("java.lang.Number"))):
        return str(value.toString())
    return f"{value.getClass().getName()} {value.toString()}"


def columns(result):
    of = result.getMetaData()
    return [
        (
            of.getColumnLabel(i), of.getColumnName(i), of.getColumnType(i), of.getColumnTypeName(i), of.getColumnClassName(i),
            of.getPrecision(i), of.getScale(i), of.getColumnDisplaySize(i), of.isNullable(i), of.isSigned(i),
            of.isAutoIncrement(i), of.getTableName(i), of.getSchemaName(i),
        )
        for i in range(1, of.getColumnCount() + 1)
    ]


def rows(result):
    count = result.getMetaData().getColumnCount()
    found = []
    while result.next():
        found.append([plain(result.getObject(i)) for i in range(1, count + 1)])
    return found


def error(of):
    """What a caller of the driver sees of an error."""
    told = of.getServerErrorMessage() if hasattr(of, "getServerErrorMessage") else None
    return of.getSQLState(), told and told.getMessage(), told and told.getPosition()
