-- The least that a statement costs.
-- repeat: 2000
SELECT 1
