{{ config(materialized='feature_view', key=['campaign', 'item_id'], timestamp='hour_end', ttl='7 days',
          with={'owner': 'ranking'}) }}
select campaign, item_id, hour_end,
       sum(shown) over so_far as impressions,
       sum(clicked) over so_far as clicks
from (select campaign, item_id, date_trunc('hour', shown_at) + interval '1 hour' as hour_end,
             count(*) as shown, sum(clicked::int) as clicked
      from {{ ref('impressions') }} where policy = 'bts' group by 1, 2, 3) as hours
window so_far as (partition by campaign, item_id order by hour_end)
