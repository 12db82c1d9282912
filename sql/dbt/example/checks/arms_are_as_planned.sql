-- A sample ratio that does not fit the weights makes a test of the arms worthless.
select r from (
  select ab_srm(arm, (select array_agg(weight::float8 order by arm) from {{ ref('arms') }})) as r
  from {{ ref('impressions') }} join {{ ref('arms') }} using (policy)
) s
where (r).flag or (r).status <> 'ok'
