-- How much a merchant may spend, and from where on he is warned: CNY a calendar month of Asia/Shanghai, with added tax.
-- Null = no limit.
ALTER TABLE merchants
    ADD COLUMN spend_cap numeric CHECK (spend_cap >= 0 AND spend_cap < 'Infinity'),
    ADD COLUMN spend_alert numeric CHECK (spend_alert >= 0 AND spend_alert < 'Infinity');
