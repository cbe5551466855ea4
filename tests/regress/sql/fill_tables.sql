-- PostgreSQL's scripts load these tables from files that are not kept here. What the rows say
-- does not matter, only that there are some.
INSERT INTO onek
SELECT n, n, n % 2, n % 4, n % 10, n % 20, n % 100, n % 100, n % 500, n, n, n % 10, n % 5,
       'AAAA' || n, 'BBBB' || n, 'CCCC' || n % 4
  FROM generate_series(0, 999) n;
INSERT INTO onek2 SELECT * FROM onek;
INSERT INTO tenk1
SELECT n, 9999 - n, n % 2, n % 4, n % 10, n % 20, n % 100, n % 1000, n % 2000, n % 5000, n,
       n % 10, n % 5, 'AAAA' || n, 'BBBB' || n, 'CCCC' || n % 4
  FROM generate_series(0, 9999) n;
INSERT INTO tenk2 SELECT * FROM tenk1;
INSERT INTO person VALUES ('mike', 40, '(3.1,6.2)'), ('joe', 20, '(5.5,2.5)');
INSERT INTO emp VALUES ('sharon', 25, '(15,12)', 1000, 'sam');
INSERT INTO student VALUES ('fred', 28, '(3.1,-1.5)', '3.7');
INSERT INTO road VALUES ('Main Street', '[(1,2),(3,4)]');
VACUUM ANALYZE;
