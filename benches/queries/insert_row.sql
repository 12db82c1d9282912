-- One row, durable when it is acknowledged.
-- setup: CREATE TABLE t (id bigint, name text)
-- rows: 1
-- repeat: 1000
INSERT INTO t VALUES (1, 'one')
