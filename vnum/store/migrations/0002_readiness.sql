-- A process that serves looks whether the schema has all that it needs.
GRANT SELECT ON migrations TO vnum_app;
