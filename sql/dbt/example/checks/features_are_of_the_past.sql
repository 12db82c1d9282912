-- Labels whose features are not what plain SQL counts of the hours that were over at their time.
with hours as (
  select item, date_trunc('hour', shown_at) as hour, count(*) as shown, sum(clicked::int) as clicked
  from {{ ref('labels') }} group by 1, 2
), before as (
  select item, hour,
         coalesce(sum(shown) over earlier, 0) as impressions, coalesce(sum(clicked) over earlier, 0) as clicks
  from hours
  window earlier as (partition by item order by hour rows between unbounded preceding and 1 preceding)
)
select e.item, e.shown_at, e.impressions, b.impressions as counted, e.clicks, b.clicks as clicks_counted
from {{ ref('examples') }} e
left join before b on b.item = e.item and b.hour = date_trunc('hour', e.shown_at)
where coalesce(e.impressions, 0) is distinct from b.impressions
   or coalesce(e.clicks, 0) is distinct from b.clicks
