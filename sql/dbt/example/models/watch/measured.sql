{# The version in use on what it was not trained on, as a whole and by campaign. #}
-- depends_on: {{ ref('clicks') }}
select metric, slice, rows, value, ci_low, ci_high
from evaluate('{{ this.schema }}.clicks',
              'select * from {{ ref("examples") }} where shown_at >= ''2019-11-29 12:00+00''',
              metrics => array['auc', 'log_loss', 'ece'], slice_by => array['campaign'])
