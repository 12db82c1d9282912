{# The impressions of the last fifth of the week, which the model was tested on, with what it says. #}
-- depends_on: {{ ref('clicks') }}
select item, campaign, item_id, position, shown_at, segment, clicked,
       predict_proba('{{ this.schema }}.clicks', e.*) as probability
from {{ ref('examples') }} e
where shown_at >= '2019-11-29 12:00+00'
