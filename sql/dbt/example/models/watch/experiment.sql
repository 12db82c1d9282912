{# Click rate of the learned policy against the random one: in all, and corrected by campaign. #}
with tested as (
  select 'all' as campaign, true as whole,
         ab_ztest_prop(clicked, arm, control => 'control', treatment => 'treatment') as r
  from {{ ref('impressions') }} join {{ ref('arms') }} using (policy)
  union all
  select campaign || ' campaign', false,
         ab_ztest_prop(clicked, arm, control => 'control', treatment => 'treatment')
  from {{ ref('impressions') }} join {{ ref('arms') }} using (policy)
  group by campaign
)
select campaign, (r).n_control as n_control, (r).n_treatment as n_treatment, (r).lift as lift,
       (r).p_value as p_value, p_adjust((r).p_value, 'holm') over (partition by whole) as p_corrected
from tested
