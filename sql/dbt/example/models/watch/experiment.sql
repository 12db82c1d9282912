{# Click rate of the learned policy against the random one, in all and by campaign: four questions, corrected. #}
with shown as (
  select campaign, clicked, arm from {{ ref('impressions') }} join {{ ref('arms') }} using (policy)
), tested as (
  select '(in all)' as campaign,
         ab_ztest_prop(clicked, arm, control => 'control', treatment => 'treatment') as r
  from shown
  union all
  select campaign, ab_ztest_prop(clicked, arm, control => 'control', treatment => 'treatment')
  from shown group by campaign
)
select campaign, (r).n_control as n_control, (r).n_treatment as n_treatment, (r).lift as lift,
       (r).p_value as p_value, p_adjust((r).p_value, 'holm') over () as p_corrected
from tested
