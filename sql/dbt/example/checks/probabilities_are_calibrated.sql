-- What the model promises and what was clicked lie within a fifth of a percentage point.
select avg(probability) as promised, avg(clicked::int) as seen from {{ ref('scored') }}
having abs(avg(probability) - avg(clicked::int)) > 0.002
