{# The last three days against the first four: features, and what the model says. #}
-- depends_on: {{ ref('clicks') }}
with scored as (
  select coalesce(impressions, 0) as impressions, position,
         predict_proba('{{ this.schema }}.clicks', e.*) as probability, shown_at >= '2019-11-28' as later
  from {{ ref('examples') }} e
), compared as (
  select 'impressions' as feature, psi(impressions, later) as r from scored
  union all
  select 'position', psi(position, later) from scored
  union all
  select 'probability', psi(probability, later) from scored
)
select feature, (r).value as psi, (r).drifted as drifted from compared
