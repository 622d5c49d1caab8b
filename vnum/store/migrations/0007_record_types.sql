-- How call records reach their statements (sql/calls.sql): an array of rows, which costs the application a third of what
-- an array a column does. A type never changes; a statement that needs another gets a type of another name.
CREATE TYPE call_asked AS (
    call_cell smallint, call_id text COLLATE "C", cell smallint, host text COLLATE "C", extension text COLLATE "C",
    binding_id uuid, call_time timestamptz, from_id uuid, to_id uuid, biz_at timestamptz
);
CREATE TYPE call_rated AS (
    seconds int, billed_s int, charged_s int, minutes int, units int, unit_s int, rate numeric, setup_fee numeric,
    cost numeric, tariff_id text, tariff_version int
);
CREATE TYPE call_filed AS (
    call_cell smallint, call_id text COLLATE "C", content bytea, cell smallint, host text COLLATE "C",
    extension text COLLATE "C", binding_id uuid, merchant_id text COLLATE "C", order_id text COLLATE "C", caller bytea,
    caller_hash bytea, call_time timestamptz, ring_time timestamptz, answer_time timestamptz, release_time timestamptz,
    release_dir smallint, release_cause smallint, price int
);
