-- name: applied
SELECT name FROM migrations;
