-- depends_on: {{ ref('examples') }}
select rule, violations
from data_quality('{{ ref("examples") }}', columns => array['item'],
                  rules => array['clicks <= impressions', 'position between 1 and 3'])
where violations > 0
